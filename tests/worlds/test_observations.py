from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text

from jepa_agent.worlds.observations import (
    as_image,
    as_uint8,
    standard_observations,
    standard_space,
)

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


class Shows(gym.Env):
    """Shows one observation for ever."""

    action_space = Box(-1, 1, (2,))

    def __init__(self, space: gym.Space, observation: Any) -> None:
        self.observation_space, self._observation = space, observation

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        return self._observation, {}


def shown(space: gym.Space, observation: Any) -> Any:
    """What the standard form of an environment shows, which its space must contain."""
    env = standard_observations(Shows(space, observation))
    found, _ = env.reset()
    assert env.observation_space.contains(found)
    return found


TURNED, GREY = np.moveaxis(IMAGE, -1, 0), IMAGE[..., 0]
IMAGES = {
    "H W C": (Box(0, 255, (6, 8, 3), np.uint8), IMAGE, IMAGE),
    "C H W": (Box(0, 255, (3, 6, 8), np.uint8), TURNED, IMAGE),
    "H W": (Box(0, 255, (6, 8), np.uint8), GREY, GREY[..., None]),
    "floats in [0, 1]": (Box(0, 1, (6, 8, 3)), IMAGE / np.float32(255), IMAGE),
    "doubles in [0, 1]": (Box(0, 1, (3, 6, 8), np.float64), TURNED / 255, IMAGE),
    "floats in [0, 255]": (Box(0, 255, (6, 8)), np.float32(GREY), GREY[..., None]),
    "integers": (Box(0, 255, (6, 8, 3), np.int64), IMAGE.astype(np.int64), IMAGE),
    "four frames": (Box(0, 255, (4, 6, 8), np.uint8), np.stack([GREY] * 4),
                    np.stack([GREY] * 4, axis=-1)),
}  # fmt: skip


@pytest.mark.parametrize(("space", "given", "expected"), IMAGES.values(), ids=IMAGES)
def test_images_become_uint8_with_their_channels_last(
    space: gym.Space, given: np.ndarray, expected: np.ndarray
) -> None:
    found = shown(space, given)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    both = shown(Dict(observation=space, desired_goal=space), dict.fromkeys(
        ("observation", "desired_goal"), given))  # fmt: skip
    np.testing.assert_array_equal(both["desired_goal"], expected)


def test_codes_become_one_hot_vectors() -> None:
    np.testing.assert_array_equal(shown(Discrete(4, start=1), np.int64(3)), np.eye(4)[2])
    found = shown(MultiDiscrete([2, 3]), np.array([1, 0]))
    np.testing.assert_array_equal(found, [0, 1, 1, 0, 0])
    np.testing.assert_array_equal(shown(Box(-1, 1, ()), np.float32(0.5)), [0.5])


@pytest.mark.parametrize(
    "space",
    [Box(-1, 1, (3,)), Box(0, 9, (3,), np.int64), Box(-1, 1, (4, 4)), Text(3),
     Box(0, 255, (6, 8, 3), np.uint8)],
)  # fmt: skip
def test_other_spaces_stay_as_they_are(space: gym.Space) -> None:
    env = Shows(space, None)
    assert standard_space(space) == space
    assert standard_observations(env) is env


def test_pixels_are_rounded_and_clipped() -> None:
    np.testing.assert_array_equal(
        as_uint8(np.array([-1, 0, 0.499 / 255, 1, 3])), [0, 0, 0, 255, 255]
    )
    every = np.arange(256)
    np.testing.assert_array_equal(as_uint8(every / 255), every)
    np.testing.assert_array_equal(as_uint8(every, 255), every)


def test_an_agent_takes_images_in_any_form() -> None:
    for batch in ((), (5,)):
        image = np.broadcast_to(IMAGE, (*batch, *IMAGE.shape))
        for given in (image, np.moveaxis(image, -1, -3), image / 255, np.float32(image) / 255):
            np.testing.assert_array_equal(as_image(given, (6, 8, 3)), image)
        grey = image[..., :1]
        for given in (grey, grey[..., 0], np.moveaxis(grey, -1, -3)):
            np.testing.assert_array_equal(as_image(given, (6, 8, 1)), grey)
    assert as_image(IMAGE * 1.0, (6, 8, 3)).dtype == np.float64  # neither uint8 nor in [0, 1]
