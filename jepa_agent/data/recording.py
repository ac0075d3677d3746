"""Trajectories of any Gymnasium environment, recorded by playing it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from ..worlds.history import stack_frames
from ..worlds.pixels import RenderedObservation
from ..worlds.protocols import HasLayout, HasState, RendersStates
from ..worlds.reference import EnvRef
from ..worlds.sampling import sampling_space
from .trajectories import Trajectories
from .trajectory_file import TrajectoryWriter


def record(
    env: gym.Env | EnvRef,
    path: str | Path,
    episodes: int,
    steps: int = 1000,
    policy: Any = None,
    seed: int = 0,
    pixels: bool = False,
    history: int = 1,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Play episodes and write them to a trajectory file as they come.

    Vector observations are stored as states, images as observations, in their standard form (see
    `standard_space`); of a dict observation, its entry "observation" is taken. Beside images, the
    compact state is stored where one is known: `info["state"]`, the observation's entry "state",
    or the world's `state`. A world that renders states and has a layout also gives its layouts.
    Episode i is reset with `seed + i`.

    Args:
        env: continuous actions; with `pixels`, built with `render_mode="rgb_array"`.
        path: the file; it takes its name once it is complete.
        episodes: how many.
        steps: actions per episode at most; episodes of the environment may end sooner.
        policy: anything with Stable-Baselines3's `predict`; random actions if None.
        seed: of the environment and of random actions.
        pixels: show rendered frames as observations, and keep vector observations as states.
        history: frames per observation; see `stack_frames`. An `EnvRef` has its own.
        progress: called with the number of finished episodes.

    Raises:
        ValueError: if the actions are not a Box, the counts are below 1, frames are asked of an
            environment that does not render them, or one of its wrappers cannot be built again.
    """
    if episodes < 1 or steps < 1:
        raise ValueError(
            f"episodes and steps must be at least 1, got {episodes} and {steps}; raise them"
        )
    if isinstance(env, EnvRef):
        ref: EnvRef | None = env
        env = env.make()
    else:
        env = RenderedObservation(env) if pixels else env
        ref = EnvRef.read(env, history) if env.unwrapped.spec else None
        env = stack_frames(env, history)
    if not isinstance(env.action_space, gym.spaces.Box):
        raise ValueError(
            f"recorded actions must be continuous (a Box), got {env.action_space}; "
            "wrap the environment"
        )
    check_observations(env.observation_space)
    metadata = {
        **(ref.metadata() if ref else {"history": history}),
        "record": {"episodes": episodes, "steps": steps, "seed": seed},
    }
    with TrajectoryWriter(path, metadata) as writer:
        for index in range(episodes):
            writer.append(_play(env, steps, policy, seed + index, metadata))
            if progress is not None:
                progress(index + 1)


def _play(
    env: gym.Env, steps: int, policy: Any, seed: int, metadata: dict[str, Any]
) -> Trajectories:
    observation, info = env.reset(seed=seed)
    world: Any = env.unwrapped
    draws = isinstance(world, RendersStates) and isinstance(world, HasLayout)
    layout = np.asarray(world.layout if draws else [], dtype=np.float32)
    act = _actor(policy, env, seed)
    seen: list[Any] = []
    states: list[Any] = []
    actions: list[np.ndarray] = []

    def see() -> None:
        seen.append(observation["observation"] if isinstance(observation, dict) else observation)
        states.append(world.state if draws else _state_beside(world, observation, info))

    see()
    done = False
    while not done and len(actions) < steps:
        action = act(observation)
        observation, _, terminated, truncated, info = env.step(action)
        done = terminated or truncated
        actions.append(np.asarray(action, dtype=np.float32).reshape(-1))
        see()
    shown = np.stack(seen)
    is_image = shown.ndim == 4
    return Trajectories(
        np.asarray(states, dtype=np.float32) if is_image else shown,
        np.stack(actions),
        layout[None],
        np.array([0, len(shown)]),
        metadata,
        shown if is_image else None,
    )


def _actor(policy: Any, env: gym.Env, seed: int) -> Callable[[Any], Any]:
    """A function from an episode's observations to actions."""
    if policy is None:
        space = sampling_space(env.action_space)
        space.seed(seed)
        return lambda observation: space.sample()
    memory, start = None, True

    def act(observation: Any) -> Any:
        nonlocal memory, start
        action, memory = policy.predict(observation, state=memory, episode_start=np.array([start]))
        start = False
        return action

    return act


def _state_beside(world: Any, observation: Any, info: dict[str, Any]) -> np.ndarray:
    """The compact state (S,) behind an image, as far as there is one."""
    found = info.get("state")
    if found is None and isinstance(observation, dict):
        found = observation.get("state")
    if found is None and isinstance(world, HasState):
        found = world.state
    state = np.asarray([] if found is None else found)
    return np.ravel(state) if state.dtype.kind in "fiub" else np.zeros(0)


def check_observations(space: gym.Space) -> None:
    """Raise ValueError unless a space is of vectors or images, or a dict of one of them."""
    if isinstance(space, gym.spaces.Dict):
        if "observation" not in space.spaces:
            raise ValueError(
                "a dict observation must have the entry 'observation', got "
                f"{sorted(space.spaces)}; wrap the environment"
            )
        known = {"observation", "achieved_goal", "desired_goal", "state"}
        left_out = sorted({*space.spaces} - known)
        if left_out:
            warnings.warn(
                f"of the observation, only the entry 'observation' is recorded, not {left_out}",
                stacklevel=3,
            )
        space = space["observation"]
    shape = space.shape or ()
    if len(shape) != 1 and not (len(shape) == 3 and space.dtype == np.uint8):
        raise ValueError(
            "observations must be vectors (S,) or images (H, W), (H, W, C) or (C, H, W), uint8 or "
            f"in [0, 1], got {space}; wrap the environment"
        )
