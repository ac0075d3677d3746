"""Several arrays as one, without a copy of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Rows(Protocol):
    """An array, in memory or in a file, of which rows are read."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __len__(self) -> int: ...
    def __getitem__(self, rows: slice | np.ndarray, /) -> np.ndarray: ...


class Joined:
    """Arrays one after the other; rows are read from the array that holds them.

    Args:
        parts: arrays of one type whose rows have one shape.
    """

    def __init__(self, parts: Sequence[Rows]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])
        self.shape: tuple[int, ...] = (int(self._ends[-1]), *parts[0].shape[1:])
        self.dtype: np.dtype = parts[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """Some rows; an array of row numbers (...) gives (..., *shape[1:])."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        found = np.empty((*rows.shape, *self.shape[1:]), self.dtype)
        part_of = np.searchsorted(self._ends, rows, side="right")
        for index in np.unique(part_of):
            part, chosen = self._parts[index], part_of == index
            found[chosen] = part[rows[chosen] - (self._ends[index] - len(part))]
        return found
