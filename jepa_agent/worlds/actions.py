"""What actions an environment takes, and how models see them: as rows of numbers.

A discrete action is a row of one-hot vectors, one for each of its integers or bits.
"""

from __future__ import annotations

import math
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
        bounds = _box(space, norm)
    elif isinstance(space, gym.spaces.Discrete):
        first = int(space.start)
        bounds = ActionBounds.one_hot((int(space.n),), (first,) if first else (), ())
    elif isinstance(space, gym.spaces.MultiDiscrete):
        sizes, starts = (tuple(each.ravel().tolist()) for each in (space.nvec, space.start))
        shape = _unless_row(space.nvec.shape)
        bounds = ActionBounds.one_hot(sizes, starts if any(starts) else (), shape)
    elif isinstance(space, gym.spaces.MultiBinary):
        bounds = ActionBounds.one_hot((2,) * math.prod(space.shape), shape=_unless_row(space.shape))
    else:
        raise ValueError(
            "the action space must be a Box, Discrete, MultiDiscrete or MultiBinary, got "
            f"{space}; make one of it, such as by gymnasium.wrappers.TransformAction"
        )
    if own and isinstance(world, HasIdleAction):
        idle = world.idle_action
        if np.size(idle) != (len(bounds.categories) or len(bounds.low)):
            raise ValueError(
                f"idle_action of {type(world).__name__} must be an action of {space}, got {idle}; "
                "give one that does nothing"
            )
        bounds = replace(bounds, idle=tuple(to_row(bounds, idle).tolist()))
    return bounds


def _box(space: gym.spaces.Box, norm: float | None) -> ActionBounds:
    low, high = (tuple(map(float, limit.ravel())) for limit in (space.low, space.high))
    fixed = [index for index, (a, b) in enumerate(zip(low, high, strict=True)) if not a < b]
    if fixed or not low:
        raise ValueError(
            "an action must be of numbers that can vary, got "
            f"{space}, {f'whose numbers {fixed} cannot' if fixed else 'of none'}; leave them out, "
            "such as by gymnasium.wrappers.TransformAction"
        )
    dtype = None if space.dtype == np.float32 else str(space.dtype)
    return ActionBounds(low, high, norm, shape=_unless_row(space.shape), dtype=dtype)


def as_taken(bounds: ActionBounds, own: ActionBounds) -> ActionBounds:
    """The bounds, with actions in the form in which an environment of bounds `own` takes them."""
    return replace(bounds, start=own.start, shape=own.shape, dtype=own.dtype)


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
    elif bounds.dtype is not None:
        exact = np.rint(rows) if bounds.is_whole else rows
        rows = exact.astype(np.float64).clip(bounds.low, bounds.high).astype(bounds.dtype)
    if bounds.shape is None:
        return rows
    rows = rows.reshape((*rows.shape[:-1], *bounds.shape))
    return rows[()] if bounds.categories else rows  # an integer is no array
