"""LeRobot's datasets of version 3: parquet files of numbers, videos of many episodes each."""

from __future__ import annotations

import io
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from ..trajectory_file import TrajectoryFileError
from .base import ACTION, Recording
from .frames import VideoFrames

INFO = "meta/info.json"
EPISODE = "episode_index"
INDEX = {EPISODE, "frame_index", "index", "task_index", "timestamp", ACTION}
STATES = ("observation.state", "observation.environment_state")
VISUAL = ("video", "image")


class LeRobot(Recording, kind="lerobot"):
    """A folder with `meta/`, `data/` and `videos/`; needs the extra `lerobot`."""

    title = "LeRobot dataset of version 3"

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return (path / INFO).is_file()

    def open(self) -> None:
        info = json.loads((self.path / INFO).read_text())
        version = str(info["codebase_version"])
        if not version.startswith("v3"):
            raise TrajectoryFileError(
                f"{self.path} must be of LeRobot's version 3, got {version}; convert it with "
                "`python -m lerobot.scripts.convert_dataset_v21_to_v30`"
            )
        self._features, self._rate = info["features"], float(info["fps"])
        self._cached: tuple[Path, dict[str, Any]] = (self.path, {})
        self._find_episodes()
        self._located = self._locations()
        self._videos: dict[str, VideoFrames] = {}
        self.columns = {
            name: _shape(feature)
            for name, feature in self._features.items()
            if name not in INDEX and (feature["dtype"] in VISUAL or _is_number(feature["dtype"]))
        }
        self.states = tuple(name for name in STATES if name in self.columns)[:1]
        self.metadata = {"format": self.kind, "source": self.path.name, "fps": self._rate}

    def rows(self, column: str, episode: int) -> np.ndarray:
        feature = self._features[column]
        if feature["dtype"] == "video":
            return self._frames(column, episode)
        path, begin = self._files[episode]
        array = self._table(path, column).slice(begin, int(self.lengths[episode]))
        if feature["dtype"] == "image":
            return np.stack([_picture(cell) for cell in array.to_pylist()])
        while array.type.num_fields == 1:  # lists of numbers
            array = array.flatten()
        return array.to_numpy(zero_copy_only=False).reshape(int(self.lengths[episode]), -1)

    def _find_episodes(self) -> None:
        """Where each episode's rows are: its file and its first row in it."""
        found: dict[int, tuple[Path, int, int]] = {}
        for path in sorted(self.path.glob("data/**/*.parquet")):
            numbers = self._table(path, EPISODE).to_numpy(zero_copy_only=False)
            starts = np.concatenate([[0], np.flatnonzero(np.diff(numbers)) + 1])
            ends = [*starts[1:], len(numbers)]
            for begin, end in zip(starts.tolist(), ends, strict=True):
                if int(numbers[begin]) in found:
                    raise ValueError(f"rows of episode {numbers[begin]} must follow each other")
                found[int(numbers[begin])] = path, begin, int(end) - begin
        if not found:
            raise FileNotFoundError("there are no rows in data/**/*.parquet")
        self._numbers = sorted(found)
        self._files = [found[number][:2] for number in self._numbers]
        self.lengths = np.array([found[number][2] for number in self._numbers])

    def _locations(self) -> dict[int, dict[str, Any]]:
        """What `meta/episodes` says of each episode's videos."""
        parquet = _parquet()
        rows: dict[int, dict[str, Any]] = {}
        for path in sorted(self.path.glob("meta/episodes/**/*.parquet")):
            names = parquet.read_schema(path).names
            wanted = [name for name in names if name == EPISODE or name.startswith("videos/")]
            for row in parquet.read_table(path, columns=wanted).to_pylist():
                rows[int(row[EPISODE])] = row
        return rows

    def _frames(self, column: str, episode: int) -> np.ndarray:
        where, named = self._located.get(self._numbers[episode], {}), f"videos/{column}/"
        files = sorted(self.path.glob(f"{named}**/*.mp4"))
        if f"{named}from_timestamp" in where:
            chunk, file = where[f"{named}chunk_index"], where[f"{named}file_index"]
            path = self.path / named / f"chunk-{chunk:03d}" / f"file-{file:03d}.mp4"
            first = round(where[f"{named}from_timestamp"] * self._rate)
        elif len(files) == 1:
            path, first = files[0], int(self.lengths[:episode].sum())
        else:
            raise KeyError(f"meta/episodes does not say where {column} of an episode begins")
        if column not in self._videos or self._videos[column].path != path:
            if column in self._videos:
                self._videos[column].close()
            self._videos[column] = self.opened.enter_context(closing(VideoFrames(path)))
        return self._videos[column].at(first + np.arange(self.lengths[episode]))

    def _table(self, path: Path, column: str) -> Any:
        """A column of a file; those of the last file are kept."""
        if self._cached[0] != path:
            self._cached = path, {}
        columns = self._cached[1]
        if column not in columns:
            table = _parquet().read_table(path, columns=[column])
            columns[column] = table.column(column).combine_chunks()
        return columns[column]


def _shape(feature: dict[str, Any]) -> tuple[int, ...]:
    """The value in a row; pictures are decoded as (H, W, C), whatever is said."""
    shape = tuple(feature["shape"])
    if feature["dtype"] in VISUAL and shape[0] < min(shape[1:]):
        return *shape[1:], shape[0]
    return shape


def _is_number(dtype: str) -> bool:
    return dtype.startswith(("float", "int", "uint", "bool"))


def _picture(cell: dict[str, Any]) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(cell["bytes"])) as picture:
        return np.asarray(picture.convert("RGB"))


def _parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ImportError(
            'LeRobot datasets need the extra: run `pip install "jepa-agent[lerobot]"`'
        ) from None
    return pyarrow.parquet
