"""Observations that hold the last few frames, where one frame is not a state."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import FrameStackObservation, TransformObservation


def stack_frames(env: gym.Env, frames: int) -> gym.Env:
    """Wrap an environment so that observations are its last frames, oldest first.

    Frames are stacked by Gymnasium's own wrapper and then folded: images (H, W, C) into
    (H, W, frames * C), grey ones (H, W) into (H, W, frames), vectors (S,) into (frames * S,); in a
    dict observation, every entry. The first frame of an episode is repeated.

    Args:
        env: of Box observations, or a dict of them.
        frames: how many; 1 changes nothing but grey images, which get their channel axis.
    """
    if frames < 1:
        raise ValueError(f"frames must be at least 1, got {frames}")
    space = env.observation_space
    parts = space.values() if isinstance(space, gym.spaces.Dict) else [space]
    if frames == 1 and not any(_is_grey(part.dtype, len(part.shape or ())) for part in parts):
        return env
    stacked = FrameStackObservation(env, frames)
    return TransformObservation(stacked, _fold, _fold_space(stacked.observation_space))


def _fold(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: _fold(value) for key, value in observation.items()}
    if _is_grey(observation.dtype, observation.ndim - 1):
        return np.stack(observation, axis=-1)
    return np.concatenate(observation, axis=-1)


def _is_grey(dtype: np.dtype | None, ndim: int) -> bool:
    return dtype == np.uint8 and ndim == 2


def _fold_space(space: gym.Space) -> gym.Space:
    if isinstance(space, gym.spaces.Dict):
        return gym.spaces.Dict({key: _fold_space(value) for key, value in space.items()})
    if not isinstance(space, gym.spaces.Box):
        raise ValueError(f"frames of a Box can be stacked, got {space}; wrap the environment")
    return gym.spaces.Box(_fold(space.low), _fold(space.high), dtype=space.dtype.type)
