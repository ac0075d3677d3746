"""Trajectories: episodes as flat arrays, one HDF5 file, never lost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

FORMAT = "jepa-agent-trajectories"
VERSION = 2
PARTS = ("states", "actions", "layout", "observations")
PARTIAL = ".partial"
CHUNK_BYTES = 1 << 20
OBSERVATION_CHUNK_BYTES = 1 << 14
"""Small, since single observations are read from the disk where they do not fit into memory."""
SEAL = f"{FORMAT} sha256 "
SEALED_FROM = 512
"""A finished file begins with its checksum, in what HDF5 calls a user block."""


class TrajectoryFileError(ValueError):
    """A trajectory file is missing, unfinished, truncated, foreign or of another version."""


class OnDisk:
    """An array that stays in its file; rows are read when they are asked for."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.shape: tuple[int, ...] = dataset.shape
        self.dtype: np.dtype = dataset.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Some rows; an array of row numbers (...) gives (..., *shape[1:])."""
        if isinstance(rows, slice):
            return self._dataset[rows]
        wanted, places = np.unique(rows, return_inverse=True)
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        for place, row in enumerate(wanted):
            found[place] = self._dataset[row]
        return found[places.reshape(rows.shape)]


@dataclass(frozen=True)
class Trajectories:
    """Episodes as flat arrays.

    Args:
        states: float32 (N, S), the compact states of all episodes in a row.
        actions: float32 (N - E, A): an episode of T + 1 states has T actions.
        layout: float32 (E, C), what is constant in an episode; C may be 0.
        offsets: int64 (E + 1): episode e has the states `offsets[e]:offsets[e + 1]`.
        metadata: what made them: `env_id`, `env_kwargs`, the policy, the seed, versions.
        observations: (N, ...), stored only for environments that cannot render states in batch.
    """

    states: np.ndarray
    actions: np.ndarray
    layout: np.ndarray
    offsets: np.ndarray
    metadata: dict[str, Any] = field(default_factory=dict)
    observations: np.ndarray | OnDisk | None = None

    def __post_init__(self) -> None:
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
        if self.observations is not None and len(self.observations) != len(self.states):
            raise TrajectoryFileError(
                f"observations must be as many as the states, got {len(self.observations)} and "
                f"{len(self.states)}; collect again"
            )

    def __len__(self) -> int:
        return len(self.layout)

    @classmethod
    def from_rollouts(
        cls,
        states: np.ndarray,
        actions: np.ndarray,
        layout: np.ndarray,
        metadata: dict[str, Any],
        observations: np.ndarray | None = None,
    ) -> Trajectories:
        """Flatten episodes of equal length: states (E, T + 1, S) and actions (E, T, A)."""
        episodes, length = states.shape[:2]
        return cls(
            states.reshape(-1, *states.shape[2:]),
            actions.reshape(-1, *actions.shape[2:]),
            layout,
            np.arange(episodes + 1, dtype=np.int64) * length,
            metadata,
            None if observations is None else observations.reshape(-1, *observations.shape[2:]),
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
        import h5py

        path = Path(path)
        if not path.is_file():
            unfinished = partial_path(path)
            hint = f" (but an unfinished {unfinished})" if unfinished.is_file() else ""
            raise TrajectoryFileError(
                f"a trajectory file must exist, got {path}{hint}; make it with `jepa-agent collect`"
            )
        if path.suffix != PARTIAL:
            _check_seal(path, whole=in_memory)
        try:
            file = h5py.File(path, "r", libver="latest", swmr=path.suffix == PARTIAL)
            try:
                return cls._read(file, path, recover, in_memory)
            finally:
                if in_memory:
                    file.close()
        except (OSError, KeyError, RuntimeError, TypeError, json.JSONDecodeError) as error:
            raise TrajectoryFileError(
                f"{path} must be a complete HDF5 trajectory file, got {error}; it is truncated or "
                "of another program, collect again"
            ) from error

    @classmethod
    def _read(cls, file: Any, path: Path, recover: bool, in_memory: bool) -> Trajectories:
        if file.attrs.get("format") != FORMAT:
            raise TrajectoryFileError(
                f"{path} must be a trajectory file of this library (format {FORMAT}), got "
                f"{file.attrs.get('format')!r}; collect or import the data first"
            )
        if file.attrs["version"] != VERSION:
            raise TrajectoryFileError(
                f"{path} must have version {VERSION}, got {file.attrs['version']}; "
                "collect again with this version of the library"
            )
        offsets = file["offsets"][...]
        if path.suffix == PARTIAL and not recover:
            raise TrajectoryFileError(
                f"{path} must be finished, its writing was interrupted after {len(offsets) - 1} "
                "whole episodes; keep them with Trajectories.load(path, recover=True).save(...)"
            )
        parts: dict[str, Any] = {
            name: file[name][...] if in_memory or name != "observations" else OnDisk(file[name])
            for name in PARTS
            if name in file
        }
        if "context" in file:  # the layout's name before 0.2
            parts["layout"] = file["context"][...]
        if recover:  # what the offsets do not speak of is half an episode
            states, episodes = int(offsets[-1]), len(offsets) - 1
            rows = {"actions": states - episodes, "layout": episodes}
            parts = {name: part[: rows.get(name, states)] for name, part in parts.items()}
        metadata = json.loads(file.attrs["metadata"])
        try:
            return cls(**parts, offsets=offsets, metadata=metadata)
        except TrajectoryFileError as error:
            raise TrajectoryFileError(f"{path}: {error}") from None


def seal(path: Path) -> None:
    """Write a file's checksum and size into its beginning, for `load` to compare."""
    found = _digest(path)
    with path.open("r+b") as file:
        file.write(f"{SEAL}{found}\n{path.stat().st_size}\n".encode())


