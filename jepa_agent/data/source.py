"""The environment behind trajectories, and what it shows of them."""

from __future__ import annotations

import warnings

import gymnasium as gym

from ..planners import ActionBounds
from ..worlds.actions import action_bounds, as_taken
from ..worlds.protocols import HasState, RendersStates
from ..worlds.reference import EnvRef
from ..worlds.rendering import shows_rendering
from .actions import fitted, range_of_actions
from .trajectories import Trajectories
from .windows import Renderer


def env_of(trajectories: Trajectories) -> EnvRef | None:
    """The environment that trajectories come from, by their metadata; None if they name none."""
    metadata = trajectories.metadata
    return EnvRef.from_metadata(metadata) if "env_id" in metadata else None


def world_shape(
    spec: EnvRef | None, trajectories: Trajectories
) -> tuple[tuple[tuple[int, ...], int, int], Renderer | None, ActionBounds]:
    """What a model must fit: ((observation_shape, action_dim, state_dim), renderer, bounds).

    Observations that the data store are used before those that the environment could render.
    Without an environment, or where it is not installed, the data say all: observations are those
    stored, or the states; bounds are those of the metadata, or the range of the actions. What
    nobody says about the actions is read off the data, see `fitted`.

    Raises:
        ValueError: if the data hold nothing that the environment shows, or other actions.
    """
    state_dim, action_dim = trajectories.states.shape[1], trajectories.actions.shape[1]
    shape, render, stated = observed_shape(trajectories), None, recorded_bounds(trajectories)
    bounds = stated
    env = None if spec is None else _built(spec)
    if env is not None:
        shape, render = _shown(env, trajectories)
        own = action_bounds(env)
        bounds = own if bounds is None or own.categories else as_taken(bounds, own)
        env.close()
    elif not all(shape):
        raise ValueError(
            "data without an environment must hold observations or states, got neither; give "
            "Trajectories.from_arrays the observations"
        )
    bounds = bounds or range_of_actions(trajectories)
    return (shape, action_dim, state_dim), render, fitted(bounds, trajectories, stated is not None)


def recorded_bounds(trajectories: Trajectories) -> ActionBounds | None:
    """The bounds of actions that the metadata state, if they do."""
    metadata = trajectories.metadata
    if "action_categories" in metadata:
        categories = tuple(metadata["action_categories"])
        return ActionBounds.one_hot(categories, shape=() if len(categories) == 1 else None)
    if "action_low" not in metadata:
        return None
    return ActionBounds(tuple(metadata["action_low"]), tuple(metadata["action_high"]))


def _built(spec: EnvRef) -> gym.Env | None:
    try:
        return spec.make()
    except (gym.error.Error, ImportError) as error:
        warnings.warn(
            f"{spec.id} cannot be built here ({error}); shapes and bounds are those of its data",
            stacklevel=4,
        )
        return None


def observed_shape(trajectories: Trajectories) -> tuple[int, ...]:
    """The shape of the observations that data store, or else of their states."""
    stored = trajectories.observations
    return trajectories.states.shape[1:] if stored is None else stored.shape[1:]


def _shown(env: gym.Env, trajectories: Trajectories) -> tuple[tuple[int, ...], Renderer | None]:
    space, world = env.observation_space, env.unwrapped
    if isinstance(space, gym.spaces.Dict):
        space = space["observation"]
    shape, seen = tuple(space.shape or ()), observed_shape(trajectories)
    draws = trajectories.observations is None and len(shape) == 3
    render = world.render_states if draws and isinstance(world, RendersStates) else None
    if render is None and seen != shape:
        raise ValueError(
            f"{_name(env)} shows {shape} and has no batched renderer "
            f"`render_states(states, layout)`; its data must hold such observations, got {seen}; "
            "collect from it again"
        )
    known = render is not None and isinstance(world, HasState)
    if known and not shows_rendering(world, env.reset(seed=0)[0]):
        raise ValueError(
            f"{_name(env)} shows other images than its `render_states` makes, such as those of a "
            "wrapper; its data must hold what it shows, collect from it again"
        )
    return shape, render


def _name(env: gym.Env) -> str:
    return env.spec.id if env.spec else type(env.unwrapped).__name__
