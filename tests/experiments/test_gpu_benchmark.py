"""What a GPU is worth, measured on the CPU with models of milliseconds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, Preset, cli
from jepa_agent.cli import benchmark
from jepa_agent.envs import CollectConfig
from jepa_agent.experiments.gpu import Course, GPUBenchmark, Milestone
from jepa_agent.training.config import RefinementConfig
from jepa_agent.training.task import Progress

CPU = torch.device("cpu")


@pytest.fixture
def tiny(tiny_preset: Preset, monkeypatch: pytest.MonkeyPatch) -> GPUBenchmark:
    """A benchmark of a tiny preset, without a compiler."""
    monkeypatch.setenv("CXX", "nowhere")
    refinement = RefinementConfig(steps=2, layouts_per_batch=2, windows_per_layout=2, horizon=2)
    training = dataclasses.replace(tiny_preset.training, refinement=refinement)
    preset = dataclasses.replace(tiny_preset, training=training)
    data = CollectConfig("mixed", "fixed", episodes=8, steps=12)
    return GPUBenchmark(CPU, 2, 1, 1, 200, 64, {"tiny": Course(preset, data, "fixed")}, 1)


def test_training_success_and_resuming_are_measured(tiny: GPUBenchmark) -> None:
    course = tiny.courses["tiny"]
    found = [*tiny.steps("tiny", course, 1.0), *tiny.resumed(course, 4), *tiny.trained("t", course)]
    found = [each for each in found if "to 99%" not in each.what]  # where it was reached
    assert [each.what for each in found] == [
        "tiny: joint training", "tiny: joint training, of the limit",
        "tiny: refinement training", "tiny: refinement training, of the limit",
        "a resumed training has the same bits",
        "t: training", "t: success, with its 95 % interval", "t: 1 episodes of 200 steps",
    ]  # fmt: skip
    rates = found[6].values
    assert 0 <= rates[0] <= rates[1] <= rates[2] <= 100
    assert found[4].values.tolist() == [True]
    assert all((each.values > 0).all() for each in (*found[:4], found[5], found[7]))


def test_a_share_of_the_limit_is_operations_over_it(tiny: GPUBenchmark) -> None:
    course = tiny.courses["tiny"]
    rate, share, *_ = tiny.steps("tiny", course, 1e-6)
    slow_rate, slow_share, *_ = tiny.steps("tiny", course, 1e-3)
    # percent per frame a second, whatever the machine did meanwhile
    factors = (share.values / rate.values) / (slow_share.values / slow_rate.values)
    np.testing.assert_allclose(factors, 1000)
    assert (tiny.products() > 0).all()


def test_the_first_tenth_that_suffices_is_timed_and_ends_the_scoring() -> None:
    scored: list[int] = []

    class Agent:
        model = torch.nn.Linear(1, 1)

    def success(agent: Agent) -> float:
        assert not agent.model.training
        scored.append(1)
        return 0.5 if len(scored) < 3 else 0.99

    milestone = Milestone(success)
    for step in range(5, 101, 5):
        Agent.model.train()
        milestone(Progress(step, 100, 2.0 * step, 1.0, {}), Agent())
    assert (milestone.seconds, len(scored)) == (60.0, 3)


@pytest.mark.parametrize("compiler", [True, False])
def test_everything_is_measured_and_compiled_decisions_come_last(
    tiny: GPUBenchmark, default_agent: JEPAAgent, monkeypatch: pytest.MonkeyPatch, compiler: bool
) -> None:
    missing = None if compiler else "a compiler"
    monkeypatch.setattr("jepa_agent.experiments.gpu.missing_compiler", lambda device: missing)
    compiled: list[JEPAAgent] = []
    monkeypatch.setattr(JEPAAgent, "compile", lambda agent: compiled.append(agent))
    monkeypatch.setattr(GPUBenchmark, "trained", lambda *_: iter(()))
    what = [each.what for each in tiny.figures()]
    assert what[:2] == ["limit: products in bfloat16", "decision, eager, p50"]
    assert (what[-2:] == ["decision, compiled, p50", "decision, compiled, p99"]) == compiler
    assert len(compiled) == compiler


def test_the_command_prints_markdown_and_keeps_what_it_measured(
    tmp_path: Path, tiny: GPUBenchmark, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(GPUBenchmark, "figures", lambda self: tiny.resumed(tiny.courses["tiny"], 2))
    out = tmp_path / "gpu.json"
    with pytest.raises(SystemExit) as ended:
        cli.main(argv=["benchmark", "gpu", "--device", "cpu", "--out", str(out)])
    assert not ended.value.code
    printed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("| what ") for line in printed)
    assert any(line.startswith("|---") for line in printed)
    document = json.loads(out.read_text())
    (figure,) = document["figures"]
    assert (figure["values"], figure["unit"]) == ([True], "1 is yes")
    assert document["torch"] == torch.__version__


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "resolve_device", lambda name: CPU)
    with pytest.raises(ValueError, match="measures a GPU, got a machine without; use --device cpu"):
        benchmark.gpu(1, "auto")
