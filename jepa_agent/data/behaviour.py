"""Who acts in a recording, seeded anew for every episode."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from ..worlds.arguments import parse_call
from ..worlds.sampling import sampling_space

Act = Callable[[Any], Any]
"""An action for an observation."""
Behaviour = Callable[[gym.Env, int], Act]
"""Begins an episode in an environment that has just been reset, with a seed."""


def behaviour(policy: Any = None, seeded: bool = False) -> Behaviour:
    """How a policy plays episodes.

    "random" draws an action at every step, and so does None; "wander" holds each for some steps,
    which goes further, and takes arguments, as in "wander scale=0.2"; see `wander`. An object with
    Stable-Baselines3's `predict` sees observations; if it has a method `seed(seed)`, that is called
    before every episode. A function `policy(env, rng)`, or anything else that is called so, may
    look into the simulator; it draws from `rng`, a `numpy.random.Generator`. A class of such
    objects is built anew for every episode, with `seed=...`, if its constructor takes it, else
    once, without arguments.

    Args:
        policy: one of these.
        seeded: refuse a policy whose actions may depend on the episodes that it played before.

    Raises:
        ValueError: if it is none of these.
    """
    if policy is None or isinstance(policy, str):
        return _named(policy or "random")
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


def wander(env: gym.Env, seed: int, scale: float = 1.0, steps: int = 20) -> Act:
    """Random actions, each held for a while.

    Args:
        env: acts in it.
        seed: of the actions.
        scale: share of the actions' range, about its centre, where they are numbers with bounds:
            data should be about as fast as what the agent is to do.
        steps: for which an action is held at most.

    Raises:
        ValueError: if these are out of range.
    """
    if not (0 < scale <= 1 and steps >= 1):
        raise ValueError(f"wander needs scale in (0, 1] and steps >= 1, got {scale} and {steps}")
    draw, rng = random_actions(env, seed), np.random.default_rng(seed)
    action, left = None, 0

    def act(observation: Any) -> Any:
        nonlocal action, left
        if not left:
            action = _scaled(env.action_space, draw(observation), scale)
            left = int(rng.integers(1, steps + 1))
        left -= 1
        return action

    return act


def _scaled(space: gym.Space, action: Any, scale: float) -> Any:
    if not isinstance(space, gym.spaces.Box) or scale == 1:
        return action
    bounded: Any = sampling_space(space)
    is_whole = space.dtype.kind != "f"
    low, high = (
        limit.astype(float) if is_whole else limit for limit in (bounded.low, bounded.high)
    )
    centre = np.where(np.isfinite(low + high), (low + high) / 2, 0)
    scaled = centre + scale * (action - centre)
    return (np.rint(scaled) if is_whole else scaled).astype(space.dtype)


NAMED: dict[str, Callable[..., Act]] = {"random": random_actions, "wander": wander}
"""The policies that have a name, which take an environment, a seed and perhaps more."""


def _named(call: str) -> Behaviour:
    name, arguments = parse_call(call)
    if name not in NAMED:
        raise ValueError(
            f"a policy must be one of {sorted(NAMED)} or package.module:Name, got {call!r}"
        )
    takes = [*inspect.signature(NAMED[name]).parameters][2:]
    if unknown := arguments.keys() - set(takes):
        raise ValueError(f"the policy {name} takes {takes}, got {sorted(unknown)}; correct them")
    return partial(NAMED[name], **arguments)


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
