"""What a GPU is worth: training to a success rate, steps, decisions, memory, and resuming."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from .. import presets
from ..agent.agent import JEPAAgent
from ..data.trajectories import Trajectories
from ..device import missing_compiler
from ..envs import CollectConfig, collect
from ..evaluation.episodes import play
from ..evaluation.metrics import summarise
from ..io.checkpoint import digest
from ..training.config import Preset
from ..training.loop import Trainer
from ..training.world_model import WorldModelTask, train
from .speed import Figures, timed

MATRIX = 8192
"""Size of the matrices whose product is the limit that steps are measured against."""
SOME = 2 * 966
"""Episodes that suffice for timing steps."""


@dataclass(frozen=True)
class Course:
    """A preset that is measured.

    Args:
        preset: the preset.
        data: what is collected for it.
        layout: of the episodes that its agent is scored on; empty where it is only timed.
    """

    preset: Preset
    data: CollectConfig
    layout: str = ""


COURSES = {
    "quick": Course(presets.QUICK, presets.DATA["quick"], "fixed"),
    "base": Course(presets.BASE, presets.DATA["base"], "test"),
    "eb_jepa": Course(presets.EB_JEPA, replace(presets.DATA["eb_jepa"], episodes=SOME)),
}


@dataclass(frozen=True)
class GPUBenchmark:
    """Everything that is measured on one device, in about ten minutes on an H100 by arithmetic.

    Args:
        device: where.
        runs: measurements of each figure that is quick to get.
        episodes: episodes that score a trained agent.
        matrix: size of the matrices whose product is the limit.
        courses: presets, by name.
    """

    device: torch.device
    runs: int = 5
    episodes: int = 1000
    matrix: int = MATRIX
    courses: dict[str, Course] = field(default_factory=lambda: dict(COURSES))

    def figures(self) -> Iterator[Figures]:
        """All figures; compiled decisions come last, as they alone need a compiler."""
        limit = self.products()
        yield Figures("limit: products in bfloat16", limit, "TFLOP/s")
        agent = JEPAAgent.load("default", self.device)
        yield from self.decisions(agent, "plain")
        for name, course in self.courses.items():
            yield from self.steps(name, course, float(np.median(limit)))
        yield from self.resumed(next(iter(self.courses.values())))
        for name, course in self.courses.items():
            if course.layout:
                yield from self.trained(name, course)
        if not missing_compiler(self.device):
            agent.compile()
            yield from self.decisions(agent, "compiled")

    def products(self) -> np.ndarray:
        """TFLOP/s of products of large matrices, which no training exceeds."""
        factor = torch.randn(self.matrix, self.matrix, device=self.device, dtype=torch.bfloat16)
        return 2e-12 * self.matrix**3 / timed(self.runs, lambda: self._done(factor @ factor))

    def decisions(self, agent: JEPAAgent, kind: str, decisions: int = 100) -> Iterator[Figures]:
        """Milliseconds of one agent's decisions, after five that warm up."""
        observation, _ = agent.env_ref.make().reset(seed=0)
        timed(4, lambda: agent.act(observation))
        seconds = [timed(decisions, lambda: agent.act(observation)) for _ in range(self.runs)]
        for percentile in (50, 99):
            values = 1000 * np.percentile(seconds, percentile, axis=1)
            yield Figures(f"decision, {kind}, p{percentile}", values, "ms")

    def steps(self, name: str, course: Course, limit: float) -> Iterator[Figures]:
        """Frames per second of the steps of each stage, and their share of the limit."""
        some = replace(course.data, episodes=min(course.data.episodes, SOME))
        data = Trajectories.from_rollouts(*collect(some))
        trainer = Trainer(WorldModelTask(data, course.preset, self.device))
        config = course.preset.training
        for kind, stage, step in (
            ("joint", config, 0),
            ("refinement", config.refinement, config.steps),
        ):
            if not stage.steps:
                continue
            trainer.step = step
            trainer.update()  # of refinement, it encodes the data
            with FlopCounterMode(display=False) as counter:
                trainer.update()
            seconds = timed(self.runs, lambda: self._done(trainer.update().loss))
            frames = stage.layouts_per_batch * stage.windows_per_layout * (stage.horizon + 1)
            share = 100 * counter.get_total_flops() / seconds / (1e12 * limit)
            yield Figures(f"{name}: {kind} training", frames / seconds, "frames/s")
            yield Figures(f"{name}: {kind} training, of the limit", share, "%")
        yield from self._memory(f"{name}: training")

    def resumed(self, course: Course, steps: int = 20) -> Iterator[Figures]:
        """Whether a training that is resumed from its middle ends with the bits of a whole one."""
        some = replace(course.data, episodes=min(course.data.episodes, SOME))
        data = Trajectories.from_rollouts(*collect(some))
        whole, parts, resumed = (
            Trainer(WorldModelTask(data, course.preset, self.device)) for _ in range(3)
        )
        for _ in range(steps):
            whole.update()
        for _ in range(steps // 2):
            parts.update()
        resumed.load_state(*parts.state())
        while resumed.step < steps:
            resumed.update()
        one, other = (digest(trainer.task.model.state_dict()) for trainer in (whole, resumed))
        yield Figures(
            "a resumed training has the same bits", np.array([float(one == other)]), "1 is yes"
        )

    def trained(self, name: str, course: Course) -> Iterator[Figures]:
        """Seconds of a whole training, the success of its agent, and seconds of scoring it."""
        data = Trajectories.from_rollouts(*collect(course.data))
        began = time.perf_counter()
        agent = train(data, course.preset, self.device)
        yield Figures(f"{name}: training", np.array([time.perf_counter() - began]), "s")
        make = partial(agent.env_ref.make, layout=course.layout, terminate_on_success=False)
        seeds = range(1_000_000, 1_000_000 + self.episodes)
        began = time.perf_counter()
        row = summarise("agent", name, play(agent, make, seeds, parallel=256))
        spent = np.array([time.perf_counter() - began])
        rates = 100 * np.array([row.success_low, row.success, row.success_high])
        yield Figures(f"{name}: success, with its 95 % interval", rates, "%")
        yield Figures(f"{name}: {self.episodes} episodes of 200 steps", spent, "s")

    def _memory(self, what: str) -> Iterator[Figures]:
        if self.device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            yield Figures(f"{what}, memory", np.array([peak / 1e9]), "GB")

    def _done(self, tensor: torch.Tensor) -> None:
        """Wait until it is computed."""
        tensor.detach().flatten()[0].item()