def _check_seal(path: Path, whole: bool) -> None:
    """See that a file is ours and complete before HDF5 reads it, which damaged files can hang.

    Args:
        path: the file.
        whole: compare its checksum; else its size, if the file says it, which costs nothing.
    """
    with path.open("rb") as file:
        first = file.read(SEALED_FROM)
    if not first.startswith(SEAL.encode()):
        raise TrajectoryFileError(
            f"{path} must be a trajectory file of this library and version (format {FORMAT}, "
            f"version {VERSION}); collect or import the data first"
        )
    line, size = first.decode(errors="replace").split("\n")[:2]
    if whole or not size.isdecimal():
        intact = line.removeprefix(SEAL) == _digest(path)
    else:
        intact = int(size) == path.stat().st_size
    if not intact:
        raise TrajectoryFileError(
            f"{path} must have the checksum that it begins with; it is truncated or changed, "
            "collect again"
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(SEALED_FROM)
        return hashlib.file_digest(file, "sha256").hexdigest()


def partial_path(path: str | Path) -> Path:
    """Where a trajectory file lies while it is being written."""
    path = Path(path)
    return path.parent / (path.name + PARTIAL)


class TrajectoryWriter:
    """Appends episodes to a file, which takes its name once it is complete.

    Until then it ends in `.partial`; after a crash, its whole episodes can be read from there.

    Args:
        path: the file to write.
        metadata: JSON data about what makes the episodes.

    Raises:
        OSError: if the folder cannot be written to or the disk is full; an older file of the same
            name is intact.
    """

    def __init__(self, path: str | Path, metadata: dict[str, Any]) -> None:
        import h5py

        self._path, self._partial = Path(path), partial_path(path)
        if self._path.is_dir():
            raise IsADirectoryError(f"trajectories need a file's name, got the folder {path}")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._partial.exists():
            raise FileExistsError(
                f"{self._partial} is unfinished, or another process is writing it; keep its whole "
                "episodes with Trajectories.load(path, recover=True).save(...), or delete it"
            )
        self._file = h5py.File(self._partial, "w", libver="latest", userblock_size=SEALED_FROM)
        self._file.attrs.update(format=FORMAT, version=VERSION, metadata=json.dumps(metadata))
        self._begun = False

    def append(self, trajectories: Trajectories) -> None:
        """Write episodes, and to the disk."""
        parts = {name: getattr(trajectories, name) for name in PARTS}
        parts = {name: part for name, part in parts.items() if part is not None}
        try:
            if not self._begun:
                self._begin(parts)
            for name, part in parts.items():
                dataset = self._file[name]
                dataset.resize(len(dataset) + len(part), axis=0)
                dataset[len(dataset) - len(part) :] = part[:]
            self._file.flush()  # the data before the offsets that speak of them
            offsets = self._file["offsets"]
            last = offsets[-1]
            offsets.resize(len(offsets) + len(trajectories), axis=0)
            offsets[-len(trajectories) :] = last + trajectories.offsets[1:]
            self._file.flush()
        except (OSError, RuntimeError) as error:
            raise OSError(
                f"writing {self._partial} failed, got {error}; free some space, an older "
                f"{self._path} is intact"
            ) from error

    def _begin(self, parts: dict[str, np.ndarray]) -> None:
        for name, part in parts.items():
            row = max(1, int(np.prod(part.shape[1:])) * part.dtype.itemsize)
            together = OBSERVATION_CHUNK_BYTES if name == "observations" else CHUNK_BYTES
            self._file.create_dataset(
                name,
                shape=(0, *part.shape[1:]),
                maxshape=(None, *(size or None for size in part.shape[1:])),
                chunks=(max(1, together // row), *(max(1, size) for size in part.shape[1:])),
                dtype=part.dtype,
                compression="gzip" if name == "observations" else None,
            )
        self._file.create_dataset(
            "offsets", data=np.zeros(1, dtype=np.int64), maxshape=(None,), chunks=(1 << 14,)
        )
        self._file.swmr_mode = True  # a reader finds whole episodes, whenever this process dies
        self._begun = True

    def __enter__(self) -> TrajectoryWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except (OSError, RuntimeError) as failure:
            if kind is None:
                raise OSError(
                    f"writing {self._partial} failed, got {failure}; free some space, an older "
                    f"{self._path} is intact"
                ) from failure
        if not self._begun:
            self._partial.unlink(missing_ok=True)
        elif kind is None:
            seal(self._partial)
            self._partial.replace(self._path)
