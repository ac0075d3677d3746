"""Measure speed, of the environment and its data or of planning.

python scripts/benchmark.py env
python scripts/benchmark.py planning --checkpoint runs/quick

Each figure is the median of several runs; the first, which warms up, is left out.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import gymnasium as gym
import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.data import WindowSampler
from jepa_agent.envs import CollectConfig, TwoRoomsEnv, collect
from jepa_agent.evaluation import measure_latency, play


@dataclass(frozen=True)
class Args:
    """What to measure."""

    what: tyro.conf.Positional[Literal["env", "planning"]]
    runs: int = 5
    checkpoint: str = "default"
    """For `planning`: a folder that scripts/train.py wrote, or "default"."""


def main(args: Args) -> None:
    if args.what == "env":
        rows = [measure(args.runs) for measure in (single_env, vector_env, collection, batches)]
    else:
        rows = [planning(args.runs, JEPAAgent.load(args.checkpoint))]
    table = Table(title=f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    for heading in ("what", "median", "lowest", "highest", "unit"):
        table.add_column(heading)
    for name, values, unit in (row for group in rows for row in group):
        low, middle, high = np.percentile(values, [0, 50, 100])
        table.add_row(
            name,
            *(f"{value:,.4g}" if value < 100 else f"{value:,.0f}" for value in (middle, low, high)),
            unit,
        )
    Console().print(table)


def timed(runs: int, work: Callable[[], object]) -> np.ndarray:
    """Seconds of `runs` calls after one that warms up."""
    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return np.array(seconds[1:])


def single_env(runs: int) -> list[tuple[str, np.ndarray, str]]:
    """Steps per second of one environment from gym.make, resets included."""
    actions = np.random.default_rng(0).uniform(-1, 1, (2000, 2)).astype(np.float32)
    rows = []
    for obs_type in ("pixels", "state"):
        env = gym.make("TwoRooms-v0", obs_type=obs_type)
        env.reset(seed=0)

        def play(env: gym.Env = env) -> None:
            for action in actions:
                _, _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    env.reset()

        rows.append((f"gym.make, {obs_type}", len(actions) / timed(runs, play), "steps/s"))
    return rows


def vector_env(runs: int, copies: int = 4096) -> list[tuple[str, np.ndarray, str]]:
    """Steps per second of the vector environment, autoreset included."""
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (200, copies, 2)).astype(np.float32)
    rows = []
    for obs_type, steps, unit in (("state", 400, "steps/s"), ("pixels", 10, "frames/s")):
        envs = gym.make_vec("TwoRooms-v0", num_envs=copies, obs_type=obs_type)
        envs.reset(seed=0)

        def play(envs: gym.vector.VectorEnv = envs, steps: int = steps) -> None:
            for step in range(steps):
                envs.step(actions[step % len(actions)])

        rows.append((f"make_vec x {copies}, {obs_type}", steps * copies / timed(runs, play), unit))
    return rows


def collection(runs: int) -> list[tuple[str, np.ndarray, str]]:
    """Seconds and megabytes of 100,000 episodes of 91 states, written to disk."""
    config = CollectConfig(policy="mixed", episodes=100_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trajectories.h5"
        seconds = timed(
            min(runs, 3), lambda: Trajectories.from_rollouts(*collect(config)).save(path)
        )
        size = np.array([path.stat().st_size / 1e6])
    return [("collect 100,000 episodes", 1000 * seconds, "ms"), ("file", size, "MB")]


def batches(runs: int, frames: int = 4096) -> list[tuple[str, np.ndarray, str]]:
    """Milliseconds to draw a training batch and render its frames."""
    trajectories = Trajectories.from_rollouts(*collect(CollectConfig(policy="mixed")))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sampler = WindowSampler(trajectories, chunk=5, horizon=3, device=device)
    generator = torch.Generator(device).manual_seed(0)

    def draw() -> None:
        windows = sampler.draw(frames // 8, 2, generator)
        TwoRoomsEnv.render_states(windows.states, windows.context)[0, 0, 0, 0, 0, 0].item()

    return [(f"draw and render {frames} frames ({device})", 1000 * timed(runs, draw), "ms")]


def planning(runs: int, agent: JEPAAgent, episodes: int = 64) -> list[tuple[str, np.ndarray, str]]:
    """Milliseconds per decision of one agent, and per episode of 64 planned together."""
    percentiles = np.array([measure_latency(agent, agent.env.make) for _ in range(runs)])
    per_episode = []
    for stops, label in ((True, "up to first entry"), (False, "all 200 steps")):

        def make(stops: bool = stops) -> gym.Env:
            return agent.env.make(terminate_on_success=stops)

        def rollout(make: Callable[[], gym.Env] = make) -> None:
            play(agent, make, range(episodes), parallel=episodes)

        milliseconds = 1000 * timed(runs, rollout) / episodes
        per_episode.append((f"{episodes} episodes together, {label}", milliseconds, "ms/episode"))
    return [
        ("one agent, median", percentiles[:, 0], "ms/decision"),
        ("one agent, 95th percentile", percentiles[:, 1], "ms/decision"),
        *per_episode,
    ]


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
