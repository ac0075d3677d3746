"""What actions an environment takes."""

from __future__ import annotations

import gymnasium as gym

from ..planners import ActionBounds


def action_bounds(env: gym.Env) -> ActionBounds:
    """The bounds of an environment's actions: its box, and `action_norm` if it has one."""
    space = env.action_space
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        raise ValueError(
            f"the action space must be a Box of one dimension, got {space}; wrap the environment"
        )
    norm = getattr(env.unwrapped, "action_norm", None)
    return ActionBounds(tuple(space.low.tolist()), tuple(space.high.tolist()), norm)
