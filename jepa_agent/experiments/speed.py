"""How fast the environment, its data, planning and training are."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor
from torch.profiler import profile

from .. import presets
from ..agent.agent import JEPAAgent
from ..data.trajectories import Trajectories
from ..data.windows import WindowSampler
from ..device import resolve_device
from ..envs import CollectConfig, TwoRoomsEnv, collect
from ..evaluation.episodes import measure_latency, play
from ..training.loop import Trainer
from ..training.world_model import WorldModelTask
from .counting import Counted, kept_for_gradients


class Figures(NamedTuple):
    """Something measured several times."""

    what: str
    values: np.ndarray
    unit: str


def timed(runs: int, work: Callable[[], object]) -> np.ndarray:
    """Seconds of `runs` calls after one that warms up."""
    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return np.array(seconds[1:])


def single_env(runs: int) -> Iterator[Figures]:
    """Steps per second of one environment from gym.make, resets included."""
    actions = np.random.default_rng(0).uniform(-1, 1, (2000, 2)).astype(np.float32)
    for obs_type in ("pixels", "state"):
        env = gym.make("TwoRooms-v0", obs_type=obs_type)
        env.reset(seed=0)

        def play(env: gym.Env = env) -> None:
            for action in actions:
                _, _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    env.reset()

        yield Figures(f"gym.make, {obs_type}", len(actions) / timed(runs, play), "steps/s")


def vector_env(runs: int, copies: int = 4096) -> Iterator[Figures]:
    """Steps per second of the vector environment, autoreset included."""
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (200, copies, 2)).astype(np.float32)
    for obs_type, steps, unit in (("state", 400, "steps/s"), ("pixels", 10, "frames/s")):
        envs = gym.make_vec("TwoRooms-v0", num_envs=copies, obs_type=obs_type)
        envs.reset(seed=0)

        def play(envs: gym.vector.VectorEnv = envs, steps: int = steps) -> None:
            for step in range(steps):
                envs.step(actions[step % len(actions)])

        yield Figures(f"make_vec x {copies}, {obs_type}", steps * copies / timed(runs, play), unit)


def collection(runs: int) -> Iterator[Figures]:
    """Seconds and megabytes of 100,000 episodes of 91 states, written to disk."""
    config = CollectConfig(policy="mixed", episodes=100_000)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trajectories.h5"
        seconds = timed(
            min(runs, 3), lambda: Trajectories.from_rollouts(*collect(config)).save(path)
        )
        size = np.array([path.stat().st_size / 1e6])
    yield Figures("collect 100,000 episodes", 1000 * seconds, "ms")
    yield Figures("file", size, "MB")


def batches(runs: int, frames: int = 4096) -> Iterator[Figures]:
    """Milliseconds to draw a training batch and render its frames."""
    trajectories = Trajectories.from_rollouts(*collect(CollectConfig(policy="mixed")))
    device = resolve_device()
    sampler = WindowSampler(trajectories, chunk=5, horizon=3, device=device)
    generator = torch.Generator(device).manual_seed(0)

    def draw() -> None:
        windows = sampler.draw(frames // 8, 2, generator)
        TwoRoomsEnv.render_states(windows.states, windows.layout)[0, 0, 0, 0, 0, 0].item()

    yield Figures(f"draw and render {frames} frames ({device})", 1000 * timed(runs, draw), "ms")


class ReadWhenAsked(WorldModelTask):
    """A training that reads no batch ahead."""

    def given(self, step: int) -> tuple[Tensor, ...]:
        batch = self._batches.draw(self.generator)
        return (*batch.windows, batch.images, batch.directions)


def disk(runs: int, frames: int = 1280, steps: int = 5) -> Iterator[Figures]:
    """Milliseconds to read a training batch of stored images from the disk; steps of `pixels` that
    are given it, in turns, `steps` at a time."""
    states, actions, layout, *_ = collect(CollectConfig("mixed", episodes=256))
    images = [TwoRoomsEnv.render_states(s, c) for s, c in zip(states, layout, strict=True)]
    stored = Trajectories.from_rollouts(
        states, actions, layout[:, :0], {}, observations=np.stack(images)
    )
    rng, device, seconds = np.random.default_rng(0), resolve_device(), defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        stored.save(path := Path(folder) / "images.h5")
        data = Trajectories.load(path, in_memory=False)
        found = data.observations
        assert found is not None
        read = timed(runs, lambda: found[rng.integers(len(found), size=frames)])
        yield Figures(f"read {frames} images from disk", 1000 * read, "ms")
        tasks = {
            "in memory": WorldModelTask(stored, presets.PIXELS, device),
            "read when asked": ReadWhenAsked(data, presets.PIXELS, device),
            "read ahead": WorldModelTask(data, presets.PIXELS, device),
        }
        trainers = {kind: Trainer(task) for kind, task in tasks.items()}
        for _ in range(runs + 1):
            for kind, trainer in trainers.items():
                began = time.perf_counter()
                for _ in range(steps):
                    trainer.update().loss.item()
                seconds[kind].append((time.perf_counter() - began) / steps)
        for task in tasks.values():
            task.close()
    rates = {kind: 1 / np.array(each[1:]) for kind, each in seconds.items()}
    for kind, rate in rates.items():
        yield Figures(f"`pixels`, images {kind}", rate, "steps/s")
    yield Figures("read ahead over when asked", rates["read ahead"] / rates["read when asked"], "")


def training(runs: int, frames: int = 1088) -> Iterator[Figures]:
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
    yield from (Figures(name, rate, "frames/s") for name, rate in rates.items())
    yield Figures("ratio", ratio, "")


def planning(runs: int, agent: JEPAAgent, compiled: bool) -> Iterator[Figures]:
    """Milliseconds per decision of one agent, and per episode of many planned together.

    A compiled search is made for one number of environments: then of one agent alone.
    """
    if compiled:
        agent.compile()
        measure_latency(agent, agent.env_ref.make, 3)
    percentiles = np.array([measure_latency(agent, agent.env_ref.make) for _ in range(runs)])
    yield Figures("one agent, median", percentiles[:, 0], "ms/decision")
    yield Figures("one agent, 95th percentile", percentiles[:, 1], "ms/decision")
    if compiled:
        return
    for episodes, stops, label in (
        (64, True, "up to first entry"),
        (256, True, "up to first entry"),
        (64, False, "all 200 steps"),
    ):

        def rollout(episodes: int = episodes, stops: bool = stops) -> None:
            make = partial(agent.env_ref.make, terminate_on_success=stops)
            play(agent, make, range(episodes), parallel=episodes)

        milliseconds = 1000 * timed(runs, rollout) / episodes
        yield Figures(f"{episodes} episodes together, {label}", milliseconds, "ms/episode")


def operations(agent: JEPAAgent) -> Iterator[Figures]:
    """What a frame of each stage costs, in bfloat16 as on a GPU; 2 operations for a multiplication
    with an addition."""
    for name in ("base", "eb_jepa"):
        preset = presets.PRESETS[name]
        some = replace(presets.DATA[name], episodes=2 * 966, episodes_per_layout=2)
        data, settings = Trajectories.from_rollouts(*collect(some)), preset.training
        if name == "eb_jepa":  # its whole batch would not fit small memories
            settings = replace(settings, layouts_per_batch=64)
        settings = replace(settings, bfloat16=True)
        task = WorldModelTask(data, replace(preset, training=settings), torch.device("cpu"))
        trainer = Trainer(task)
        for stage, step in (("joint training", 0), ("refinement", settings.steps)):
            if step < task.stages[-1]:
                trainer.step = step
                yield from _counted(f"{name}: {stage}, a frame", trainer)
    observation, _ = agent.env_ref.make().reset(seed=0)
    with Counted() as counted:
        agent.predict(observation)
    yield Figures("a decision", np.array([counted.operations.total() / 1e6]), "MFLOP")


def _counted(what: str, trainer: Trainer) -> Iterator[Figures]:
    """Operations and bytes of the trainer's next step, by frames."""
    with kept_for_gradients() as kept:  # in refinement, all data are encoded here
        frames = trainer.task.compute_losses(trainer.step).frames
    with Counted() as counted:
        trainer.update()
    single = counted.operations[torch.float32]
    for value, unit in (
        (counted.operations.total() / 1e6, "MFLOP"),
        (single / 1e6, "MFLOP in float32"),
        (kept() / 1e3, "kB kept for gradients"),
        (counted.moved / 1e6, "MB read and written"),
    ):
        yield Figures(what, np.array([value / frames]), unit)


OPERATORS = {
    "products": ("mm", "addmm", "bmm", "baddbmm", "mkldnn_convolution", "convolution_backward"),
    "copies": ("copy_", "cat", "index", "_index_put_impl_", "fill_", "clone"),
}
"""Operators of torch by their bottleneck, arithmetic or memory."""


def shares(runs: int) -> Iterator[Figures]:
    """Where the time of a step of `base` on the CPU goes; the rest is element by element."""
    preset = presets.PRESETS["base"]
    data = Trajectories.from_rollouts(*collect(replace(presets.DATA["base"], episodes=2 * 966)))
    trainer = Trainer(WorldModelTask(data, preset, torch.device("cpu")))
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
        for kind, each in found.items():
            yield Figures(f"{stage}: {kind}", np.array(each), "%")
