"""The HDF5 file of trajectories: written episode by episode, sealed when it is whole."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..io.serialisation import to_json

FORMAT = "jepa-agent-trajectories"
VERSION = 2
PARTS = ("states", "actions", "layout", "observations", "terminal")
OPTIONAL = ("observations", "terminal")
"""Those that may be missing."""
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
    """An array that stays in its file; rows are read when they are asked for.

    Args:
        path: the trajectory file; a copy, in another process too, opens it again.
        name: the array in it.
    """

    def __init__(self, path: Path, name: str) -> None:
        import h5py

        self._source = path.absolute(), name
        self._dataset = h5py.File(path, "r", libver="latest", swmr=path.suffix == PARTIAL)[name]
        self.shape: tuple[int, ...] = self._dataset.shape
        self.dtype: np.dtype = self._dataset.dtype

    def __reduce__(self) -> tuple[type[OnDisk], tuple[Path, str]]:
        return OnDisk, self._source

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


def read(path: Path, recover: bool, in_memory: bool) -> dict[str, Any]:
    """The arguments of `Trajectories` in a file; see `Trajectories.load`."""
    import h5py

    if not path.is_file():
        unfinished = partial_path(path)
        hint = f" (but an unfinished {unfinished})" if unfinished.is_file() else ""
        raise TrajectoryFileError(
            f"a trajectory file must exist, got {path}{hint}; make it with `jepa-agent collect`"
        )
    if path.suffix != PARTIAL:
        _check_seal(path, whole=in_memory)
    try:
        with h5py.File(path, "r", libver="latest", swmr=path.suffix == PARTIAL) as file:
            return _read(file, path, recover, in_memory)
    except (OSError, KeyError, RuntimeError, TypeError, json.JSONDecodeError) as error:
        raise TrajectoryFileError(
            f"{path} must be a complete HDF5 trajectory file, got {error}; it is truncated or "
            "of another program, collect again"
        ) from error


def _read(file: Any, path: Path, recover: bool, in_memory: bool) -> dict[str, Any]:
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
    keys = {name: name for name in PARTS if name not in OPTIONAL or name in file}
    if "context" in file:  # the layout's name before 0.2
        keys["layout"] = "context"
    parts: dict[str, Any] = {
        name: OnDisk(path, key) if name == "observations" and not in_memory else file[key][...]
        for name, key in keys.items()
    }
    if recover:  # what the offsets do not speak of is half an episode
        states, episodes = int(offsets[-1]), len(offsets) - 1
        rows = {"actions": states - episodes, "layout": episodes}
        parts = {name: part[: rows.get(name, states)] for name, part in parts.items()}
    return parts | {"offsets": offsets, "metadata": json.loads(file.attrs["metadata"])}


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
    path = Path(path).expanduser()
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

        self._path, self._partial = Path(path).expanduser(), partial_path(path)
        if self._path.is_dir():
            raise IsADirectoryError(f"trajectories need a file's name, got the folder {path}")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._partial.exists():
            raise FileExistsError(
                f"{self._partial} is unfinished, or another process is writing it; keep its whole "
                "episodes with Trajectories.load(path, recover=True).save(...), or delete it"
            )
        self._file = h5py.File(self._partial, "w", libver="latest", userblock_size=SEALED_FROM)
        self._file.attrs.update(format=FORMAT, version=VERSION, metadata=to_json(metadata))
        self._begun = False

    def append(self, trajectories: Any) -> None:
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
