"""Oracles: policies that know a world's simulator, scored to show how hard tasks are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from ..worlds.protocols import HasLayout, OffersOracle
from ..worlds.reference import EnvRef
from .policies import Policy


def oracle_of(env_ref: EnvRef) -> Policy:
    """The oracle of a world.

    Raises:
        ValueError: if the world offers none.
    """
    world = env_ref.make().unwrapped
    if not isinstance(world, OffersOracle):
        raise ValueError(
            f"--oracle needs a world with oracle_policy(), got {type(world).__name__}, which has "
            "none; leave it out, or name a policy with --rival"
        )
    return world.oracle_policy()


class ShowsStates(gym.Wrapper):
    """Adds to observations what an oracle is told: `state` (S,), `goal` (S,) and `layout` (C,)."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._with_states(observation, info), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A step of the world."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._with_states(observation, info), reward, terminated, truncated, info

    def _with_states(self, observation: Any, info: dict[str, Any]) -> dict[str, Any]:
        world = self.env.unwrapped
        layout = world.layout if isinstance(world, HasLayout) else np.zeros(0, dtype=np.float32)
        return {**observation, "state": info["state"], "goal": info["goal"], "layout": layout}


def make_with_states(make_env: Callable[[], gym.Env]) -> gym.Env:
    """An environment that shows an oracle what it needs."""
    return ShowsStates(make_env())
