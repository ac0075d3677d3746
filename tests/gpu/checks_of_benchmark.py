"""The benchmark that a stranger with a GPU runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from unittest import mock

from made import CUDA, SMALL
from pretended import Seen

from jepa_agent import JEPAAgent
from jepa_agent.envs import CollectConfig
from jepa_agent.experiments.gpu import Course, GPUBenchmark
from jepa_agent.planners import RandomShootingConfig
from jepa_agent.training.config import LossWeights


def check_benchmark(seen: Seen) -> None:
    """The whole benchmark runs as its command does, and says a decision and a step of each kind."""
    data = CollectConfig("mixed", "train", episodes=32, steps=24, episodes_per_layout=4)
    few = replace(SMALL.training, weights=LossWeights(), hard_negative_cluster=1)
    course = Course(replace(SMALL, training=few), data, "train")
    small = GPUBenchmark(
        CUDA, runs=1, episodes=1, tries=1, length=6, matrix=8, courses={"small": course},
        num_decisions=1,
    )  # fmt: skip
    compiler, agent = mock.Mock(return_value=None), JEPAAgent.load("default", CUDA)
    agent.planner = RandomShootingConfig(horizon=1, num_samples=2).build()
    with (
        mock.patch.object(JEPAAgent, "load", return_value=agent),
        mock.patch.object(GPUBenchmark.resumed, "__defaults__", (4,)),
        mock.patch("jepa_agent.experiments.gpu.WARM_UP", 1),
        mock.patch("jepa_agent.experiments.gpu.missing_compiler", compiler),
        mock.patch("jepa_agent.agent.compiled.check_compiler", compiler),
    ):
        found = {each.what: each.values for each in small.figures()}
    kinds = ("eager", "graphed", "compiled", "compiled and graphed")
    expected = [f"decision, {kind}, p{percent}" for kind in kinds for percent in (50, 99)]
    for name in ("small", "small, eager"):
        expected += [f"{name}: {stage} training" for stage in ("joint", "refinement")]
        expected.append(f"{name}: training, memory")
    missing = set(expected) - found.keys()
    assert not missing, f"not measured: {missing}"
    assert found["a resumed training has the same bits"].tolist() == [1.0]


CHECKS: dict[str, Callable[[Seen], None]] = {"benchmark": check_benchmark}
