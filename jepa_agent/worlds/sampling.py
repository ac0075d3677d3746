"""Random actions."""

from __future__ import annotations

import copy

import gymnasium as gym
import numpy as np

UNBOUNDED = 1e30
"""Bounds beyond this are no bounds: the largest number of a type stands for infinity."""


def sampling_space(space: gym.Space) -> gym.Space:
    """A copy of an action space to sample from: uniform, or normal where it has no bounds.

    A Box whose bounds are the largest numbers of its type counts as unbounded; to sample uniformly
    between them overflows.
    """
    if not isinstance(space, gym.spaces.Box) or space.dtype.kind != "f":
        return copy.deepcopy(space)
    low, high = (np.where(np.abs(b) > UNBOUNDED, np.copysign(np.inf, b), b)
                 for b in (space.low, space.high))  # fmt: skip
    return gym.spaces.Box(low, high, dtype=space.dtype.type)
