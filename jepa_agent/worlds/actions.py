"""What actions an environment takes, and how models see them: as rows of numbers.

A discrete action is a row of one-hot vectors, one for each of its integers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np

from ..planners import ActionBounds
from .protocols import HasIdleAction


def action_bounds(env: gym.Env) -> ActionBounds:
    """The bounds of an environment's actions: its space, and what the world says about them.

    That is `action_norm` and `idle_action`, unless wrappers change the actions.
    """
    space, world = env.action_space, env.unwrapped
    own = space == world.action_space
    if isinstance(space, gym.spaces.Box):
        norm = getattr(world, "action_norm", None) if own else None
        low, high = (tuple(limit.ravel().tolist()) for limit in (space.low, space.high))
        bounds = ActionBounds(low, high, norm, shape=_unless_row(space.shape))
    elif isinstance(space, gym.spaces.Discrete):
        first = int(space.start)
        bounds = ActionBounds.one_hot((int(space.n),), (first,) if first else (), ())
    elif isinstance(space, gym.spaces.MultiDiscrete):
        sizes, starts = (tuple(each.ravel().tolist()) for each in (space.nvec, space.start))
        shape = _unless_row(space.nvec.shape)
        bounds = ActionBounds.one_hot(sizes, starts if any(starts) else (), shape)
    else:
        raise ValueError(
            f"the action space must be a Box, Discrete or MultiDiscrete, got {space}; wrap the "
            "environment"
        )
    if own and isinstance(world, HasIdleAction):
        idle = tuple(to_row(bounds, world.idle_action).tolist())
        bounds = replace(bounds, idle=idle)
    return bounds


def _unless_row(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    return None if len(shape) == 1 else tuple(shape)


def to_row(bounds: ActionBounds, action: Any) -> np.ndarray:
    """One action of an environment as a model sees it, float32 (A,)."""
    numbers = np.asarray(action).reshape(-1)
    if not bounds.categories:
        return numbers.astype(np.float32)
    which = numbers.astype(np.int64) - np.array(bounds.start or 0)
    hot = [np.arange(size) == one for size, one in zip(bounds.categories, which, strict=True)]
    return np.concatenate(hot).astype(np.float32)


def from_rows(bounds: ActionBounds, rows: np.ndarray) -> np.ndarray:
    """Actions as an environment takes them, of rows (..., A)."""
    if bounds.categories:
        groups = np.split(rows, np.cumsum(bounds.categories)[:-1], axis=-1)
        rows = np.stack([group.argmax(axis=-1) for group in groups], axis=-1)
        rows = rows + np.array(bounds.start or 0, dtype=np.int64)
    if bounds.shape is None:
        return rows
    return rows.reshape((*rows.shape[:-1], *bounds.shape))[()]  # an integer is no array
