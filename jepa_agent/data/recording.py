"""Trajectories of any Gymnasium environment, recorded by playing it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from ..worlds.history import stack_frames
from ..worlds.protocols import HasLayout, RendersStates
from ..worlds.reference import importable_id
from .trajectories import Trajectories
from .trajectory_file import TrajectoryWriter

EPISODES_PER_WRITE = 16


def record(
    env: gym.Env,
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

    Vector observations are stored as states, uint8 images as observations; of a dict observation,
    its entry "observation" is taken. A world that renders states and has a layout also gives its
    layouts, and beside images its states. Episode i is reset with `seed + i`.

    Args:
        env: continuous actions; with `pixels`, built with `render_mode="rgb_array"`.
        path: the file; it takes its name once it is complete.
        episodes: how many.
        steps: actions per episode at most; episodes of the environment may end sooner.
        policy: anything with Stable-Baselines3's `predict`; random actions if None.
        seed: of the environment and of random actions.
        pixels: store rendered frames as observations, beside the states.
        history: frames per observation; see `stack_frames`.
        progress: called with the number of finished episodes.

    Raises:
        ValueError: if the actions are not a Box, the counts are below 1, or frames are asked of an
            environment that does not render them.
    """
    if not isinstance(env.action_space, gym.spaces.Box):
        raise ValueError(
            f"recorded actions must be continuous (a Box), got {env.action_space}; "
            "wrap the environment"
        )
    if episodes < 1 or steps < 1:
        raise ValueError(
            f"episodes and steps must be at least 1, got {episodes} and {steps}; raise them"
        )
    if pixels and env.render_mode != "rgb_array":
        raise ValueError(
            "frames need an environment built with render_mode='rgb_array', got "
            f"{env.render_mode!r}; rebuild it"
        )
    metadata = {
        "env_id": importable_id(env),
        "env_kwargs": {
            key: value
            for key, value in (env.spec.kwargs if env.spec else {}).items()
            if key != "render_mode"
        },
        "history": history,
        "record": {"episodes": episodes, "steps": steps, "seed": seed, "pixels": pixels},
    }
    env = stack_frames(env, history)
    check_observations(env.observation_space)
    env.action_space.seed(seed)
    with TrajectoryWriter(path, metadata) as writer:
        for index in range(episodes):
            writer.append(_play(env, steps, policy, seed + index, pixels, metadata))
            if progress is not None:
                progress(index + 1)


def _play(
    env: gym.Env, steps: int, policy: Any, seed: int, pixels: bool, metadata: dict[str, Any]
) -> Trajectories:
    observation, _ = env.reset(seed=seed)
    world: Any = env.unwrapped
    draws = isinstance(world, RendersStates) and isinstance(world, HasLayout)
    layout = np.asarray(world.layout if draws else [], dtype=np.float32)
    seen: list[Any] = []
    states: list[Any] = []
    frames: list[Any] = []
    actions: list[np.ndarray] = []

    def see() -> None:
        seen.append(observation["observation"] if isinstance(observation, dict) else observation)
        states.append(world.state if draws else [])
        if pixels:
            frames.append(env.render())

    see()
    memory, done = None, False
    while not done and len(actions) < steps:
        if policy is None:
            action = env.action_space.sample()
        else:
            action, memory = policy.predict(
                observation, state=memory, episode_start=np.array([not actions])
            )
        observation, _, terminated, truncated, _ = env.step(action)
        done = terminated or truncated
        actions.append(np.asarray(action, dtype=np.float32).reshape(-1))
        see()
    shown = np.stack(seen)
    is_image = shown.ndim == 4
    images = np.stack(frames) if pixels else (shown if is_image else None)
    return Trajectories(
        np.asarray(states, dtype=np.float32) if is_image else shown,
        np.stack(actions),
        layout[None],
        np.array([0, len(shown)]),
        metadata,
        images,
    )


def check_observations(space: gym.Space) -> None:
    """Raise ValueError unless a space is of vectors or images, or a dict of one of them."""
    if isinstance(space, gym.spaces.Dict):
        if "observation" not in space.spaces:
            raise ValueError(
                "a dict observation must have the entry 'observation', got "
                f"{sorted(space.spaces)}; wrap the environment"
            )
        left_out = sorted({*space.spaces} - {"observation", "achieved_goal", "desired_goal"})
        if left_out:
            warnings.warn(
                f"of the observation, only the entry 'observation' is recorded, not {left_out}",
                stacklevel=3,
            )
        space = space["observation"]
    shape = space.shape or ()
    if len(shape) != 1 and not (len(shape) == 3 and space.dtype == np.uint8):
        raise ValueError(
            "observations must be vectors (S,) or uint8 images (H, W) or (H, W, C), got "
            f"{space}; wrap the environment"
        )
