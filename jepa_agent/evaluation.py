"""Evaluation: one function for every policy, each seed exactly one episode, counted once."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import gymnasium as gym
import numpy as np
from rich import box
from rich.table import Table

from .configs import from_dict, write_json
from .open_loop import OpenLoopStep
from .workers import WorkerDied, shared

STRICT_RADIUS = 1.41
"""PLDM's stricter rule, in pixels."""


class Policy(Protocol):
    """Anything with Stable-Baselines3's `predict`."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]: ...


Success = Callable[[Any, dict[str, Any]], bool]
"""Whether an observation with its info is one of success."""


@dataclass(frozen=True)
class Episode:
    """What happened on one seed.

    Args:
        seed: of the environment's reset.
        layout: (wall_x, door_y), or None where the environment has none.
        success: within the success radius at any time.
        success_end: at the last step.
        success_strict: within 1.41 pixels at any time; None where `success` came from the caller.
        steps: until the first success, or None.
        optimal_steps: n* = ceil((shortest path - radius) / step length), where that is known.
        error: what was raised, where the episode could not be played; it counts as a failure.
    """

    seed: int
    layout: tuple[int, int] | None
    success: bool
    success_end: bool
    success_strict: bool | None
    steps: int | None
    optimal_steps: int | None
    error: str | None = None

    @classmethod
    def failed(cls, seed: int, error: Exception) -> Episode:
        """An episode that raised."""
        message = f"{type(error).__name__}: {error}"
        return cls(seed, None, False, False, None, None, None, message)


@dataclass(frozen=True)
class Row:
    """A policy's figures on a suite; see `summarise`."""

    policy: str
    suite: str
    episodes: int
    success: float
    success_low: float
    success_high: float
    success_end: float
    success_strict: float | None
    steps: float | None
    steps_ratio: float | None
    spl: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None


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

    Args:
        policy: acts on batches of observations.
        make_env: builds the environment, which must not terminate on success. Without `success`
            its info must give `distance`, `is_success` and, at reset, `shortest_path`, and its
            `config` the `success_radius` and `step_length`.
        seeds: one episode each.
        parallel: environments side by side.
        on_episode: called with the number of finished episodes.
        success: what counts, in environments of any kind.
        workers: processes that share the seeds, if the policy and `make_env` can be pickled. The
            result does not depend on their number; what a dying one played is played again.
    """
    if not callable(getattr(policy, "predict", None)):
        raise TypeError(
            f"a policy must have predict(observation, state, episode_start, deterministic), got "
            f"{type(policy).__name__}; wrap it"
        )
    if len(seeds) == 0 or min(parallel, workers) < 1:
        raise ValueError(
            f"seeds must not be empty, parallel and workers at least 1, got {len(seeds)} seeds, "
            f"parallel {parallel} and workers {workers}; raise them"
        )
    if success is None:
        env = make_env()
        env.close()
        if not isinstance(env.observation_space, gym.spaces.Dict):
            raise ValueError(
                "evaluation needs a goal-conditioned environment with a dict observation, got "
                f"{env.observation_space}; wrap the environment, or say what `success` is"
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
    return episodes


def _play_share(
    policy: Policy, make_env: Callable[[], gym.Env], success: Success | None, seeds: Sequence[int]
) -> list[Episode]:
    """Some episodes side by side; if anything raises, one by one, to find out where."""
    envs = [make_env() for _ in seeds]
    try:
        return _play_batch(policy, envs, seeds, success)
    except Exception:
        return [_play_alone(policy, make_env, seed, success) for seed in seeds]
    finally:
        for env in envs:
            env.close()


def _play_alone(
    policy: Policy, make_env: Callable[[], gym.Env], seed: int, success: Success | None
) -> Episode:
    try:
        env = make_env()
        try:
            return _play_batch(policy, [env], [seed], success)[0]
        finally:
            env.close()
    except Exception as error:
        return Episode.failed(int(seed), error)


def _play_batch(
    policy: Policy, envs: list[gym.Env], seeds: Sequence[int], success: Success | None
) -> list[Episode]:
    players = [_Player(env, seed, success) for env, seed in zip(envs, seeds, strict=True)]
    active, state, start = players, None, True
    while any(player.running for player in active):
        going_on = [row for row, player in enumerate(active) if player.running]
        if len(going_on) < len(active) and (state is None or hasattr(state, "select")):
            # No decisions for episodes that are over, if the policy's memory can do without them.
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


class _Player:
    """One environment, one episode, and what is counted in it."""

    def __init__(self, env: gym.Env, seed: int, success: Success | None) -> None:
        self._env, self._seed, self._success = env, seed, success
        self.observation, self._begin = env.reset(seed=seed)
        self._nearest, self._there = math.inf, False
        self._steps, self._first_entry, self.running = 0, 0, True

    def step(self, action: np.ndarray) -> None:
        """Play on, unless the episode is over."""
        if not self.running:
            return
        self.observation, _, terminated, truncated, info = self._env.step(action)
        self._steps += 1
        if self._success is None:
            self._nearest = min(self._nearest, info["distance"])
            self._there = bool(info["is_success"])
        else:
            self._there = bool(self._success(self.observation, info))
        if self._there and not self._first_entry:
            self._first_entry = self._steps
        self.running = not (terminated or truncated)

    def episode(self) -> Episode:
        """What happened."""
        layout = strict = optimal = None
        if self._success is None:
            config = self._env.unwrapped.config  # type: ignore[attr-defined]
            way = self._begin["shortest_path"] - config.success_radius
            optimal = max(1, math.ceil(way / config.step_length))
            strict = bool(self._nearest <= STRICT_RADIUS)
        if "wall_x" in self._begin:
            layout = (int(self._begin["wall_x"]), int(self._begin["door_y"]))
        return Episode(
            seed=int(self._seed),
            layout=layout,
            success=self._first_entry > 0,
            success_end=self._there,
            success_strict=strict,
            steps=self._first_entry or None,
            optimal_steps=optimal,
        )


def measure_latency(
    policy: Policy, make_env: Callable[[], gym.Env], decisions: int = 50, seed: int = 0
) -> tuple[float, float]:
    """Milliseconds per decision of a single agent: median and 95th percentile.

    Calls that only continue a plan are not decisions. The first two decisions warm up.
    """
    env = make_env()
    milliseconds: list[float] = []
    observation, _ = env.reset(seed=seed)
    state, start = None, True
    while len(milliseconds) < decisions + 2:
        began = time.perf_counter()
        action, state = policy.predict(
            observation, state=state, episode_start=np.array([start]), deterministic=True
        )
        elapsed = time.perf_counter() - began
        if getattr(state, "planned", np.ones(1))[0]:
            milliseconds.append(1000 * elapsed)
        observation, _, terminated, truncated, _ = env.step(action)
        start = terminated or truncated
        if start:
            observation, _ = env.reset()
    env.close()
    p50, p95 = np.percentile(milliseconds[2:], [50, 95])
    return float(p50), float(p95)


def summarise(
    policy: str,
    suite: str,
    episodes: Sequence[Episode],
    latency: tuple[float, float] | None = None,
) -> Row:
    """Pool episodes into a row.

    `success_low` and `success_high` are Wilson 95 % bounds; `steps` and `steps_ratio` are means
    of n and of n / n* over successes; `spl` is the mean of success * n* / max(n, n*).
    """
    solved = [e.steps for e in episodes if e.steps is not None]
    ways = [(e.steps, e.optimal_steps) for e in episodes if e.steps and e.optimal_steps]
    strict = [e.success_strict for e in episodes if e.success_strict is not None]
    known = any(e.optimal_steps is not None for e in episodes)
    low, high = wilson(len(solved), len(episodes))
    return Row(
        policy=policy,
        suite=suite,
        episodes=len(episodes),
        success=len(solved) / len(episodes),
        success_low=low,
        success_high=high,
        success_end=float(np.mean([e.success_end for e in episodes])),
        success_strict=sum(strict) / len(episodes) if known else None,
        steps=float(np.mean(solved)) if solved else None,
        steps_ratio=float(np.mean([n / best for n, best in ways])) if ways else None,
        spl=sum(best / max(n, best) for n, best in ways) / len(episodes) if known else None,
        latency_p50_ms=latency[0] if latency else None,
        latency_p95_ms=latency[1] if latency else None,
    )


def wilson(successes: int, episodes: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson 95 % interval of a share."""
    share = successes / episodes
    centre = share + z * z / (2 * episodes)
    half = z * math.sqrt(share * (1 - share) / episodes + z * z / (4 * episodes**2))
    scale = 1 + z * z / episodes
    # exact arithmetic keeps the share inside; rounding need not
    return max(0.0, (centre - half) / scale), max(share, min(1.0, (centre + half) / scale))


