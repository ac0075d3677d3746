"""LeRobot datasets of version 3, written as its documentation lays them out."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from jepa_agent.data.formats import Selection, import_data, read, recording_of
from jepa_agent.data.trajectory_file import TrajectoryFileError

from .conftest import Logged

RATE = 10
TOP = "observation.images.top"
NEAR = 12
"""How far the grey levels of a compressed video may be from those it was made of."""


def feature(dtype: str, *shape: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "names": None}


def written(logged: Logged, root: Path, version: str = "v3.0", visual: str = "video") -> Path:
    """Two files of numbers and of frames: of the first two episodes, and of the third."""
    features = {
        "observation.state": feature("float32", 3),
        "action": feature("float32", 2),
        "timestamp": feature("float32", 1),
        "frame_index": feature("int64", 1),
        "episode_index": feature("int64", 1),
        "index": feature("int64", 1),
        "next.reward": feature("float32", 1),
        TOP: feature(visual, 16, 12, 3),
        "note": feature("string", 1),
    }
    info = {
        "codebase_version": version, "fps": RATE, "total_episodes": 3, "total_frames": 9,
        "robot_type": "so100", "features": features,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }  # fmt: skip
    steps = np.concatenate([np.arange(length) for length in logged.lengths])
    for folder in ("meta/episodes/chunk-000", "data/chunk-000", f"videos/{TOP}/chunk-000"):
        (root / folder).mkdir(parents=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    for file, rows in enumerate((slice(0, 6), slice(6, 9))):
        columns = {
            "observation.state": pa.array(logged.states[rows].tolist(), pa.list_(pa.float32(), 3)),
            "action": pa.array(logged.actions[rows].tolist(), pa.list_(pa.float32())),
            "timestamp": pa.array(steps[rows] / RATE, pa.float32()),
            "frame_index": pa.array(steps[rows]),
            "episode_index": pa.array(logged.ids[rows]),
            "index": pa.array(np.arange(9)[rows]),
            "next.reward": pa.array(np.arange(9)[rows], pa.float32()),
            "note": pa.array(["a"] * len(steps[rows])),
        }
        if visual == "image":
            columns[TOP] = pa.array(
                [{"bytes": png(image), "path": None} for image in logged.images[rows]]
            )
        else:
            path = root / f"videos/{TOP}/chunk-000/file-{file:03d}.mp4"
            iio.imwrite(path, logged.images[rows], fps=RATE, macro_block_size=2)
        pq.write_table(pa.table(columns), root / f"data/chunk-000/file-{file:03d}.parquet")
    episodes = {
        "episode_index": [0, 1, 2], "length": [4, 2, 3], "tasks": [["push"]] * 3,
        f"videos/{TOP}/chunk_index": [0, 0, 0], f"videos/{TOP}/file_index": [0, 0, 1],
        f"videos/{TOP}/from_timestamp": [0.0, 4 / RATE, 0.0],
        f"videos/{TOP}/to_timestamp": [4 / RATE, 6 / RATE, 3 / RATE],
    }  # fmt: skip
    pq.write_table(pa.table(episodes), root / "meta/episodes/chunk-000/file-000.parquet")
    return root


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="png")
    return file.getvalue()


def assert_near(images: Any, expected: np.ndarray) -> None:
    assert images.shape == expected.shape
    assert images.dtype == np.uint8
    assert np.abs(images[:].astype(int) - expected).max() <= NEAR


def test_numbers_and_frames_are_those_of_the_dataset(logged: Logged, tmp_path: Path) -> None:
    path = written(logged, tmp_path / "arm")
    import_data(path, tmp_path / "out.h5")
    data = read([tmp_path / "out.h5"])
    assert_near(data.observations, logged.images)
    np.testing.assert_array_equal(data.states, logged.states)
    np.testing.assert_array_equal(data.actions, logged.kept)
    assert data.offsets.tolist() == [0, 4, 6, 9]
    assert data.metadata["fps"] == RATE
    with recording_of(path) as recording:
        assert recording.kind == "lerobot"
        assert set(recording.columns) == {TOP, "observation.state", "next.reward"}
        for episode in (2, 0, 1, 0):  # back and forth
            assert_near(recording.rows(TOP, episode), logged.images[logged.ids == episode])


def test_states_need_no_video(logged: Logged, tmp_path: Path) -> None:
    path = written(logged, tmp_path / "arm")
    shutil.rmtree(path / "videos")
    data = read([path], selection=Selection("state"))
    np.testing.assert_array_equal(data.states, logged.states)
    assert data.observations is None
    with pytest.raises(TrajectoryFileError, match=r"LeRobot dataset.*no video .*file-000\.mp4"):
        read([path])


def test_pictures_in_the_table_are_exact(logged: Logged, tmp_path: Path) -> None:
    data = read([written(logged, tmp_path / "arm", visual="image")])
    np.testing.assert_array_equal(data.observations, logged.images)


def test_a_single_video_needs_no_index(logged: Logged, tmp_path: Path) -> None:
    path = written(logged, tmp_path / "arm")
    shutil.rmtree(path / "meta/episodes")
    with pytest.raises(TrajectoryFileError, match=r"does not say where observation.images.top"):
        read([path])
    (folder,) = path.glob("videos/*/chunk-000")
    for file in folder.glob("*.mp4"):
        file.unlink()
    iio.imwrite(folder / "file-000.mp4", logged.images, fps=RATE, macro_block_size=2)
    assert_near(read([path]).observations, logged.images)


def test_another_version_or_two_cameras_say_what_to_do(logged: Logged, tmp_path: Path) -> None:
    with pytest.raises(TrajectoryFileError, match=r"version 3, got v2\.1; convert it with"):
        read([written(logged, tmp_path / "old", version="v2.1")])
    path = written(logged, tmp_path / "arm")
    info = json.loads((path / "meta/info.json").read_text())
    info["features"]["observation.images.wrist"] = feature("video", 3, 16, 12)
    (path / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match=r"one column of images, got .*top.*wrist.*--observation"):
        read([path])
    assert_near(read([path], selection=Selection(TOP)).observations, logged.images)


def test_damage_is_named(logged: Logged, tmp_path: Path) -> None:
    path = written(logged, tmp_path / "arm")
    video = path / f"videos/{TOP}/chunk-000/file-001.mp4"
    iio.imwrite(video, logged.images[:2], fps=RATE, macro_block_size=2)
    with pytest.raises(TrajectoryFileError, match=r"file-001\.mp4 must have frame 2, it has 2"):
        read([path])
    video.write_bytes(b"nothing")
    with pytest.raises(TrajectoryFileError, match="must be a complete LeRobot dataset"):
        read([path])
    table = path / "data/chunk-000/file-000.parquet"
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(TrajectoryFileError, match="arm must be a complete LeRobot dataset"):
        read([path])
    (path / "meta/info.json").write_text("{")
    with pytest.raises(TrajectoryFileError, match="arm must be a complete LeRobot dataset"):
        read([path])
