from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Text
from gymnasium.wrappers import TransformObservation

from jepa_agent.worlds.history import held, stack_frames


def test_vectors_are_the_last_frames_oldest_first() -> None:
    plain, stacked = gym.make("Pendulum-v1"), stack_frames(gym.make("Pendulum-v1"), 3)
    first, _ = plain.reset(seed=4)
    seen, _ = stacked.reset(seed=4)
    frames = [first, first, first]
    np.testing.assert_array_equal(seen, np.concatenate(frames))
    for action in ([1.0], [-2.0]):
        frames = [*frames[1:], plain.step(np.float32(action))[0]]
        seen = stacked.step(np.float32(action))[0]
        np.testing.assert_array_equal(seen, np.concatenate(frames))
        assert stacked.observation_space.contains(seen)


def test_images_gain_channels_in_every_entry_of_a_dict() -> None:
    env = stack_frames(gym.make("TwoRooms-v0"), 2)
    before, _ = env.reset(seed=0)
    after = env.step(np.float32([1, 0]))[0]
    assert env.observation_space.contains(after)
    for key in ("observation", "achieved_goal", "desired_goal"):
        assert after[key].shape == (65, 65, 6)
        np.testing.assert_array_equal(after[key][..., :3], before[key][..., 3:])


def test_a_held_observation_shows_its_last_frame_alone() -> None:
    images = np.arange(2 * 2 * 6).reshape(2, 2, 6)
    last = images[..., 3:]
    np.testing.assert_array_equal(held(images, 2), np.concatenate([last, last], axis=-1))
    np.testing.assert_array_equal(held(np.array([1, 2, 3, 4, 5, 6]), 3), [5, 6, 5, 6, 5, 6])
    assert held(images, 1).tolist() == images.tolist()


def test_one_frame_changes_nothing_and_none_is_an_error() -> None:
    env = gym.make("Pendulum-v1")
    assert stack_frames(env, 1) is env
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        stack_frames(env, 0)
    with pytest.raises(ValueError, match="frames of a Box can be stacked"):
        stack_frames(TransformObservation(env, str, Text(8)), 2)


@pytest.mark.parametrize("frames", [1, 3])
def test_grey_images_get_a_channel_for_every_frame(frames: int) -> None:
    colour = gym.make("TwoRooms-v0")
    space = Dict({"observation": Box(0, 255, (65, 65), np.uint8)})
    grey = TransformObservation(colour, _grey, space)
    env = stack_frames(grey, frames)
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    expected = colour.unwrapped.render_states(colour.unwrapped.state, colour.unwrapped.layout)
    for frame in range(frames):
        np.testing.assert_array_equal(seen["observation"][..., frame], expected[..., 0])


def _grey(observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"observation": observation["observation"][..., 0]}
