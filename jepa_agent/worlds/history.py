"""Observations that hold the last few frames, where one frame is not a state."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import FrameStackObservation, TransformObservation

from .observations import standard_observations
from .parts import pack_parts


def stack_frames(env: gym.Env, frames: int) -> gym.Env:
    """Wrap an environment so that observations are its last frames, oldest first.

    A frame is an observation in its standard form; see `standard_space`. Frames are stacked by
    Gymnasium's own wrapper and then folded: images (H, W, C) into (H, W, frames * C), vectors (S,)
    into (frames * S,); in a dict observation, every entry. The first frame of an episode is
    repeated. An observation of several parts is shown as a row of bytes at last; see `parts`.

    Args:
        env: of Box observations, or a dict of them.
        frames: how many; 1 changes nothing but the form.
    """
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    env = standard_observations(env)
    if frames == 1:
        return pack_parts(env)
    stacked = FrameStackObservation(env, frames)
    folded = TransformObservation(stacked, _fold, _fold_space(stacked.observation_space))
    return pack_parts(folded)


def held(observation: np.ndarray, frames: int) -> np.ndarray:
    """The last frame of an observation (..., frames * C), repeated: nothing moves.

    So a world's `desired_goal` is stacked, which stays as it is for an episode.
    """
    channels = observation.shape[-1] // frames
    return np.concatenate([observation[..., -channels:]] * frames, axis=-1)


def _fold(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: _fold(value) for key, value in observation.items()}
    return np.concatenate(observation, axis=-1)


def _fold_space(space: gym.Space) -> gym.Space:
    if isinstance(space, gym.spaces.Dict):
        return gym.spaces.Dict({key: _fold_space(value) for key, value in space.items()})
    if not isinstance(space, gym.spaces.Box):
        raise ValueError(f"frames of a Box can be stacked, got {space}; wrap the environment")
    return gym.spaces.Box(_fold(space.low), _fold(space.high), dtype=space.dtype.type)
