"""What a GPU is worth: training to a success rate, steps, decisions, memory, and resuming."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from .. import presets
from ..agent.agent import JEPAAgent
from ..agent.replayed import Answer, Question, answer
from ..cuda_graphs import WARM_UP
from ..data.trajectories import Trajectories
from ..device import missing_compiler
from ..envs import CollectConfig, collect
from ..evaluation.episodes import Episode, play
from ..evaluation.metrics import summarise
from ..io.checkpoint import digest
from ..planners import Noise
from ..training.config import Preset
from ..training.loop import Trainer
from ..training.task import Progress
from ..training.world_model import WorldModelTask, train
from .speed import Figures, timed

MATRIX = 8192
"""Size of the matrices whose product is the limit that steps are measured against."""
SOME = 2 * 966
"""Episodes that suffice for timing steps."""
ENOUGH = 0.99
"""The success rate whose seconds are measured."""


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
    "base_gpu": Course(presets.BASE_GPU, presets.DATA["base_gpu"], "test"),
    "eb_jepa": Course(presets.EB_JEPA, replace(presets.DATA["eb_jepa"], episodes=SOME)),
}


class Launched(JEPAAgent):
    """An agent whose decisions are launched kernel by kernel, also on a GPU."""

    def _answer(self, asked: Question, noise: Noise) -> Answer:
        return answer(self, asked, noise, self._compiled)


class Milestone:
    """Scores an agent at every tenth of its training, until it succeeds often enough.

    Args:
        success: an agent's share of episodes.
    """

    def __init__(self, success: Callable[[JEPAAgent], float]) -> None:
        self._success, self._tenth = success, 1
        self.seconds: float | None = None
        """What training took until then, without the scoring; None where it was not reached."""

    def __call__(self, progress: Progress, agent: JEPAAgent) -> None:
        """See `Callback`."""
        tenths = 10 * progress.step // progress.steps
        if self.seconds is not None or tenths < self._tenth:
            return
        self._tenth = tenths + 1
        agent.model.eval()  # the next step sets it back
        if self._success(agent) >= ENOUGH:
            self.seconds = progress.seconds


@dataclass(frozen=True)
class GPUBenchmark:
    """Everything that is measured on one device, in about ten minutes on an H100 by arithmetic.

    Args:
        device: where.
        runs: measurements of each figure that is quick to get.
        episodes: episodes that score a trained agent.
        tries: episodes that score an agent at every tenth of its training.
        length: steps of an episode.
        matrix: size of the matrices whose product is the limit.
        courses: presets, by name.
        num_decisions: decisions in a measurement of their percentiles.
    """

    device: torch.device
    runs: int = 5
    episodes: int = 1000
    tries: int = 200
    length: int = 200
    matrix: int = MATRIX
    courses: dict[str, Course] = field(default_factory=lambda: dict(COURSES))
    num_decisions: int = 100

    def figures(self) -> Iterator[Figures]:
        """All figures; compiled decisions come last, as they alone need a compiler.

        On a GPU, steps and decisions are measured as one graph each, and kernel by kernel.
        """
        limit = self.products()
        yield Figures("limit: products in bfloat16", limit, "TFLOP/s")
        agent = JEPAAgent.load("default", self.device)
        parts = (agent.model, agent.bounds, agent.env_ref, agent.planner, agent.cost)
        agents: dict[str, JEPAAgent] = {"eager": Launched(*parts)}
        if self.device.type == "cuda":
            agents["graphed"] = agent
        for kind, each in agents.items():
            yield from self.decisions(each, kind)
        for name, course in self.courses.items():
            yield from self.steps(name, course, float(np.median(limit)))
        yield from self.resumed(next(iter(self.courses.values())))
        for name, course in self.courses.items():
            if course.layout:
                yield from self.trained(name, course)
        if not missing_compiler(self.device):
            for kind, each in agents.items():
                each.compile()
                kind = "compiled" if kind == "eager" else f"compiled and {kind}"
                yield from self.decisions(each, kind)

    def products(self) -> np.ndarray:
        """TFLOP/s of products of large matrices, which no training exceeds."""
        factor = torch.randn(self.matrix, self.matrix, device=self.device, dtype=torch.bfloat16)
        return 2e-12 * self.matrix**3 / timed(self.runs, lambda: self._done(factor @ factor))

    def decisions(self, agent: JEPAAgent, kind: str) -> Iterator[Figures]:
        """Milliseconds of one agent's decisions, after five that warm up."""
        observation, _ = agent.env_ref.make().reset(seed=0)
        timed(4, lambda: agent.act(observation))
        seconds = [
            timed(self.num_decisions, lambda: agent.act(observation)) for _ in range(self.runs)
        ]
        for percentile in (50, 99):
            values = 1000 * np.percentile(seconds, percentile, axis=1)
            yield Figures(f"decision, {kind}, p{percentile}", values, "ms")

    def steps(self, name: str, course: Course, limit: float) -> Iterator[Figures]:
        """Frames per second of the steps of each stage, and their share of the limit."""
        data = self._some(course)
        on_gpu = self.device.type == "cuda"
        for graphs in (True, False) if on_gpu else (True,):
            if on_gpu:
                torch.cuda.reset_peak_memory_stats(self.device)
            trainer = Trainer(WorldModelTask(data, course.preset, self.device), graphs)
            yield from self._stages(trainer, name if graphs else f"{name}, eager", limit)
            if on_gpu:
                peak = torch.cuda.max_memory_allocated(self.device)
                what = f"{name}{'' if graphs else ', eager'}: training, memory"
                yield Figures(what, np.array([peak / 1e9]), "GB")

    def _stages(self, trainer: Trainer, name: str, limit: float) -> Iterator[Figures]:
        config = trainer.task.config
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
            timed(WARM_UP, trainer.update)  # among them the one that is recorded
            seconds = timed(self.runs, lambda: self._done(trainer.update().loss))
            frames = stage.layouts_per_batch * stage.windows_per_layout * (stage.horizon + 1)
            share = 100 * counter.get_total_flops() / seconds / (1e12 * limit)
            yield Figures(f"{name}: {kind} training", frames / seconds, "frames/s")
            yield Figures(f"{name}: {kind} training, of the limit", share, "%")

    def resumed(self, course: Course, steps: int = 20) -> Iterator[Figures]:
        """Whether a training that is resumed from its middle ends with the bits of a whole one."""
        data = self._some(course)
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
        """Seconds of a whole training and of its part that suffices, and its agent's success."""
        data = Trajectories.from_rollouts(*collect(course.data))
        limits = {"layout": course.layout, "max_episode_steps": self.length}

        def episodes(agent: JEPAAgent, count: int) -> list[Episode]:
            make = partial(agent.env_ref.make, terminate_on_success=False, **limits)
            return play(agent, make, range(1_000_000, 1_000_000 + count), parallel=256)

        def success(agent: JEPAAgent) -> float:
            return float(np.mean([each.success for each in episodes(agent, self.tries)]))

        milestone = Milestone(success)
        agent = train(data, course.preset, self.device, callbacks=[milestone])
        yield Figures(f"{name}: training", np.array([agent.notes["seconds"]]), "s")
        if milestone.seconds is not None:
            what = f"{name}: training to {ENOUGH:.0%} of {self.tries} episodes"
            yield Figures(what, np.array([milestone.seconds]), "s")
        began = time.perf_counter()
        row = summarise("agent", name, episodes(agent, self.episodes))
        spent = np.array([time.perf_counter() - began])
        rates = 100 * np.array([row.success_low, row.success, row.success_high])
        yield Figures(f"{name}: success, with its 95 % interval", rates, "%")
        yield Figures(f"{name}: {self.episodes} episodes of {self.length} steps", spent, "s")

    def _some(self, course: Course) -> Trajectories:
        """Enough of its data for timing steps, of as many layouts as can be."""
        data = course.data
        some = replace(
            data,
            episodes=min(data.episodes, SOME),
            episodes_per_layout=min(data.episodes_per_layout, 2),
        )
        return Trajectories.from_rollouts(*collect(some))

    def _done(self, tensor: torch.Tensor) -> None:
        """Wait until it is computed."""
        tensor.detach().flatten()[0].item()
