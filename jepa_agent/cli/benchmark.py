"""Measure speed: of the environment and its data, of planning, of training, of the window.

python scripts/benchmark.py env
python scripts/benchmark.py planning --checkpoint runs/quick
python scripts/benchmark.py training      # `base` beside EB-JEPA's own model and losses
python scripts/benchmark.py operations    # counted, not timed: what docs/scale.md reckons with
python scripts/benchmark.py shares        # of a training step's time, by kind of operator
python scripts/benchmark.py window        # without a display: SDL_VIDEODRIVER=dummy before it

Each figure is the median of several runs; the first, which warms up, is left out.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from .. import presets
from ..agent.agent import JEPAAgent
from ..data.trajectories import Trajectories
from ..data.windows import WindowSampler
from ..device import resolve_device
from ..envs import CollectConfig, TwoRoomsEnv, collect
from ..envs.drawing import Window
from ..evaluation.episodes import measure_latency, play
from ..training.loop import Trainer
from ..training.world_model import WorldModelTask
from ..viz import session
from ..viz.plan_view import SIZE
from ..viz.window import FRAMES_A_SECOND, Player


@dataclass(frozen=True)
class Args:
    """What to measure."""

    what: tyro.conf.Positional[
        Literal["env", "planning", "training", "window", "operations", "shares"]
    ]
    runs: int = 5
    checkpoint: str = "default"
    """For `planning` and `window`: a folder that scripts/train.py wrote, or "default"."""
    compiled: bool = False
    """For `planning`: compile the search first."""


def main(args: Args) -> None:
    if args.what == "env":
        rows = [
            measure(args.runs) for measure in (single_env, vector_env, collection, batches, disk)
        ]
    elif args.what == "planning":
        rows = [planning(args.runs, JEPAAgent.load(args.checkpoint), args.compiled)]
    elif args.what == "window":
        rows = [window(args.runs, session.load(args.checkpoint))]
    elif args.what == "operations":
        rows = [operations(JEPAAgent.load(args.checkpoint))]
    elif args.what == "shares":
        rows = [shares(args.runs)]
    else:
        rows = [training(args.runs)]
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
    device = resolve_device()
    sampler = WindowSampler(trajectories, chunk=5, horizon=3, device=device)
    generator = torch.Generator(device).manual_seed(0)

    def draw() -> None:
        windows = sampler.draw(frames // 8, 2, generator)
        TwoRoomsEnv.render_states(windows.states, windows.layout)[0, 0, 0, 0, 0, 0].item()

    return [(f"draw and render {frames} frames ({device})", 1000 * timed(runs, draw), "ms")]


def disk(runs: int, frames: int = 1280) -> list[tuple[str, np.ndarray, str]]:
    """Milliseconds to read a training batch of stored images from the disk."""
    states, actions, layout, metadata = collect(CollectConfig("mixed", episodes=256))
    images = [TwoRoomsEnv.render_states(s, c) for s, c in zip(states, layout, strict=True)]
    stored = Trajectories.from_rollouts(states, actions, layout, metadata, np.stack(images))
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        stored.save(path := Path(folder) / "images.h5")
        found = Trajectories.load(path, in_memory=False).observations
        assert found is not None
        seconds = timed(runs, lambda: found[rng.integers(len(found), size=frames)])
    return [(f"read {frames} images from disk", 1000 * seconds, "ms")]


def training(runs: int, frames: int = 1088) -> list[tuple[str, np.ndarray, str]]:
    """Encoded frames per second of whole steps of joint training, in turns, and their ratio.

    EB-JEPA's batch of 384 x 17 frames is cut to 64 x 17: it would not fit small memories.
    """
    device = resolve_device()
    tasks = {}
    for name, layouts in (("base", 0), ("eb_jepa", frames // 17)):
        preset = presets.PRESETS[name]
        data = Trajectories.from_rollouts(*collect(replace(presets.DATA[name], episodes=2 * 966)))
        settings = preset.training
        settings = replace(settings, layouts_per_batch=layouts or settings.layouts_per_batch)
        tasks[name] = WorldModelTask(data, replace(preset, training=settings), device)
    trainers = {name: Trainer(task) for name, task in tasks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    for _ in range(runs + 1):
        for name, trainer in trainers.items():
            began = time.perf_counter()
            trainer.update().terms["prediction"].item()
            seconds[name].append(time.perf_counter() - began)
    rates = {}
    for name, task in tasks.items():
        config = task.config
        per_step = config.layouts_per_batch * config.windows_per_layout * (config.horizon + 1)
        rates[name] = per_step / np.array(seconds[name][1:])
    ratio = rates["base"] / rates["eb_jepa"]
    return [*((name, rate, "frames/s") for name, rate in rates.items()), ("ratio", ratio, "")]


def planning(runs: int, agent: JEPAAgent, compiled: bool) -> list[tuple[str, np.ndarray, str]]:
    """Milliseconds per decision of one agent, and per episode of many planned together.

    A compiled search is made for one number of environments: then of one agent alone.
    """
    if compiled:
        agent.compile()
        measure_latency(agent, agent.env_ref.make, 3)
    percentiles = np.array([measure_latency(agent, agent.env_ref.make) for _ in range(runs)])
    rows = [
        ("one agent, median", percentiles[:, 0], "ms/decision"),
        ("one agent, 95th percentile", percentiles[:, 1], "ms/decision"),
    ]
    if compiled:
        return rows
    for episodes, stops, label in (
        (64, True, "up to first entry"),
        (256, True, "up to first entry"),
        (64, False, "all 200 steps"),
    ):

        def rollout(episodes: int = episodes, stops: bool = stops) -> None:
            make = partial(agent.env_ref.make, terminate_on_success=stops)
            play(agent, make, range(episodes), parallel=episodes)

        milliseconds = 1000 * timed(runs, rollout) / episodes
        rows.append((f"{episodes} episodes together, {label}", milliseconds, "ms/episode"))
    return rows


def operations(agent: JEPAAgent) -> list[tuple[str, np.ndarray, str]]:
    """Floating-point operations, as torch counts them: 2 for a multiplication with an addition."""
    rows = []

    def count(name: str, frames: int, work: Callable[[], object]) -> None:
        with FlopCounterMode(display=False) as counter:
            work()
        per_frame = counter.get_total_flops() / frames
        rows.append((name, np.array([per_frame / 1e6]), "MFLOP"))

    for name in ("base", "eb_jepa"):
        preset = presets.PRESETS[name]
        data = Trajectories.from_rollouts(*collect(replace(presets.DATA[name], episodes=2 * 966)))
        settings = replace(preset.training, layouts_per_batch=64, hard_negative_cluster=1)
        task = WorldModelTask(data, replace(preset, training=settings), torch.device("cpu"))
        trainer = Trainer(task)
        frames = settings.layouts_per_batch * settings.windows_per_layout * (settings.horizon + 1)
        count(f"{name}: joint training, a frame", frames, trainer.update)
        if settings.refinement.steps:
            stage = settings.refinement
            trainer.step = settings.steps
            task.compute_losses(trainer.step)  # encodes the data
            frames = stage.layouts_per_batch * stage.windows_per_layout * (stage.horizon + 1)
            count(f"{name}: refinement, a frame", frames, trainer.update)
    observation, _ = agent.env_ref.make().reset(seed=0)
    count("a decision", 1, lambda: agent.predict(observation))
    return rows


OPERATORS = {
    "products": ("mm", "addmm", "bmm", "baddbmm", "mkldnn_convolution", "convolution_backward"),
    "copies": ("copy_", "cat", "index", "_index_put_impl_", "fill_", "clone"),
}
"""Of torch, by what limits them: arithmetic and memory."""


def shares(runs: int) -> list[tuple[str, np.ndarray, str]]:
    """Where the time of a step of `base` on the CPU goes; the rest is element by element."""
    preset = presets.PRESETS["base"]
    data = Trajectories.from_rollouts(*collect(replace(presets.DATA["base"], episodes=2 * 966)))
    trainer = Trainer(WorldModelTask(data, preset, torch.device("cpu")))
    rows = []
    for stage, step in (("joint training", 0), ("refinement", preset.training.steps)):
        trainer.step = step
        trainer.update()
        found: dict[str, list[float]] = {name: [] for name in (*OPERATORS, "rest")}
        for _ in range(runs):
            with profile() as seen:
                trainer.update()
            times = {event.key: event.self_cpu_time_total for event in seen.key_averages()}
            total = sum(times.values())
            of = {
                kind: sum(times.get(f"aten::{name}", 0.0) for name in names)
                for kind, names in OPERATORS.items()
            }
            for kind, spent in (of | {"rest": total - sum(of.values())}).items():
                found[kind].append(100 * spent / total)
        rows += [(f"{stage}: {kind}", np.array(each), "%") for kind, each in found.items()]
    return rows


class Stopwatch(Window):
    """A window that notes when it showed what, and closes by itself."""

    def __init__(self, seconds: float) -> None:
        super().__init__("jepa-agent", FRAMES_A_SECOND, SIZE)
        self._seconds, self.shown = seconds, [time.perf_counter()]

    def show(self, surface: Any) -> bool:
        """See `Window`."""
        self.shown.append(time.perf_counter())
        return super().show(surface) and self.shown[-1] - self.shown[0] < self._seconds


def window(runs: int, agent: JEPAAgent, seconds: float = 5.0) -> list[tuple[str, np.ndarray, str]]:
    """Frames per second of scripts/plan.py's window while the agent plans and walks; 60 at most."""
    rates, slowest = [], []
    for run in range(runs + 1):
        game = session.Session(agent, run, layout="random", terminate_on_success=False)
        game.fields = "learned"
        stopwatch = Stopwatch(seconds)
        Player(game, stopwatch).run()
        game.close()
        rates.append((len(stopwatch.shown) - 1) / (stopwatch.shown[-1] - stopwatch.shown[0]))
        slowest.append(1000 * np.percentile(np.diff(stopwatch.shown), 99))
    return [
        ("window", np.array(rates[1:]), "frames/s"),
        ("window, 99th percentile", np.array(slowest[1:]), "ms/frame"),
    ]
