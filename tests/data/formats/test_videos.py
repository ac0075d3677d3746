"""A folder of videos with a table of actions."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from jepa_agent.data.formats import read
from jepa_agent.data.formats.frames import VideoFrames
from jepa_agent.data.trajectory_file import TrajectoryFileError

from .conftest import Logged

NEAR = 12


def written(logged: Logged, folder: Path, suffix: str = ".mp4") -> Path:
    """An episode per video; the last actions are empty."""
    folder.mkdir()
    lines = ["video,frame,x,y,state_0"]
    for episode in range(3):
        rows = np.flatnonzero(logged.ids == episode)
        name = f"take-{episode}{suffix}"
        frames = logged.images[rows]
        options = {"fps": 10, "macro_block_size": 2} if suffix == ".mp4" else {"duration": 100}
        iio.imwrite(folder / name, frames, **options)
        for frame, row in enumerate(rows):
            action = ",".join(map(str, logged.actions[row])) if row not in logged.last else ","
            lines.append(f"{name},{frame},{action},{logged.states[row, 0]}")
    (folder / "actions.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_frames_and_numbers_are_those_of_the_folder(
    logged: Logged, tmp_path: Path, suffix: str
) -> None:
    path = written(logged, tmp_path / "takes", suffix)
    data = read([path])
    assert data.observations.shape == logged.images.shape
    assert np.abs(data.observations[:].astype(int) - logged.images).max() <= NEAR
    np.testing.assert_array_equal(data.actions, logged.kept)
    np.testing.assert_array_equal(data.states, logged.states[:, :1])
    assert data.offsets.tolist() == [0, 4, 6, 9]
    assert data.metadata["format"] == "videos"
    assert data.metadata["action_names"] == ["x", "y"]


def test_frames_may_be_left_out(logged: Logged, tmp_path: Path) -> None:
    path = written(logged, tmp_path / "takes")
    (path / "actions.csv").write_text("video,frame,x\ntake-0.mp4,0,0.5\ntake-0.mp4,3,\n")
    data = read([path])
    assert np.abs(data.observations[:].astype(int) - logged.images[[0, 3]]).max() <= NEAR
    assert data.actions.tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video,x\na.mp4,1\n", r"must have columns video, frame and actions, got \['video', 'x'\]"),
        ("video,frame,x\ntake-0.mp4,0\n", "line 2 of actions.csv must have 3 fields"),
        ("video,frame,x\ntake-0.mp4,0,fast\n", "column x of actions.csv must be of numbers"),
        ("video,frame,x\ntake-0.mp4,1,1\ntake-0.mp4,0,1\n", "whole numbers that rise"),
        ("video,frame,x\na.mp4,0,1\nb.mp4,0,1\na.mp4,1,1\n", "must follow each other"),
        ("video,frame,x\na.mp4,0,1\na.mp4,1,1\n", "there is no video"),
        ("video,frame,x\ntake-0.mp4,0,1\ntake-0.mp4,9,1\n", "must have frame 9, it has 4"),
        ("video,frame,x\ntake-0.mp4,0,\ntake-0.mp4,1,1\n", "actions must be finite"),
        ("video,frame,state\ntake-0.mp4,0,1\ntake-0.mp4,1,1\n", "a column for each number"),
        ("video,frame,x\n", "videos"),
        ("", "videos"),
    ],
)
def test_a_table_that_does_not_fit_says_why(
    logged: Logged, tmp_path: Path, table: str, message: str
) -> None:
    path = written(logged, tmp_path / "takes")
    (path / "actions.csv").write_text(table)
    with pytest.raises(TrajectoryFileError, match=message):
        read([path])


def test_a_damaged_video_is_named(logged: Logged, tmp_path: Path) -> None:
    path = written(logged, tmp_path / "takes")
    (path / "take-1.mp4").write_bytes(b"nothing")
    with pytest.raises(TrajectoryFileError, match="takes must be a complete folder of videos"):
        read([path])


def test_frames_are_read_in_any_order_by_their_numbers(logged: Logged, tmp_path: Path) -> None:
    frames = VideoFrames(written(logged, tmp_path / "takes", ".gif") / "take-0.gif")
    for numbers in ([0, 1], [2], [3], [1, 3], [0]):
        found = frames.at(np.array(numbers))
        assert np.abs(found.astype(int) - logged.images[numbers]).max() <= NEAR
    frames.close()
