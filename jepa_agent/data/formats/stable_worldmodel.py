"""stable-worldmodel's HDF5 files: a dataset per column, all episodes in a row."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from ..trajectory_file import TrajectoryFileError
from .base import ACTION, Recording

IDS = ("ep_idx", "episode_idx")
INDEX = {*IDS, "step_idx", "ep_len", "ep_offset", ACTION}
STATES = (("state",), ("qpos", "qvel"), ("proprio",), ("observation",))
"""Columns that make the compact state, the first that are there."""


class StableWorldModel(Recording, kind="stable-worldmodel"):
    """`ep_len` and `ep_offset` tell episodes apart, else `ep_idx`; an action may end as NaN."""

    title = "HDF5 file of stable-worldmodel"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        import h5py

        if not path.is_file() or not h5py.is_hdf5(path):
            return False
        try:
            with h5py.File(path) as file:
                return ACTION in file and bool({"ep_len", *IDS} & set(file))
        except (OSError, RuntimeError):  # damaged: the ending of its name decides
            return False

    def open(self) -> None:
        import h5py

        with contextlib.suppress(ImportError):
            import hdf5plugin  # noqa: F401  # more compressions, if they are installed
        self._file = self.opened.enter_context(h5py.File(self.path))
        count = len(self._file[ACTION])
        self._offsets, self.lengths = self._episodes(count)
        if len(self.lengths) and (self._offsets + self.lengths).max() > count:
            raise ValueError(f"episodes must end within the {count} rows of the columns")
        self.columns = {
            name: dataset.shape[1:]
            for name, dataset in self._file.items()
            if isinstance(dataset, h5py.Dataset) and dataset.dtype.kind in "fiub"
            if name not in INDEX and dataset.shape[:1] == (count,)
        }
        found = [each for each in STATES if set(each) <= set(self.columns)]
        self.states = found[0] if found else ()
        self.metadata = {"format": self.kind, "source": self.path.name}

    def rows(self, column: str, episode: int) -> np.ndarray:
        begin = int(self._offsets[episode])
        rows = slice(begin, begin + int(self.lengths[episode]))
        return self._read(column, rows)

    def _episodes(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        if "ep_len" in self._file:
            lengths = self._read("ep_len").astype(np.int64)
            starts = np.cumsum(lengths) - lengths
            if "ep_offset" in self._file:
                starts = self._read("ep_offset").astype(np.int64)
            return starts, lengths
        ids = np.ravel(self._read(next(name for name in IDS if name in self._file)))
        starts = np.concatenate([[0], np.flatnonzero(ids[1:] != ids[:-1]) + 1])
        return starts, np.diff([*starts, count])

    def _read(self, column: str, rows: Any = slice(None)) -> np.ndarray:
        dataset = self._file[column]
        missing = _missing_filters(dataset)
        if missing:
            raise TrajectoryFileError(
                f"{self.path}: {column} is compressed by a filter of HDF5 that is not installed, "
                f"{missing[0]}; run `pip install hdf5plugin`"
            )
        return dataset[rows]


def _missing_filters(dataset: Any) -> list[str]:
    """Compressions of a dataset that cannot be undone here."""
    import h5py

    settings = dataset.id.get_create_plist()
    found = [settings.get_filter(index) for index in range(settings.get_nfilters())]
    return [
        f"{code} {name.decode(errors='replace')}".strip()
        for code, _, _, name in found
        if not h5py.h5z.filter_avail(code)
    ]
