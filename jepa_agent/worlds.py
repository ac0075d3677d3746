"""The environment behind trajectories, and what a model must be to fit it."""

from __future__ import annotations

import gymnasium as gym

from .agent import EnvSpec, action_bounds
from .data import Renderer
from .planners import ActionBounds
from .trajectories import Trajectories
from .world_model import WorldModelConfig


def env_of(trajectories: Trajectories) -> EnvSpec:
    """The environment that trajectories come from, by their metadata."""
    metadata = trajectories.metadata
    if not {"env_id", "env_kwargs"} <= set(metadata):
        raise ValueError(
            "the trajectories' metadata must name their environment by env_id and env_kwargs, got "
            f"{sorted(metadata)}; add them"
        )
    return EnvSpec(metadata["env_id"], metadata["env_kwargs"], metadata.get("history", 1))


def world_shape(
    spec: EnvSpec, trajectories: Trajectories
) -> tuple[tuple[tuple[int, ...], int, int], Renderer | None, ActionBounds]:
    """What a model must fit: ((observation_shape, action_dim, state_dim), renderer, bounds).

    Raises:
        ValueError: if the data hold nothing that the environment shows.
    """
    env = spec.make()
    space = env.observation_space
    if isinstance(space, gym.spaces.Dict):
        space = space["observation"]
    shape, state_dim = tuple(space.shape or ()), trajectories.states.shape[1]
    render = getattr(env.unwrapped, "render_states", None)
    stored = trajectories.observations
    seen = (state_dim,) if stored is None else stored.shape[1:]
    if render is None and seen != shape:
        raise ValueError(
            f"{spec.id} shows {shape} and has no batched renderer `render_states(states, context)`;"
            f" its data must hold such observations, got {seen}; collect from it again"
        )
    bounds = action_bounds(env)
    env.close()
    return (shape, len(bounds.low), state_dim), render, bounds


def world_for(
    model: WorldModelConfig, trajectories: Trajectories
) -> tuple[EnvSpec, Renderer | None, ActionBounds]:
    """The environment that made the data, its renderer and its actions' bounds.

    Raises:
        ValueError: if a model of this shape does not fit it.
    """
    spec = env_of(trajectories)
    expected, render, bounds = world_shape(spec, trajectories)
    states = model.state_dim or expected[2]  # without a probe, any will do
    if expected != (model.observation_shape, model.action_dim, states):
        raise ValueError(
            f"observation_shape, action_dim and state_dim must be {expected} for {spec.id}, "
            f"got {(model.observation_shape, model.action_dim, model.state_dim)}; change the model"
        )
    return spec, render, bounds
