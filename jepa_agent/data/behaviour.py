"""Who acts in a recording, seeded anew for every episode."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from ..worlds.sampling import sampling_space

Act = Callable[[Any], Any]
"""An action for an observation."""
Behaviour = Callable[[gym.Env, int], Act]
"""Begins an episode in an environment that has just been reset, with a seed."""
HELD = 20
"""Steps for which `wander` holds an action at most."""


def behaviour(policy: Any = None, seeded: bool = False) -> Behaviour:
    """How a policy plays episodes.

    "random" draws an action at every step, and so does None; "wander" holds each for 1 to 20 steps,
    which goes further. An object with Stable-Baselines3's `predict` sees observations; if it
    has a method `seed(seed)`, that is called before every episode. A function `policy(env, rng)`,
    or anything else that is called so, may look into the simulator; it draws from `rng`, a
    `numpy.random.Generator`. A class of such objects is built anew for every episode, with
    `seed=...`, if its constructor takes it, else once, without arguments.

    Args:
        policy: one of these.
        seeded: refuse a policy whose actions may depend on the episodes that it played before.

    Raises:
        ValueError: if it is none of these.
    """
    if policy is None or isinstance(policy, str):
        if (policy or "random") not in NAMED:
            raise ValueError(
                f"a policy must be one of {sorted(NAMED)} or package.module:Name, got {policy!r}"
            )
        return NAMED[policy or "random"]
    takes_seed = isinstance(policy, type) and "seed" in inspect.signature(policy).parameters
    if isinstance(policy, type) and not takes_seed:
        policy = policy()
    name = getattr(policy, "__name__", type(policy).__name__)
    if takes_seed or hasattr(policy, "predict"):
        if seeded and not (takes_seed or callable(getattr(policy, "seed", None))):
            raise ValueError(
                "several workers need a policy that is seeded for every episode, got "
                f"{name}; let its constructor take `seed`, or write a function policy(env, rng)"
            )
        return Predicting(policy)
    if not callable(policy):
        raise ValueError(
            "a policy must have predict(observation, ...) or be a function policy(env, rng), got "
            f"{name}; write one"
        )
    return Seeing(policy)


def random_actions(env: gym.Env, seed: int) -> Act:
    """Random actions; see `sampling_space`."""
    space = sampling_space(env.action_space)
    space.seed(seed)
    return lambda observation: space.sample()


def wander(env: gym.Env, seed: int) -> Act:
    """Random actions, each held for 1 to `HELD` steps."""
    draw, rng = random_actions(env, seed), np.random.default_rng(seed)
    action, left = None, 0

    def act(observation: Any) -> Any:
        nonlocal action, left
        if not left:
            action, left = draw(observation), int(rng.integers(1, HELD + 1))
        left -= 1
        return action

    return act


NAMED: dict[str, Behaviour] = {"random": random_actions, "wander": wander}
"""The policies that have a name."""


@dataclass
class Seeing:
    """A policy that sees the environment."""

    policy: Callable[[gym.Env, np.random.Generator], Any]

    def __call__(self, env: gym.Env, seed: int) -> Act:
        rng = np.random.default_rng(seed)
        return lambda observation: self.policy(env, rng)


@dataclass
class Predicting:
    """A policy with `predict`, or a class whose objects take a seed and have it."""

    policy: Any

    def __call__(self, env: gym.Env, seed: int) -> Act:
        policy = self.policy
        if isinstance(policy, type):
            policy = policy(seed=seed)
        elif callable(getattr(policy, "seed", None)):
            policy.seed(seed)
        if not hasattr(policy, "predict"):
            return Seeing(policy)(env, seed)
        memory, start = None, True

        def act(observation: Any) -> Any:
            nonlocal memory, start
            started = np.array([start])
            action, memory = policy.predict(observation, state=memory, episode_start=started)
            start = False
            return action

        return act
