from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
import pytest

from jepa_agent.viz.videos import VideoWriter


def frames(count: int) -> list[np.ndarray]:
    """Frames that get brighter."""
    return [np.full((64, 48, 3), 20 * index, dtype=np.uint8) for index in range(count)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio's reader
@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_a_video_can_be_read_back(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "new" / f"video{ending}"
    with VideoWriter(path, fps=10) as writer:
        for frame in frames(5):
            writer.add(frame)
        assert not path.exists()
    assert os.listdir(path.parent) == [path.name]
    reader: Any = imageio.get_reader(path)
    read = [np.asarray(frame)[..., :3] for frame in reader]
    reader.close()
    assert len(read) == 5
    for frame, original in zip(read, frames(5), strict=True):
        assert frame.shape == original.shape
        assert np.abs(frame.astype(int) - original).max() < 12


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio's reader
def test_an_mp4_keeps_its_size_if_even(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for size, kept in (((58, 84), (58, 84)), ((57, 83), (58, 84))):
        with VideoWriter(tmp_path / "a.mp4", fps=10) as writer:
            for _ in range(3):
                writer.add(np.zeros((*size, 3), np.uint8))
        reader: Any = imageio.get_reader(tmp_path / "a.mp4")
        assert reader.get_data(0).shape[:2] == kept
        reader.close()
    assert "macro" not in caplog.text


def write_and_fail(path: Path, count: int) -> None:
    with VideoWriter(path, 10) as writer:
        for frame in frames(count):
            writer.add(frame)
        raise KeyboardInterrupt


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
@pytest.mark.parametrize("count", [0, 2])
def test_an_error_leaves_no_file(tmp_path: Path, ending: str, count: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(tmp_path / f"video{ending}", count)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_an_error_leaves_an_old_file(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"video{ending}"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(path, 1)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["video.avi", "video", "video.gif.zip"])
def test_another_ending_is_rejected(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"must end in \.gif or \.mp4, got .*; rename it"):
        VideoWriter(tmp_path / "new" / name, 10)
    assert os.listdir(tmp_path) == []