def table(rows: Sequence[Row]) -> Table:
    """The rows of one suite as a table for the terminal, 80 columns wide."""
    counts = " to ".join(map(str, sorted({row.episodes for row in rows})))
    printed = Table(
        title=f"{rows[0].suite}: % of {counts} episodes (Wilson 95 %)",
        box=box.SIMPLE,
        caption=(
            "success: goal entered at any time; end: there at the last step; strict: within 1.41 "
            "px; ratio: steps to optimal steps; ms: a decision, median and 95th percentile"
        ),
    )
    for heading in ("policy", "success", "end", "strict", "ratio", "SPL", "ms"):
        justify: Literal["left", "right"] = "left" if heading == "policy" else "right"
        printed.add_column(heading, justify=justify, no_wrap=True)

    def number(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:.{digits}f}"

    for row in rows:
        printed.add_row(
            row.policy,
            f"{100 * row.success:.1f} ({100 * row.success_low:.1f}-{100 * row.success_high:.1f})",
            f"{100 * row.success_end:.1f}",
            "-" if row.success_strict is None else f"{100 * row.success_strict:.1f}",
            number(row.steps_ratio, 2),
            number(row.spl, 2),
            f"{number(row.latency_p50_ms, 1)} / {number(row.latency_p95_ms, 1)}",
        )
    return printed


