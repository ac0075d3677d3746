"""OGBench's .npz files (Park et al., 2410.20092)."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from ..arrays import is_image, lengths_of
from .base import ACTION, Recording
from .npz import NpzArray, names

NEEDED = {"observations", "actions", "terminals"}
STATES = ("qpos", "qvel")


class OGBench(Recording, kind="ogbench"):
    """Flat arrays; `terminals` marks the last step of an episode, whose action led nowhere."""

    title = ".npz file of OGBench"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        found = names(path)
        return found >= {*NEEDED, *STATES}

    def open(self) -> None:
        self._arrays = {
            name: self.opened.enter_context(closing(NpzArray(self.path, name)))
            for name in names(self.path)
        }
        count = len(self._arrays["observations"])
        terminals = self._arrays["terminals"][:]
        self.lengths = lengths_of(count, None, terminals, None, None)
        self._starts = np.cumsum(self.lengths) - self.lengths
        self.columns = {
            name: array.shape[1:]
            for name, array in self._arrays.items()
            if len(array) == count and array.dtype.kind in "fiub"
            if name not in ("actions", "terminals")
        }
        self.seen = "observations"
        self.states = STATES if is_image(self.columns["observations"]) else ("observations",)
        self.metadata = {"format": self.kind, "source": self.path.name}

    def rows(self, column: str, episode: int) -> np.ndarray:
        begin, count = int(self._starts[episode]), int(self.lengths[episode])
        return self._arrays["actions" if column == ACTION else column][begin : begin + count]
