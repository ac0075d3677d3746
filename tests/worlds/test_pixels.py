from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent.worlds.pixels import RenderedObservation


def test_frames_are_shown_and_vectors_kept_as_states() -> None:
    plain = gym.make("Pendulum-v1", render_mode="rgb_array")
    env = RenderedObservation(gym.make("Pendulum-v1", render_mode="rgb_array"))
    (state, _), (frame, info) = plain.reset(seed=2), env.reset(seed=2)
    for _ in range(2):
        np.testing.assert_array_equal(frame, plain.render())
        np.testing.assert_array_equal(info["state"], state)
        assert env.observation_space.contains(frame)
        action = np.float32([1.5])
        (state, *_), (frame, *_, info) = plain.step(action), env.step(action)


def test_frames_are_scaled_by_averaging() -> None:
    env = RenderedObservation(gym.make("Pendulum-v1", render_mode="rgb_array"), size=50)
    frame, _ = env.reset(seed=0)
    assert frame.shape == env.observation_space.shape == (50, 50, 3)
    whole = np.asarray(env.render())
    expected = whole.reshape(50, 10, 50, 10, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(frame, expected, atol=1)


def test_of_a_goal_environment_the_observation_is_the_state() -> None:
    made = gym.make("TwoRooms-v0", obs_type="state", render_mode="rgb_array")
    frame, info = RenderedObservation(made).reset(seed=0)
    assert frame.shape == (520, 520, 3)
    assert info["state"].shape == (4,)


def test_errors_name_rule_and_fix() -> None:
    with pytest.raises(ValueError, match=r"render_mode='rgb_array', got None; rebuild it"):
        RenderedObservation(gym.make("Pendulum-v1"))
    with pytest.raises(ValueError, match="size must be at least 0, got -1"):
        RenderedObservation(gym.make("Pendulum-v1", render_mode="rgb_array"), -1)
