"""Trajectories of any Gymnasium environment, recorded by playing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from ..parallel import WorkerDied, shared
from ..planners import ActionBounds
from ..worlds.actions import action_bounds, to_row
from ..worlds.history import stack_frames
from ..worlds.observations import check_observations
from ..worlds.parts import Parts, parts_of
from ..worlds.pixels import RenderedObservation
from ..worlds.protocols import HasState, RendersStates
from ..worlds.reference import EnvRef
from ..worlds.rendering import layout_of, shows_rendering
from .behaviour import behaviour
from .trajectories import Trajectories
from .trajectory_file import TrajectoryWriter

TOGETHER = 16
"""Episodes that a worker plays before it hands them over."""


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
    workers: int = 1,
    rewards: bool = False,
) -> None:
    """Play episodes and write them to a trajectory file as they come.

    Vector observations are stored as states, images as observations, in their standard form (see
    `standard_space`); of a dict observation, its entry "observation" is taken, or all of them as
    one row of bytes, see `Parts`. Beside images and such rows, the compact state is stored where
    one is known: `info["state"]`, the observation's entry "state", or the world's `state`; else the
    vectors among the parts. A world that renders states also gives its layouts; with
    `stores_images = False`, what it renders is not stored. The last state of an episode that
    terminates without success is marked as terminal. Episode i is reset with `seed + i`.

    Args:
        env: the environment; with `pixels`, built with `render_mode="rgb_array"`.
        path: the file; it takes its name once it is complete.
        episodes: how many.
        steps: actions per episode at most; episodes of the environment may end sooner.
        policy: who acts; random actions if None. See `behaviour`.
        seed: of the environment and of the policy: episode i has `seed + i`.
        pixels: show rendered frames as observations, and keep vector observations as states.
        history: frames per observation; see `stack_frames`. An `EnvRef` has its own.
        progress: called with the number of finished episodes.
        workers: processes that share the episodes. The file does not depend on their number; the
            environment and the policy must be importable, and the policy seeded.
        rewards: store the reward of the step to each frame as the last number of its state, so that
            the probe learns it and an agent can seek it (`agent.set_goal_state`).

    Raises:
        ValueError: if the actions are neither a Box nor discrete, the counts are below 1, frames
            are asked of an environment that does not render them, one of its wrappers cannot be
            built again, or the policy of several workers is not seeded.
    """
    if min(episodes, steps, workers) < 1:
        raise ValueError(
            f"episodes, steps and workers must be at least 1, got {episodes}, {steps} and "
            f"{workers}; raise them"
        )
    if isinstance(env, EnvRef):
        ref: EnvRef | None = env
        env = env.make()
    else:
        env = RenderedObservation(env) if pixels else env
        ref = EnvRef.read(env, history) if env.unwrapped.spec or workers > 1 else None
        env = stack_frames(env, history)
    bounds = action_bounds(env)
    check_observations(env.observation_space)
    parts = parts_of(env)
    metadata = {
        **(ref.metadata() if ref else {"history": history}),
        **({"parts": parts.shapes} if parts else {}),
        "record": {"episodes": episodes, "steps": steps, "seed": seed, "rewards": rewards},
    }
    player = Player(behaviour(policy, seeded=workers > 1), bounds, steps, metadata, rewards)
    done = 0
    with TrajectoryWriter(path, metadata) as writer:
        for played in _played(player, ref, env, range(seed, seed + episodes), workers):
            for episode in played:
                writer.append(episode)
                done += 1
                if progress is not None:
                    progress(done)


def _played(
    player: Player, ref: EnvRef | None, env: gym.Env, seeds: range, workers: int
) -> Iterable[list[Trajectories]]:
    if workers == 1 or ref is None:
        yield from ([player.play(env, seed)] for seed in seeds)
        return
    shares = [seeds[begin : begin + TOGETHER] for begin in range(0, len(seeds), TOGETHER)]
    for played in shared(Worker(player, ref), shares, workers):
        if isinstance(played, WorkerDied):
            raise played
        yield played


@dataclass
class Worker:
    """Plays episodes in an environment of its own, in another process."""

    player: Player
    ref: EnvRef

    @cached_property
    def env(self) -> gym.Env:
        return self.ref.make()

    def __call__(self, seeds: Sequence[int]) -> list[Trajectories]:
        return [self.player.play(self.env, seed) for seed in seeds]


@dataclass
class Player:
    """Plays single episodes.

    Args:
        behaviour: see `behaviour`.
        bounds: of the environment's actions.
        steps: actions per episode at most.
        metadata: of the trajectories.
        rewards: whether the states end in the reward.
    """

    behaviour: Callable[[gym.Env, int], Callable[[Any], Any]]
    bounds: ActionBounds
    steps: int
    metadata: dict[str, Any]
    rewards: bool = False

    def play(self, env: gym.Env, seed: int) -> Trajectories:
        """One episode."""
        observation, info = env.reset(seed=seed)
        act = self.behaviour(env, seed)
        world: Any = env.unwrapped
        draws = isinstance(world, RendersStates)
        layout = layout_of(world) if draws else np.zeros(0, dtype=np.float32)
        stores_images = self.rewards or getattr(world, "stores_images", True)
        is_rendered = not stores_images and shows_rendering(world, observation)
        seen: list[Any] = []
        states: list[Any] = []
        actions: list[np.ndarray] = []
        rewards: list[float] = []
        done = failed = False
        while True:
            is_dict = isinstance(observation, dict)
            seen.append(observation["observation"] if is_dict else observation)
            states.append(world.state if draws else state_beside(world, observation, info))
            if done or len(actions) == self.steps:
                break
            action = act(observation)
            observation, reward, terminated, truncated, info = env.step(action)
            rewards.append(float(reward))
            done = terminated or truncated
            reached = info.get("is_success", info.get("success", False))
            failed = bool(terminated and not reached)
            actions.append(to_row(self.bounds, action))
        is_rendered = is_rendered and shows_rendering(world, observation)
        shown = np.stack(states if is_rendered else seen)
        is_stored = shown.ndim == 4 or "parts" in self.metadata
        numbers = np.asarray(states, dtype=np.float32) if is_stored else shown
        if "parts" in self.metadata and not numbers.shape[1]:
            numbers = Parts(self.metadata["parts"]).vectors(shown)
        if self.rewards:  # to the first frame led no step
            numbers = np.column_stack([numbers, [rewards[0], *rewards]])
        return Trajectories(
            numbers,
            np.stack(actions),
            layout[None],
            np.array([0, len(shown)]),
            self.metadata,
            shown if is_stored or self.rewards else None,
            np.arange(len(shown)) == len(shown) - 1 if failed else np.zeros(len(shown), dtype=bool),
        )


def state_beside(world: Any, observation: Any, info: dict[str, Any]) -> np.ndarray:
    """The compact state (S,) behind an image, as far as there is one."""
    found = info.get("state")
    if found is None and isinstance(observation, dict):
        found = observation.get("state")
    if found is None and isinstance(world, HasState):
        found = world.state
    state = np.asarray([] if found is None else found)
    return np.ravel(state) if state.dtype.kind in "fiub" else np.zeros(0)
