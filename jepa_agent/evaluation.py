"""Evaluation: one function for every policy, each seed exactly one episode, counted once."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from rich import box
from rich.table import Table

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


@dataclass(frozen=True)
class Episode:
    """What happened on one seed.

    Args:
        seed: of the environment's reset.
        layout: (wall_x, door_y).
        success: within the success radius at any time.
        success_end: at the last step.
        success_strict: within 1.41 pixels at any time.
        steps: until the first entry, or None.
        optimal_steps: n* = ceil((shortest path - radius) / step length).
    """

    seed: int
    layout: tuple[int, int]
    success: bool
    success_end: bool
    success_strict: bool
    steps: int | None
    optimal_steps: int


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
    success_strict: float
    steps: float | None
    steps_ratio: float | None
    spl: float
    latency_p50_ms: float | None
    latency_p95_ms: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def play(
    policy: Policy,
    make_env: Callable[[], gym.Env],
    seeds: Sequence[int],
    parallel: int = 64,
    on_episode: Callable[[int], None] | None = None,
) -> list[Episode]:
    """Play one episode per seed to its time limit, `parallel` at a time.

    Args:
        policy: acts on batches of observations.
        make_env: builds the environment; it must not terminate on success, and its info must give
            `distance`, `is_success` and, at reset, `shortest_path`.
        seeds: one episode each.
        parallel: environments side by side.
        on_episode: called with the number of finished episodes.
    """
    envs = [make_env() for _ in range(min(parallel, len(seeds)))]
    episodes: list[Episode] = []
    for begin in range(0, len(seeds), len(envs)):
        batch = seeds[begin : begin + len(envs)]
        episodes += _play_batch(policy, envs[: len(batch)], batch)
        if on_episode is not None:
            on_episode(len(episodes))
    for env in envs:
        env.close()
    return episodes


def _play_batch(policy: Policy, envs: list[gym.Env], seeds: Sequence[int]) -> list[Episode]:
    count = len(envs)
    resets = [env.reset(seed=seed) for env, seed in zip(envs, seeds, strict=True)]
    observations = [observation for observation, _ in resets]
    infos = [info for _, info in resets]
    starts = infos
    nearest = np.full(count, np.inf)
    first_entry: list[int | None] = [None] * count
    running = np.ones(count, dtype=bool)
    state, step = None, 0
    while running.any():
        batch = {key: np.stack([o[key] for o in observations]) for key in observations[0]}
        actions, state = policy.predict(
            batch, state=state, episode_start=np.full(count, step == 0), deterministic=True
        )
        step += 1
        infos = list(infos)
        for index in np.flatnonzero(running).tolist():
            observations[index], _, terminated, truncated, infos[index] = envs[index].step(
                actions[index]
            )
            info = infos[index]
            nearest[index] = min(nearest[index], info["distance"])
            if info["is_success"] and first_entry[index] is None:
                first_entry[index] = step
            running[index] = not (terminated or truncated)
    episodes = []
    for index, seed in enumerate(seeds):
        config = envs[index].unwrapped.config  # type: ignore[attr-defined]
        way = starts[index]["shortest_path"] - config.success_radius
        episodes.append(
            Episode(
                seed=int(seed),
                layout=(starts[index]["wall_x"], starts[index]["door_y"]),
                success=first_entry[index] is not None,
                success_end=bool(infos[index]["is_success"]),
                success_strict=bool(nearest[index] <= STRICT_RADIUS),
                steps=first_entry[index],
                optimal_steps=max(1, math.ceil(way / config.step_length)),
            )
        )
    return episodes


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
    solved = [(e.steps, e.optimal_steps) for e in episodes if e.steps is not None]
    low, high = wilson(len(solved), len(episodes))
    return Row(
        policy=policy,
        suite=suite,
        episodes=len(episodes),
        success=len(solved) / len(episodes),
        success_low=low,
        success_high=high,
        success_end=float(np.mean([e.success_end for e in episodes])),
        success_strict=float(np.mean([e.success_strict for e in episodes])),
        steps=float(np.mean([n for n, _ in solved])) if solved else None,
        steps_ratio=float(np.mean([n / best for n, best in solved])) if solved else None,
        spl=sum(best / max(n, best) for n, best in solved) / len(episodes),
        latency_p50_ms=latency[0] if latency else None,
        latency_p95_ms=latency[1] if latency else None,
    )


def wilson(successes: int, episodes: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson 95 % interval of a share."""
    share = successes / episodes
    centre = share + z * z / (2 * episodes)
    half = z * math.sqrt(share * (1 - share) / episodes + z * z / (4 * episodes**2))
    scale = 1 + z * z / episodes
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def table(rows: Sequence[Row]) -> Table:
    """Rows as a table for the terminal, 80 columns wide."""
    printed = Table(
        title="% of episodes; success: goal entered within 200 steps (Wilson 95 %)",
        box=box.SIMPLE,
    )
    for heading in ("policy", "suite", "n", "success", "end", "strict", "ratio", "SPL", "ms"):
        printed.add_column(heading, justify="left" if heading in ("policy", "suite") else "right")
    for row in rows:
        ratio, p50, p95 = (
            "-" if value is None else f"{value:.{digits}f}"
            for value, digits in (
                (row.steps_ratio, 2),
                (row.latency_p50_ms, 1),
                (row.latency_p95_ms, 1),
            )
        )
        printed.add_row(
            row.policy,
            row.suite,
            str(row.episodes),
            f"{100 * row.success:.1f} ({100 * row.success_low:.1f}-{100 * row.success_high:.1f})",
            f"{100 * row.success_end:.1f}",
            f"{100 * row.success_strict:.1f}",
            ratio,
            f"{row.spl:.2f}",
            f"{p50} / {p95}",
        )
    printed.caption = (
        "end: at the last step; strict: within 1.41 px; ratio: steps to optimal steps; "
        "ms: one decision, median / 95th percentile"
    )
    return printed


def write_report(directory: str | Path, rows: Sequence[Row], config: dict[str, Any]) -> Path:
    """Write `report.json` with the rows and what they were measured with; returns its path."""
    path = Path(directory) / "report.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(
        json.dumps({"rows": [row.to_json() for row in rows], "config": config}, indent=2) + "\n"
    )
    temporary.replace(path)
    return path
