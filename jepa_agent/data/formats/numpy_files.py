"""Arrays of one's own in an .npz file, by the names of `Trajectories.from_arrays`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from ..arrays import lengths_of
from .base import ACTION, Recording
from .npz import NpzArray, names

NEEDED = {"observations", "actions"}
DIVISIONS = ("episode_ids", "terminals", "lengths")
BOUNDS = {"action_low", "action_high"}
KNOWN = {*NEEDED, *DIVISIONS, *BOUNDS, "states", "layout", "categories"}


class NumpyFile(Recording, kind="numpy"):
    """`np.savez("mine.npz", observations=..., actions=..., lengths=...)`."""

    title = ".npz file with the arrays that Trajectories.from_arrays takes"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        found = names(path)
        return found >= NEEDED and (found <= KNOWN or "terminals" not in found)

    def open(self) -> None:
        known = names(self.path)
        if not known <= KNOWN:
            raise ValueError(
                f"its arrays must be among {sorted(KNOWN)}, got {sorted(known - KNOWN)} too"
            )
        arrays = {
            name: self.opened.enter_context(closing(NpzArray(self.path, name))) for name in known
        }
        given = {name: arrays[name][:] if name in known else None for name in DIVISIONS}
        self.lengths = lengths_of(len(arrays["observations"]), **given, listed=None)
        self._starts = np.cumsum(self.lengths) - self.lengths
        self._arrays, self.seen = arrays, "observations"
        self._full = len(arrays["actions"]) == self.lengths.sum()
        if not self._full and len(arrays["actions"]) != self.lengths.sum() - len(self.lengths):
            raise ValueError(
                "actions must be one per state or one fewer in each episode, got "
                f"{len(arrays['actions'])} for {self.lengths.sum()} states"
            )
        self._layout = arrays["layout"][:] if "layout" in known else None
        if "categories" in known:
            self.categories = tuple(np.ravel(arrays["categories"][:]).tolist())
        self.states = ("states",) if "states" in known else ()
        self.columns = {name: arrays[name].shape[1:] for name in ("observations", *self.states)}
        self.metadata = {"format": self.kind, "source": self.path.name}
        size = arrays["actions"].shape[1:] or (1,)
        for name in BOUNDS & known:
            self.metadata[name] = np.broadcast_to(arrays[name][:], size).tolist()

    def rows(self, column: str, episode: int) -> np.ndarray:
        begin, count = int(self._starts[episode]), int(self.lengths[episode])
        if column != ACTION:
            return self._arrays[column][begin : begin + count]
        begin, count = (begin, count) if self._full else (begin - episode, count - 1)
        return self._arrays["actions"][begin : begin + count]

    def layout(self, episode: int) -> np.ndarray:
        return np.zeros(0) if self._layout is None else np.ravel(self._layout[episode])
