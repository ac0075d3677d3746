"""A folder of videos, an episode each, with a table of their actions."""

from __future__ import annotations

import csv
from contextlib import closing
from pathlib import Path

import numpy as np

from .base import ACTION, Recording
from .frames import VideoFrames

TABLE = "actions.csv"
PIXELS, STATE = "pixels", "state"
VIDEO, FRAME = "video", "frame"


class Videos(Recording, kind="videos"):
    """`actions.csv` has a row per frame that counts: `video`, `frame`, and the action taken then.

    Frames are numbered from 0; rows of a video follow each other. In its last row the action may
    be empty. Columns whose name begins with `state` make the compact state, the others the action.
    """

    title = "folder of videos with an actions.csv"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return (path / TABLE).is_file()

    def open(self) -> None:
        with (self.path / TABLE).open(newline="") as file:
            table = list(csv.reader(file))
        header, rows = [name.strip() for name in table[0]], [row for row in table[1:] if row]
        if not {VIDEO, FRAME} < set(header):
            raise ValueError(f"{TABLE} must have columns video, frame and actions, got {header}")
        for number, row in enumerate(rows, start=2):
            if len(row) != len(header):
                raise ValueError(f"line {number} of {TABLE} must have {len(header)} fields: {row}")
        columns = dict(zip(header, zip(*rows, strict=True), strict=True))
        videos, frames = np.array(columns.pop(VIDEO)), _numbers(FRAME, columns.pop(FRAME))
        starts = np.concatenate([[0], np.flatnonzero(videos[1:] != videos[:-1]) + 1])
        self.lengths = np.diff([*starts, len(videos)])
        self._starts, self._videos = starts, [str(videos[start]) for start in starts]
        if len(set(self._videos)) < len(self._videos):
            raise ValueError(f"the rows of a video must follow each other in {TABLE}")
        within = np.delete(np.diff(frames), starts[1:] - 1)
        if (frames < 0).any() or (within <= 0).any() or (frames % 1).any():
            raise ValueError(f"frames must be whole numbers that rise from 0 in {TABLE}")
        self._frames = frames.astype(np.int64)
        numbers = {name: _numbers(name, values) for name, values in columns.items()}
        state = [values for name, values in numbers.items() if name.startswith(STATE)]
        action = {name: each for name, each in numbers.items() if not name.startswith(STATE)}
        if not action:
            raise ValueError(f"{TABLE} must have a column for each number of an action")
        self._table = {ACTION: np.stack([*action.values()], axis=1)}
        self._open: VideoFrames | None = None
        self.columns = {PIXELS: self.rows(PIXELS, 0).shape[1:]}
        if state:
            self._table[STATE] = np.stack(state, axis=1)
            self.columns[STATE], self.states = (len(state),), (STATE,)
        self.metadata = {
            "format": self.kind, "source": self.path.name, "action_names": list(action),
        }  # fmt: skip

    def rows(self, column: str, episode: int) -> np.ndarray:
        begin = int(self._starts[episode])
        rows = slice(begin, begin + int(self.lengths[episode]))
        if column != PIXELS:
            return self._table[column][rows]
        path = self.path / self._videos[episode]
        if self._open is None or self._open.path != path:
            self.opened.close()
            self._open = self.opened.enter_context(closing(VideoFrames(path)))
        return self._open.at(self._frames[rows])


def _numbers(name: str, values: tuple[str, ...]) -> np.ndarray:
    """A column; an empty field is NaN."""
    try:
        return np.array([float(value) if value.strip() else np.nan for value in values])
    except ValueError as error:
        raise ValueError(f"the column {name} of {TABLE} must be of numbers: {error}") from None
