"""Gymnasium's own wrappers around TwoRooms-v0."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import imageio.v3 as iio
import numpy as np
import pytest
from gymnasium.wrappers import (
    FilterObservation,
    FlattenObservation,
    FrameStackObservation,
    HumanRendering,
    RecordEpisodeStatistics,
    RecordVideo,
)

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent.envs import OraclePolicy


def play(env: gym.Env) -> dict:
    """One episode of the oracle; the last info."""
    observation, _ = env.reset(seed=0)
    done = False
    while not done:
        action, _ = OraclePolicy().predict(observation)
        observation, _, terminated, truncated, info = env.step(action)
        done = terminated or truncated
    return info


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_record_video(tmp_path: Path) -> None:
    # (the filter: moviepy leaves its pipes to the garbage collector)
    env = gym.make("TwoRooms-v0", render_mode="rgb_array")
    env = RecordVideo(env, str(tmp_path / "videos"), disable_logger=True)
    play(env)
    env.close()
    (video,) = (tmp_path / "videos").glob("*.mp4")
    frames = iio.imread(video)
    assert frames.shape[1:] == (520, 520, 3)
    assert len(frames) > 5


def test_record_episode_statistics() -> None:
    info = play(RecordEpisodeStatistics(gym.make("TwoRooms-v0")))
    assert info["episode"]["r"] == -(info["episode"]["l"] - 1)  # -1 a step, 0 at the goal


def test_human_rendering_shows_frames() -> None:
    env = HumanRendering(gym.make("TwoRooms-v0", render_mode="rgb_array"))
    assert play(env)["is_success"]
    env.close()


def test_frames_stack() -> None:
    env = FilterObservation(gym.make("TwoRooms-v0"), ["observation"])
    stacked = FrameStackObservation(env, 3)
    observation, _ = stacked.reset(seed=0)
    assert observation["observation"].shape == (3, 65, 65, 3)
    following, *_ = stacked.step(np.array([1.0, 0.0], dtype=np.float32))
    np.testing.assert_array_equal(following["observation"][:2], observation["observation"][1:])


def test_states_flatten_to_a_vector() -> None:
    observation, _ = FlattenObservation(gym.make("TwoRooms-v0", obs_type="state")).reset(seed=0)
    assert observation.shape == (8,)