def mcnemar(first: Sequence[Episode], second: Sequence[Episode]) -> tuple[int, int, float]:
    """A paired comparison of two agents on the same seeds.

    Returns:
        How many seeds only the first solved, how many only the second, and the exact two-sided
        p-value of McNemar's test: the chance of a split at least this uneven between equals.

    Raises:
        ValueError: if the seeds differ.
    """
    if [episode.seed for episode in first] != [episode.seed for episode in second]:
        raise ValueError(
            "a paired comparison needs the same seeds in the same order, got different ones; "
            "evaluate both with equal --suite, --seed and --episodes"
        )
    pairs = [(a.success, b.success) for a, b in zip(first, second, strict=True)]
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    disagreements = only_first + only_second
    fewer = min(only_first, only_second)
    tail = sum(math.comb(disagreements, k) for k in range(fewer + 1)) / 2**disagreements
    return only_first, only_second, min(1.0, 2 * tail)


def by_layout(episodes: Sequence[Episode]) -> dict[tuple[int, int], tuple[int, int]]:
    """Episodes and successes of each layout (wall_x, door_y)."""
    counts: dict[tuple[int, int], tuple[int, int]] = {}
    for episode in episodes:
        if episode.layout is not None:
            played, solved = counts.get(episode.layout, (0, 0))
            counts[episode.layout] = (played + 1, solved + episode.success)
    return dict(sorted(counts.items()))


@dataclass(frozen=True)
class Report:
    """What `report.json` holds.

    Args:
        rows: one per policy and suite.
        config: what it was measured with.
        episodes: every episode, by "policy/suite".
        open_loop: errors of imagination, by suite; none of a model without a probe.
    """

    rows: list[Row]
    config: dict[str, Any]
    episodes: dict[str, list[Episode]]
    open_loop: dict[str, list[OpenLoopStep]]

    @property
    def suites(self) -> list[str]:
        """What the agent was evaluated on."""
        return [name.removeprefix("agent/") for name in self.episodes if name.startswith("agent/")]

    def save(self, directory: str | Path) -> Path:
        """Write `report.json` into a directory and return its path."""
        path = Path(directory) / "report.json"
        write_json(path, asdict(self))
        return path

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read a report.

        Raises:
            ValueError: if the file is missing or no report.
        """
        try:
            document = json.loads(Path(path).read_text())
            return from_dict(cls, document, str(path))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path} must be a report.json of scripts/evaluate.py, got {error}; "
                "give the path of one"
            ) from None
