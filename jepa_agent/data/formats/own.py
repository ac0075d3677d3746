"""Trajectory files of this library."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...worlds.parts import Parts
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
        self._parts = Parts(data.metadata["parts"]) if "parts" in data.metadata else None
        if self._parts is not None:
            self.columns |= self._parts.shapes
            self.seen = ",".join(self._parts.shapes)
        elif data.observations is not None:
            self.columns["observations"], self.seen = data.observations.shape[1:], "observations"

    def rows(self, column: str, episode: int) -> np.ndarray:
        begin, end = self._data.offsets[episode : episode + 2]
        if column == ACTION:
            return self._data.actions[begin - episode : end - episode - 1]
        seen = self._data.observations
        if column == "states" or seen is None:
            return self._data.states[begin:end]
        rows = seen[begin:end]
        return rows if self._parts is None else self._parts.unpack(rows)[column]

    def layout(self, episode: int) -> np.ndarray:
        return self._data.layout[episode]
