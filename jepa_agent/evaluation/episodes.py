"""Playing episodes: one function for every policy, each seed exactly one episode, counted once."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from traceback import format_exception
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from ..parallel import WorkerDied, shared
from ..worlds.protocols import HasLayout, RatesEpisodes
from .policies import Policy

logger = logging.getLogger(__name__)


class SuccessUnknown(ValueError):
    """There is no definition of success."""


Success = Callable[[Any, dict[str, Any]], bool]
"""Whether an observation with its info counts as success."""


@dataclass(frozen=True)
class Episode:
    """The outcome of one seed's episode.

    Args:
        seed: of the environment's reset.
        layout: the layout's numbers, or None where the world has no layout.
        success: reached at any time.
        success_end: held at the last step.
        success_strict: by the world's stricter rule at any time; None without such a rule, with
            the caller's own `success`, or where the start meets the rule.
        steps: steps until the first success, or None.
        optimal_steps: the fewest possible, where the world offers them and defines success.
        error: the exception that ended the episode, if any; it counts as a failure.
        traceback: where it was raised.
    """

    seed: int
    layout: tuple[float, ...] | None
    success: bool
    success_end: bool
    success_strict: bool | None
    steps: int | None
    optimal_steps: int | None
    error: str | None = None
    traceback: str | None = None

    @classmethod
    def failed(cls, seed: int, error: Exception) -> Episode:
        """An episode that raised."""
        message, trace = f"{type(error).__name__}: {error}", "".join(format_exception(error))
        return cls(seed, None, False, False, None, None, None, message, trace)


def play(
    policy: Policy,
    make_env: Callable[[], gym.Env],
    seeds: Sequence[int],
    parallel: int = 64,
    on_episode: Callable[[int], None] | None = None,
    success: Success | None = None,
    workers: int = 1,
) -> list[Episode]:
    """Play one episode per seed to its time limit, `parallel` at a time.

    An episode that raises counts as a failure; every different error is logged once, with its
    traceback at the level DEBUG.

    Args:
        policy: acts on batches of observations.
        make_env: builds the environment, which must not terminate on success.
        seeds: one episode each.
        parallel: environments side by side.
        on_episode: called with the number of finished episodes.
        success: the definition of success; by default `is_success` or `success` in the info of a
            step.
        workers: processes that share the seeds, if the policy and `make_env` can be pickled. The
            result does not depend on their number; the share of a process that dies is replayed.

    Raises:
        SuccessUnknown: if neither `success` nor the info says what counts.
        Exception: if building the environment raised, or every episode did.
    """
    if not callable(getattr(policy, "predict", None)):
        raise TypeError(
            f"a policy must have predict(observation, state, episode_start, deterministic), got "
            f"{type(policy).__name__}; wrap it"
        )
    if len(seeds) == 0 or min(parallel, workers) < 1:
        raise ValueError(
            f"seeds must not be empty, parallel and workers at least 1, got {len(seeds)} seeds, "
            f"parallel {parallel} and workers {workers}"
        )
    size = min(parallel, math.ceil(len(seeds) / workers))
    shares = [seeds[begin : begin + size] for begin in range(0, len(seeds), size)]
    work = partial(_play_share, policy, make_env, success)
    played = map(work, shares) if workers == 1 else shared(work, shares, workers)
    episodes: list[Episode] = []
    for share, result in zip(shares, played, strict=True):
        if isinstance(result, WorkerDied):
            result = [Episode.failed(seed, result) for seed in share]
        episodes += result
        if on_episode is not None:
            on_episode(len(episodes))
    if all(episode.error for episode in episodes):
        if not isinstance(result, WorkerDied):
            _play_one(policy, make_env, seeds[0], success)  # raises the same error again
        raise RuntimeError(f"every episode raised; the first: {episodes[0].error}")
    _log_errors(type(policy).__name__, episodes)
    return episodes


def _log_errors(policy: str, episodes: Sequence[Episode]) -> None:
    """Log every different error once, however many episodes it ended."""
    raised = [episode for episode in episodes if episode.error]
    for error, count in Counter(episode.error for episode in raised).items():
        first = next(episode for episode in raised if episode.error == error)
        logger.warning(
            "%d of %d episodes of %s raised %s (the first: seed %d); they count as failures",
            count, len(episodes), policy, error, first.seed,
        )  # fmt: skip
        logger.debug("%s", first.traceback)


def _play_share(
    policy: Policy, make_env: Callable[[], gym.Env], success: Success | None, seeds: Sequence[int]
) -> list[Episode]:
    """Some episodes side by side; if one raises, all again one by one, to isolate it."""
    envs = [make_env() for _ in seeds]
    try:
        return _play_batch(policy, envs, seeds, success)
    except SuccessUnknown:
        raise
    except Exception:
        pass  # whose error it is, is found below
    finally:
        for env in envs:
            env.close()
    return [_play_alone(policy, make_env, seed, success) for seed in seeds]


def _play_alone(
    policy: Policy, make_env: Callable[[], gym.Env], seed: int, success: Success | None
) -> Episode:
    try:
        return _play_one(policy, make_env, seed, success)
    except Exception as error:
        return Episode.failed(int(seed), error)


def _play_one(
    policy: Policy, make_env: Callable[[], gym.Env], seed: int, success: Success | None
) -> Episode:
    env = make_env()
    try:
        return _play_batch(policy, [env], [seed], success)[0]
    finally:
        env.close()


def _play_batch(
    policy: Policy, envs: list[gym.Env], seeds: Sequence[int], success: Success | None
) -> list[Episode]:
    players = [EpisodeRunner(env, seed, success) for env, seed in zip(envs, seeds, strict=True)]
    active, state, start = players, None, True
    while any(player.running for player in active):
        going_on = [row for row, player in enumerate(active) if player.running]
        if len(going_on) < len(active) and (state is None or hasattr(state, "select")):
            # No decisions for episodes that are over, if the policy's state can drop their rows.
            active = [active[row] for row in going_on]
            state = None if state is None else state.select(np.array(going_on))
        actions, state = policy.predict(
            _stack([player.observation for player in active]),
            state=state,
            episode_start=np.full(len(active), start),
            deterministic=True,
        )
        start = False
        for player, action in zip(active, actions, strict=True):
            player.step(action)
    return [player.episode() for player in players]


def _stack(observations: list[Any]) -> Any:
    if isinstance(observations[0], dict):
        return {key: np.stack([each[key] for each in observations]) for key in observations[0]}
    return np.stack(observations)


class EpisodeRunner:
    """Plays one episode in one environment and records its outcome."""

    def __init__(self, env: gym.Env, seed: int, success: Success | None) -> None:
        self._env, self._seed, self._success = env, seed, success
        self.observation, info = env.reset(seed=seed)
        self._starts_strict = bool(info.get("is_success_strict"))
        world = env.unwrapped
        rated = world if success is None and isinstance(world, RatesEpisodes) else None
        self._strict_radius = rated.strict_radius if rated else None
        self._fewest_steps = rated.fewest_steps() if rated else None
        self._layout = tuple(world.layout.tolist()) if isinstance(world, HasLayout) else None
        self._nearest, self._there = math.inf, False
        self._strict: bool | None = None
        self._steps, self._first_entry, self.running = 0, 0, True

    def step(self, action: np.ndarray) -> None:
        """Take one step, unless the episode is over."""
        if not self.running:
            return
        self.observation, _, terminated, truncated, info = self._env.step(action)
        self._steps += 1
        if self._success is not None:
            self._there = bool(self._success(self.observation, info))
        elif {"is_success", "success"} & set(info):
            self._there = bool(info.get("is_success", info.get("success")))
            self._nearest = min(self._nearest, info.get("distance", math.inf))
            if "is_success_strict" in info and not self._starts_strict:
                self._strict = bool(self._strict or info["is_success_strict"])
        else:
            raise SuccessUnknown(
                f"the environment's info must have is_success or success, got {sorted(info)}; "
                "pass `success`"
            )
        if self._there and not self._first_entry:
            self._first_entry = self._steps
        self.running = not (terminated or truncated)

    def episode(self) -> Episode:
        """The outcome."""
        radius, strict = self._strict_radius, self._strict
        if radius is not None:
            strict = bool(self._nearest <= radius)
        return Episode(
            seed=int(self._seed),
            layout=self._layout,
            success=self._first_entry > 0,
            success_end=self._there,
            success_strict=strict,
            steps=self._first_entry or None,
            optimal_steps=self._fewest_steps,
        )


class Latency(NamedTuple):
    """Milliseconds per decision: the median, and the 95th and 99th percentiles."""

    p50: float
    p95: float
    p99: float


def measure_latency(
    policy: Policy, make_env: Callable[[], gym.Env], decisions: int = 50, seed: int = 0
) -> Latency:
    """Milliseconds per decision of a single agent.

    Calls that only continue a plan are not decisions. The first two decisions warm up.

    Args:
        policy: acts on batches of observations.
        make_env: builds the environment, whose reset without a seed begins another episode.
        decisions: how many to measure.
        seed: of the first episode.
    """
    env = make_env()
    milliseconds: list[float] = []
    observation, _ = env.reset(seed=seed)
    state, start = None, True
    while len(milliseconds) < decisions + 2:
        began = time.perf_counter()
        actions, state = policy.predict(
            _stack([observation]), state=state, episode_start=np.array([start]), deterministic=True
        )
        elapsed = time.perf_counter() - began
        if getattr(state, "planned", np.ones(1))[0]:
            milliseconds.append(1000 * elapsed)
        observation, _, terminated, truncated, _ = env.step(actions[0])
        start = terminated or truncated
        if start:
            observation, _ = env.reset()
    env.close()
    return Latency(*np.percentile(milliseconds[2:], [50, 95, 99]).tolist())
