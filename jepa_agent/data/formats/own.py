"""Trajectory files of this library."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..trajectories import Trajectories
from ..trajectory_file import PARTIAL, SEAL, partial_path
from .base import ACTION, Recording


class TrajectoryFile(Recording, kind="jepa-agent"):
    """What `jepa-agent collect` and `jepa-agent import` write."""

    title = "trajectory file of this library"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By the seal that it begins with, or the name that it has until it is sealed."""
        if path.suffix == PARTIAL or partial_path(path).is_file():
            return True
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(SEAL)) == SEAL.encode()

    def open(self) -> None:
        data = Trajectories.load(self.path, in_memory=False)
        self._data, self.metadata = data, data.metadata
        self.lengths = np.diff(data.offsets)
        self.columns, self.states = {}, ()
        if data.states.shape[1]:
            self.columns["states"], self.states = data.states.shape[1:], ("states",)
        if data.observations is not None:
            self.columns["observations"], self.seen = data.observations.shape[1:], "observations"

    def rows(self, column: str, episode: int) -> np.ndarray:
        begin, end = self._data.offsets[episode : episode + 2]
        if column == ACTION:
            return self._data.actions[begin - episode : end - episode - 1]
        array = self._data.states if column == "states" else self._data.observations
        assert array is not None
        return array[begin:end]

    def layout(self, episode: int) -> np.ndarray:
        return self._data.layout[episode]
