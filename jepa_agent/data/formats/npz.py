"""Arrays in .npz files, read from first to last without holding one in memory."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO

import numpy as np


class NpzArray:
    """One array of a file; slices of rows are fast in their order.

    Args:
        path: the .npz file.
        name: the array.

    Raises:
        ValueError: if it holds pickled objects, which are never unpickled.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._file: IO[bytes] | None = None
        self._whole: np.ndarray | None = None
        self._at = 0
        self.shape, fortran, self.dtype = self._begin()
        if self.dtype.hasobject:
            self.close()
            raise ValueError(f"the array {name!r} must be of numbers, it holds pickled objects")
        if fortran or not self.shape:
            with np.load(path, allow_pickle=False) as arrays:
                self._whole = arrays[name]
        self._row = int(np.prod(self.shape[1:])) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Rows, in a step of one; of a single number, itself."""
        if self._whole is not None:
            return self._whole if self._whole.ndim == 0 else self._whole[rows]
        begin, end, _ = rows.indices(len(self))
        if self._at > begin or self._file is None:
            self._begin()
        assert self._file is not None
        while self._at < begin:
            skipped = min(begin - self._at, max(1, (1 << 22) // max(1, self._row)))
            self._read(skipped)
        count = max(0, end - begin)
        found = np.frombuffer(self._read(count), self.dtype)
        return found.reshape(count, *self.shape[1:])

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, rows: int) -> bytearray:
        assert self._file is not None
        payload = bytearray(self._file.read(rows * self._row))
        if len(payload) < rows * self._row:
            raise EOFError(f"the array {self._name!r} ends before its last row")
        self._at += rows
        return payload

    def _begin(self) -> tuple[tuple[int, ...], bool, np.dtype]:
        self.close()
        with zipfile.ZipFile(self._path) as archive:  # the open array keeps its file
            self._file, self._at = archive.open(f"{self._name}.npy"), 0
        version = np.lib.format.read_magic(self._file)
        read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        if version[0] not in read:
            raise ValueError(f"the array {self._name!r} must be of version 1 or 2, got {version}")
        return read[version[0]](self._file)


def names(path: Path) -> set[str]:
    """The arrays in a file; none if it is no .npz."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = {each.removesuffix(".npy") for each in archive.namelist() if "/" not in each}
            return found if all(each.endswith(".npy") for each in archive.namelist()) else set()
    except (OSError, zipfile.BadZipFile):
        return set()
