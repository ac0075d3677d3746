"""The environment behind trajectories, and what it shows of them."""

from __future__ import annotations

import gymnasium as gym

from ..planners import ActionBounds
from ..worlds.actions import action_bounds
from ..worlds.protocols import RendersStates
from ..worlds.reference import EnvRef
from .trajectories import Trajectories
from .windows import Renderer


def env_of(trajectories: Trajectories) -> EnvRef:
    """The environment that trajectories come from, by their metadata."""
    metadata = trajectories.metadata
    if not {"env_id", "env_kwargs"} <= set(metadata):
        raise ValueError(
            "the trajectories' metadata must name their environment by env_id and env_kwargs, got "
            f"{sorted(metadata)}; add them"
        )
    return EnvRef(metadata["env_id"], metadata["env_kwargs"], metadata.get("history", 1))


def world_shape(
    spec: EnvRef, trajectories: Trajectories
) -> tuple[tuple[tuple[int, ...], int, int], Renderer | None, ActionBounds]:
    """What a model must fit: ((observation_shape, action_dim, state_dim), renderer, bounds).

    Observations that the data store are used before those that the environment could render.

    Raises:
        ValueError: if the data hold nothing that the environment shows.
    """
    env = spec.make()
    space = env.observation_space
    if isinstance(space, gym.spaces.Dict):
        space = space["observation"]
    shape, state_dim = tuple(space.shape or ()), trajectories.states.shape[1]
    stored, world = trajectories.observations, env.unwrapped
    seen = (state_dim,) if stored is None else stored.shape[1:]
    draws = stored is None and len(shape) == 3
    render = world.render_states if draws and isinstance(world, RendersStates) else None
    if render is None and seen != shape:
        raise ValueError(
            f"{spec.id} shows {shape} and has no batched renderer `render_states(states, layout)`;"
            f" its data must hold such observations, got {seen}; collect from it again"
        )
    bounds = action_bounds(env)
    env.close()
    return (shape, len(bounds.low), state_dim), render, bounds
