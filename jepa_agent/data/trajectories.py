"""Trajectories: episodes as flat arrays."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..worlds.reference import EnvRef
from .arrays import as_bounds, checked_history, one_hot, parts_of
from .joined import Joined, Rows
from .trajectory_file import (
    OPTIONAL,
    PARTS,
    TrajectoryFileError,
    TrajectoryWriter,
    partial_path,
    read,
)

ENVIRONMENT: dict[str, Any] = {
    "env_id": None,
    "env_kwargs": None,
    "history": 1,
    "wrappers": [],
    "max_episode_steps": None,
    "parts": None,
    "action_low": None,
    "action_high": None,
    "action_categories": None,
}
"""The metadata that describe an environment, and what they are where they are missing."""
CHECKED_ROWS = 64
"""Observations in a checksum, since all of them may be many."""


@dataclass(frozen=True)
class Trajectories:
    """Episodes as flat arrays; numbers of other types become float32.

    Args:
        states: float32 (N, S), the compact states of all episodes in a row.
        actions: float32 (N - E, A): an episode of T + 1 states has T actions.
        layout: float32 (E, C), what is constant in an episode; C may be 0.
        offsets: int64 (E + 1): episode e has the states `offsets[e]:offsets[e + 1]`.
        metadata: what made them: `env_id`, `env_kwargs`, the policy, the seed, versions.
        observations: uint8 images (N, H, W, C), float32 vectors (N, V), or rows of bytes if the
            metadata name `parts`; None where the states are shown, or the environment renders them
            in batch.
        terminal: boolean (N, 1), the states in which an episode ended for good elsewhere than at a
            goal; None where none did.

    Raises:
        TrajectoryFileError: naming the array that has another shape or type, or is not finite.
    """

    states: np.ndarray
    actions: np.ndarray
    layout: np.ndarray
    offsets: np.ndarray
    metadata: dict[str, Any] = field(default_factory=dict)
    observations: Rows | None = None
    terminal: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("states", "actions", "layout"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        seen = self.observations
        may_be_bytes = seen is not None and (len(seen.shape) == 4 or "parts" in self.metadata)
        if seen is not None and not (may_be_bytes and seen.dtype == np.uint8):
            object.__setattr__(self, "observations", _numbers("observations", seen[:]))
        if self.terminal is not None:
            terminal = np.asarray(self.terminal, dtype=bool).reshape(-1, 1)
            object.__setattr__(self, "terminal", terminal)
        object.__setattr__(self, "offsets", np.asarray(self.offsets, dtype=np.int64))
        self.check_finite()
        lengths = np.diff(self.offsets)
        if len(lengths) != len(self.layout) or len(lengths) == 0 or lengths.min() < 2:
            raise TrajectoryFileError(
                "offsets must bound one episode of at least 2 states per layout, got "
                f"{len(lengths)} episodes and {len(self.layout)} layouts; collect again"
            )
        expected = (self.offsets[-1], self.offsets[-1] - len(lengths))
        if (len(self.states), len(self.actions)) != expected:
            raise TrajectoryFileError(
                f"states and actions must have {expected} rows by the offsets, got "
                f"{(len(self.states), len(self.actions))}; collect again"
            )
        for name in OPTIONAL:
            part = getattr(self, name)
            if part is not None and len(part) != len(self.states):
                raise TrajectoryFileError(
                    f"{name} must be as many as the states, got {len(part)} and "
                    f"{len(self.states)}; collect again"
                )

    def __len__(self) -> int:
        return len(self.layout)

    def check_finite(self) -> None:
        """Raise TrajectoryFileError if a number is not finite."""
        for name in PARTS:
            part = getattr(self, name)
            if part is None or part.dtype in (np.uint8, np.bool_):
                continue
            rows = np.flatnonzero(~np.isfinite(part).all(axis=1))
            if len(rows):
                raise TrajectoryFileError(
                    f"{name} must be finite, got {part[rows[0]]} in row {rows[0]}; "
                    "leave out such episodes"
                )

    def checksum(self) -> str:
        """Hexadecimal digits of all that training reads, of observations only of some rows."""
        rows = np.linspace(0, len(self.states) - 1, CHECKED_ROWS, dtype=np.int64)
        seen = () if self.observations is None else (self.observations[rows],)
        ends = () if self.terminal is None else (self.terminal,)
        return checksum(self.offsets, self.states, self.actions, self.layout, *seen, *ends)

    @classmethod
    def concatenate(cls, recordings: Sequence[Trajectories]) -> Trajectories:
        """Join recordings of one environment; the metadata keep those of all as `recordings`.

        Observations that stay on the disk stay there.

        Raises:
            TrajectoryFileError: if their environments or the shapes of their arrays differ.
        """
        if any(each.terminal is not None for each in recordings):
            recordings = [each._with_terminal() for each in recordings]
        first, offsets = recordings[0], [np.zeros(1, dtype=np.int64)]
        for each in recordings:
            offsets.append(each.offsets[1:] + offsets[-1][-1])
            pairs = {
                key: (first.metadata.get(key, least), each.metadata.get(key, least))
                for key, least in ENVIRONMENT.items()
            } | {f"size of {name}": (first._size(name), each._size(name)) for name in PARTS}
            for name, (wanted, got) in pairs.items():
                if wanted != got:
                    raise TrajectoryFileError(
                        f"recordings to be joined must have one {name}, got {wanted} and {got}; "
                        "leave one of them out"
                    )
        parts: dict[str, Any] = {}
        for name in PARTS:
            arrays = [getattr(each, name) for each in recordings]
            if all(isinstance(array, np.ndarray) for array in arrays):
                parts[name] = np.concatenate(arrays)
            elif arrays[0] is not None:
                parts[name] = Joined(arrays)
        kept = {key: first.metadata[key] for key in ENVIRONMENT if key in first.metadata}
        metadata = kept | {"recordings": [each.metadata for each in recordings]}
        return cls(**parts, offsets=np.concatenate(offsets), metadata=metadata)

    def _with_terminal(self) -> Trajectories:
        if self.terminal is not None:
            return self
        return replace(self, terminal=np.zeros(len(self.states), dtype=bool))

    def _size(self, name: str) -> tuple[int, ...] | None:
        part = getattr(self, name)
        return None if part is None else part.shape[1:]

    @classmethod
    def from_arrays(
        cls,
        observations: Any,
        actions: Any,
        *,
        episode_ids: Any = None,
        terminals: Any = None,
        lengths: Any = None,
        states: Any = None,
        layout: Any = None,
        bounds: tuple[Any, Any] | None = None,
        categories: Sequence[int] = (),
        history: int = 1,
        env: str | EnvRef | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> Trajectories:
        """Episodes of plain arrays of any number type, checked and cast.

            data = Trajectories.from_arrays(images, actions, terminals=dones, env="Pendulum-v1")

        Episodes are told apart by `episode_ids`, `terminals` or `lengths`; or every argument is a
        list with an array per episode, or an array (E, T, ...) of episodes of one length.

        Args:
            observations: the N states that were seen, one episode after the other: vectors (N, S),
                or images (N, H, W), (N, H, W, C) or (N, C, H, W) of integers in [0, 255] or floats
                in [0, 1] or [0, 255]; or a dict of several of these, by name.
            actions: (N, A), each taken in the state of its row, or (N - E, A) without those of an
                episode's last row, which led nowhere: they are dropped, and may be NaN. (N,) are
                actions of one number.
            episode_ids: (N,), the same number in all rows of an episode.
            terminals: (N,), true in the last row of an episode, however it ended.
            lengths: (E,), states per episode.
            states: (N, S), compact states beside images, for the probe and the diagnostics.
            layout: (E, C), what is constant in an episode; none by default.
            bounds: the least and the greatest action, each a number or (A,); by default those of
                the environment, or else the range of the actions.
            categories: of discrete actions, which are integers from 0 on: how many there are of
                each; they become one-hot vectors.
            history: frames per observation, where one is not a state: each is stacked onto those
                before it.
            env: the environment that they come from, `module:Name-v0`; training needs none.
            metadata: JSON data to keep beside.

        Raises:
            TrajectoryFileError: naming the array, the rule, what it is, and what to do.
        """
        parts = parts_of(
            observations, actions, (episode_ids, terminals, lengths), states, layout, history
        )
        notes = dict(metadata or {}) | parts.pop("metadata", {})
        if env is not None:
            notes |= (EnvRef(env, {}) if isinstance(env, str) else env).metadata()
        if history > 1:
            notes["history"] = checked_history(history, notes.get("history", 1))
        if len(categories):
            parts["actions"] = one_hot(parts["actions"], categories, bounds)
            notes["action_categories"] = [int(size) for size in categories]
        elif bounds is not None:
            notes |= as_bounds(bounds, parts["actions"])
        return cls(**parts, metadata=notes)

    @classmethod
    def from_rollouts(
        cls,
        states: np.ndarray,
        actions: np.ndarray,
        layout: np.ndarray,
        metadata: dict[str, Any],
        ends: np.ndarray | None = None,
        *,
        observations: np.ndarray | None = None,
    ) -> Trajectories:
        """Flatten episodes: states (E, T + 1, S), actions (E, T, A), observations (E, T + 1, ...).

        `ends` (E,) are the numbers of the states that are terminal, T + 1 for episodes without one;
        what follows them is left out.
        """
        if ends is not None and np.shape(ends) != (len(states),):
            raise ValueError(
                f"ends must be ({len(states)},), a number per episode, got {np.shape(ends)}; "
                "observations are given by their name"
            )
        step = np.arange(states.shape[1])
        wanted = np.full(len(states), len(step)) if ends is None else ends
        kept = step <= wanted[:, None]  # (E, T + 1)
        return cls(
            states[kept],
            actions[kept[:, 1:]],
            layout,
            np.concatenate([[0], np.cumsum(kept.sum(axis=1))]),
            metadata,
            None if observations is None else observations[kept],
            None if ends is None else (step == wanted[:, None])[kept],
        )

    def absorbing(self, steps: int, seed: int = 0) -> Trajectories:
        """A copy in which what follows a terminal state is shown: it stays, whatever is done.

        Args:
            steps: how often the last state is repeated, under actions drawn from the data.
            seed: of these draws.
        """
        terminal = self.terminal
        if terminal is None:
            return self
        lengths, last = np.diff(self.offsets), self.offsets[1:] - 1
        more = np.where(terminal[last, 0], steps, 0)
        offsets = np.concatenate([[0], np.cumsum(lengths + more)])
        episode = np.repeat(np.arange(len(lengths)), lengths + more)
        step = np.arange(offsets[-1]) - offsets[episode]
        rows = self.offsets[episode] + np.minimum(step, lengths[episode] - 1)
        acts = np.delete(np.arange(offsets[-1]), offsets[1:] - 1)
        taken = rows[acts] - episode[acts]
        made_up = step[acts] >= lengths[episode[acts]] - 1
        drawn = np.random.default_rng(seed).integers(len(self.actions), size=made_up.sum())
        taken[made_up] = drawn
        return replace(
            self,
            states=self.states[rows],
            actions=self.actions[taken],
            offsets=offsets,
            observations=None if self.observations is None else self.observations[rows],
            terminal=terminal[rows],
        )

    def episodes(self) -> Iterator[Trajectories]:
        """Each episode alone."""
        for index in range(len(self)):
            begin, end = self.offsets[index : index + 2]
            yield Trajectories(
                self.states[begin:end],
                self.actions[begin - index : end - index - 1],
                self.layout[index : index + 1],
                np.array([0, end - begin]),
                self.metadata,
                None if self.observations is None else self.observations[begin:end],
                None if self.terminal is None else self.terminal[begin:end],
            )

    def save(self, path: str | Path) -> None:
        """Write one HDF5 file; an existing file stays intact until the new one is complete."""
        writer = TrajectoryWriter(path, self.metadata)
        try:
            with writer:
                writer.append(self)
        except BaseException:  # nothing to rescue: the trajectories are in memory
            partial_path(path).unlink(missing_ok=True)
            raise

    @classmethod
    def load(
        cls, path: str | Path, *, recover: bool = False, in_memory: bool = True
    ) -> Trajectories:
        """Read a trajectory file.

        Args:
            path: the file.
            recover: read the whole episodes of a file whose writing was interrupted.
            in_memory: read stored observations too; else they are read from the disk, row by row,
                when they are needed, however many there are.

        Raises:
            TrajectoryFileError: if the file is missing, unfinished, truncated, foreign or of
                another version.
        """
        path = Path(path).expanduser()
        parts = read(path, recover, in_memory)
        try:
            return cls(**parts)
        except TrajectoryFileError as error:
            raise TrajectoryFileError(f"{path}: {error}") from None


def checksum(*arrays: np.ndarray) -> str:
    """A number, in hexadecimal digits, that other arrays hardly have."""
    found = 0
    for array in arrays:
        found = zlib.crc32(np.ascontiguousarray(array).data, found)
    return f"{found:08x}"


def _numbers(name: str, values: Any) -> np.ndarray:
    """Rows of numbers as float32."""
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        rule = "uint8 images (N, H, W, C) or " if name == "observations" else ""
        raise TrajectoryFileError(
            f"{name} must be {rule}rows of numbers, got {array.dtype} {array.shape}; convert them, "
            "by Trajectories.from_arrays"
        )
    with np.errstate(over="ignore"):  # infinite ones are found later
        return array.astype(np.float32, copy=False)
