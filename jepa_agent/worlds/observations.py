"""Observations in one form: vectors (S,), or uint8 images (H, W, C)."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

CODES = (gym.spaces.Discrete, gym.spaces.MultiDiscrete, gym.spaces.MultiBinary)
"""Spaces of codes, which become one-hot vectors."""


class StandardObservation(gym.ObservationWrapper, RecordConstructorArgs):
    """Shows images as uint8 (H, W, C) and codes as one-hot vectors; see `standard_space`.

    Args:
        env: of any observations; of a dict, every entry is looked at.
    """

    def __init__(self, env: gym.Env) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        self.observation_space = standard_space(env.observation_space)

    def observation(self, observation: Any) -> Any:
        """The observation in its standard form."""
        return _standard(self.env.observation_space, observation)


def standard_observations(env: gym.Env) -> gym.Env:
    """Wrap an environment whose observations are in another form than the standard one."""
    space = env.observation_space
    if standard_space(space) == space:
        return env
    seen = space.spaces.get("observation", space) if isinstance(space, gym.spaces.Dict) else space
    if isinstance(seen, gym.spaces.Dict) and len(_kept(seen)) < len(seen.spaces):
        left_out = sorted({*seen.spaces} - {*_kept(seen)})
        warnings.warn(
            f"of the observation, {left_out} are left out, being neither vectors nor images",
            stacklevel=2,
        )
    return StandardObservation(env)


def standard_space(space: gym.Space) -> gym.Space:
    """The space of the standard form of a space's observations.

    | observation | standard form |
    |---|---|
    | a vector of any number type | as it is |
    | one number, a Box of shape () | a vector (1,) |
    | uint8 image (H, W, C) | as it is |
    | image (C, H, W): the first axis is shorter than both others | (H, W, C) |
    | image (H, W) | (H, W, 1) |
    | image of another number type in [0, 1], or in [0, 255] | uint8, 255 for the largest |
    | Discrete, MultiDiscrete, MultiBinary | a one-hot vector, or several in a row |
    | a dict with an entry "observation" | the same, of all entries |
    | any other dict, of several parts | the same, without parts that are none of these |

    Others stay as they are.
    """
    if isinstance(space, gym.spaces.Dict):
        return gym.spaces.Dict({key: standard_space(space[key]) for key in _kept(space)})
    if isinstance(space, CODES):
        flat = gym.spaces.flatten_space(space)
        return gym.spaces.Box(0, 1, flat.shape, np.float32)
    if not isinstance(space, gym.spaces.Box):
        return space
    if space.shape == ():
        return gym.spaces.Box(space.low.reshape(1), space.high.reshape(1), dtype=space.dtype.type)
    if not _is_image(space):
        return space
    shape = channels_last(np.empty(space.shape)).shape
    if space.dtype == np.uint8 and shape == space.shape:
        return space
    return gym.spaces.Box(0, 255, shape, np.uint8)


def check_observations(space: gym.Space) -> None:
    """Raise ValueError unless a space is of vectors, images or rows of bytes, or a dict of one."""
    if isinstance(space, gym.spaces.Dict) and "observation" in space.spaces:
        known = {"observation", "achieved_goal", "desired_goal", "state"}
        left_out = sorted({*space.spaces} - known)
        if left_out:
            warnings.warn(
                f"of the observation, only the entry 'observation' is recorded, not {left_out}",
                stacklevel=3,
            )
        space = space["observation"]
    if not _is_known(space):
        raise ValueError(
            "observations must be vectors (S,) or images (H, W), (H, W, C) or (C, H, W), uint8 or "
            f"in [0, 1], got {space}; wrap the environment"
        )


def channels_last(image: np.ndarray) -> np.ndarray:
    """An image (H, W, C) of one (H, W), (C, H, W) or (H, W, C)."""
    if image.ndim == 2:
        return image[..., None]
    return np.moveaxis(image, 0, -1) if image.shape[0] < min(image.shape[1:]) else image


def as_uint8(image: np.ndarray, largest: float = 1.0) -> np.ndarray:
    """Pixels in [0, `largest`] as uint8 in [0, 255], rounded; others are clipped."""
    scaled = np.asarray(image, dtype=np.float32) * (255.0 / largest)
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def as_image(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Images of a shape (H, W, C), one or a batch, of those in another form; others as they are.

    Args:
        array: uint8 or numbers in [0, 1], (H, W, C), (C, H, W) or, of one channel, (H, W).
        shape: (H, W, C), what a model sees.
    """
    height, width, channels = shape
    if array.shape[-3:] == (channels, height, width) != shape:
        array = np.moveaxis(array, -3, -1)
    elif channels == 1 and array.shape[-2:] == (height, width) and array.shape[-3:] != shape:
        array = array[..., None]
    fits = array.shape[-3:] == shape and array.dtype.kind == "f"
    return as_uint8(array) if fits and array.min() >= 0 and array.max() <= 1 else array


def _standard(space: gym.Space, observation: Any) -> Any:
    if isinstance(space, gym.spaces.Dict):
        return {key: _standard(space[key], observation[key]) for key in _kept(space)}
    if isinstance(space, CODES):
        return np.asarray(gym.spaces.flatten(space, observation), dtype=np.float32)
    if not isinstance(space, gym.spaces.Box):
        return observation
    if space.shape == ():
        return np.reshape(observation, 1)
    if not _is_image(space):
        return observation
    image = channels_last(np.asarray(observation))
    return image if image.dtype == np.uint8 else as_uint8(image, _largest(space))


def _kept(space: gym.spaces.Dict) -> list[str]:
    """The entries of a dict that are looked at."""
    if "observation" in space.spaces:
        return [*space.spaces]
    return [key for key, part in space.items() if _is_known(standard_space(part))]


def _is_known(space: gym.Space) -> bool:
    """Whether a space is of vectors (S,) or of uint8 images (H, W, C)."""
    if not isinstance(space, gym.spaces.Box):
        return False
    return len(space.shape) == 1 or (len(space.shape) == 3 and space.dtype == np.uint8)


def _is_image(space: gym.spaces.Box) -> bool:
    in_range = space.dtype == np.uint8 or (space.low.min() >= 0 and space.high.max() <= 255)
    return len(space.shape) in (2, 3) and bool(in_range)


def _largest(space: gym.spaces.Box) -> float:
    return 1.0 if space.high.max() <= 1 else 255.0
