"""What actions an environment takes."""

from __future__ import annotations

import gymnasium as gym

from ..planners import ActionBounds
from .protocols import HasIdleAction


def action_bounds(env: gym.Env) -> ActionBounds:
    """The bounds of an environment's actions: its box, and what the world says about them.

    That is `action_norm` and `idle_action`, unless wrappers change the actions.
    """
    space, world = env.action_space, env.unwrapped
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        raise ValueError(
            f"the action space must be a Box of one dimension, got {space}; wrap the environment"
        )
    norm = idle = None
    if space == world.action_space:
        norm = getattr(world, "action_norm", None)
        if isinstance(world, HasIdleAction):
            idle = tuple(float(number) for number in world.idle_action)
    return ActionBounds(tuple(space.low.tolist()), tuple(space.high.tolist()), norm, idle)
