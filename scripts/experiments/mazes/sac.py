"""SAC with hindsight on the states and walls of train mazes (1707.01495), as a control."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from jepa_agent.envs.physics import HIGH, LOW
from jepa_agent.envs.tiles import TILES, unpack
from jepa_agent.evaluation.episodes import Policy, play
from jepa_agent.evaluation.metrics import summarise
from jepa_agent.experiments.baselines import BASELINES, train

POOLED = 14
"""Walls are told as the share of solid tiles in so many squares along a side."""
STEPS = 100
"""Steps of an episode of training; hindsight needs some that have ended before learning starts."""
CURVE_EPISODES = 50
"""Episodes per point of the learning curve."""


class WithWalls(gym.ObservationWrapper):
    """Tells where walls are, beside a state that does not: as shares, scaled to pixels."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        space = env.observation_space
        assert isinstance(space, gym.spaces.Dict)
        size = space["observation"].shape[0] + POOLED**2
        seen = gym.spaces.Box(LOW, HIGH, (size,), np.float32)
        self.observation_space = gym.spaces.Dict({**space.spaces, "observation": seen})

    def observation(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        solid = unpack(self.get_wrapper_attr("layout"))
        side = TILES // POOLED
        share = solid.reshape(POOLED, side, POOLED, side).mean(axis=(1, 3)).reshape(-1)
        walls = (LOW + share * (HIGH - LOW)).astype(np.float32)
        return observation | {"observation": np.concatenate([observation["observation"], walls])}


def make(**settings: Any) -> gym.Env:
    """Mazes whose observations tell the state and the walls."""
    return WithWalls(gym.make("Mazes-v0", obs_type="state", **settings))


def learned(settings: dict[str, Any], steps: int, seed: int, folder: Path) -> Policy:
    """SAC with hindsight, trained in mazes of these settings, or gone on with."""
    world = partial(make, **settings, max_episode_steps=STEPS)
    curve = partial(world, terminate_on_success=True)

    def score(policy: Policy) -> float:
        played = play(policy, curve, range(2_000_000, 2_000_000 + CURVE_EPISODES))
        return summarise("SAC+HER", "train", played).success

    policy, _ = train(BASELINES["sac-her-state"], world, steps, seed, folder, score, "cpu")
    if policy is None:
        raise RuntimeError(f"SAC+HER diverged, see {folder}; take another seed")
    return policy
