from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from jepa_agent import JEPAAgent, load_backbone
from jepa_agent.cli.console import TrainingDisplay

TINY_TRAINING = [
    "quick", "--collect.episodes", "32", "--collect.steps", "30", "--training.steps", "2",
    "--training.windows-per-layout", "8", "--training.horizon", "2",
    "--training.diagnose-episodes", "0",
    "--device", "cpu", "--report", "0",
]  # fmt: skip


def test_train_explains_its_presets(exit_of: Callable) -> None:
    code, said = exit_of("train", "quick", "--help")
    assert code == 0
    assert "--training.learning-rate" in said


def test_train_writes_a_checkpoint_and_its_metrics(run: Callable, tmp_path: Path) -> None:
    printed = run("train", *TINY_TRAINING, "--out", "run", cwd=tmp_path)
    assert "checkpoint and metrics in run" in printed
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 2
    assert "state" in os.listdir(tmp_path / "run")
    agent = JEPAAgent.load(tmp_path / "run")
    assert agent.notes["training"]["steps"] == 2
    assert agent.env_ref.kwargs == {"layout": "fixed"}


MINE = """
from dataclasses import dataclass, replace

from jepa_agent.presets import QUICK
from jepa_agent.training.terms import LossTerm


@dataclass(frozen=True)
class Small(LossTerm):
    def __call__(self, batch, head):
        return batch.wide.square().mean()


small = replace(QUICK.training, steps=2, windows_per_layout=8, horizon=2, diagnose_episodes=0)
PRESET = replace(QUICK, training=replace(small, extra_terms=(Small(0.5),)))
"""


def test_a_preset_of_ones_own_trains_by_its_name(
    exit_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_preset.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    options = ["--collect.layout", "fixed", "--collect.episodes", "32", "--collect.steps", "30"]
    options += ["--device", "cpu", "--report", "0", "--out", "run"]
    code, said = exit_of("train", "my_preset:PRESET", *options)
    assert code in (0, None), said
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["losses"]["Small"] > 0
    code, said = exit_of("train", "my_preset:Small", *options)
    assert code not in (0, None)
    assert "my_preset:Small must be a jepa_agent.Preset" in said


@pytest.mark.slow
def test_a_training_ends_with_a_report_and_logs_to_tensorboard(
    run: Callable, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    arguments = [*TINY_TRAINING[:-1], "2"]  # --report 2
    printed = run("train", *arguments, "--out", "run", cwd=tmp_path)
    assert "wrote run/index.html" in printed
    page = (tmp_path / "run" / "index.html").read_text()
    assert "fixed, 2 episodes" in page
    assert "<h2>Training</h2>" in page
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert {"losses/prediction", "diagnostics/position_error"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["distance"]


@pytest.mark.slow
def test_train_reads_collected_data(run: Callable, tmp_path: Path) -> None:
    collected = ("--episodes", "32", "--steps", "30", "--layout", "test", "--out", "data.h5")
    run("collect", *collected, cwd=tmp_path)
    run("train", *TINY_TRAINING, "--data", "data.h5", "--out", "run", cwd=tmp_path)
    assert JEPAAgent.load(tmp_path / "run").notes["data"]["collect"]["layout"] == "test"


def test_an_interrupted_training_goes_on(
    exit_of: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def press_ctrl_c(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingDisplay, "__call__", press_ctrl_c)
        code, said = exit_of("train", *TINY_TRAINING, "--out", "run")
    assert code == 130
    assert "interrupted; the same command goes on from the last state in run" in said
    code, said = exit_of("train", *TINY_TRAINING, "--out", "run")
    assert code == 0
    assert "trained in" in said
    assert "next: jepa-agent evaluate --checkpoint run\n" in said
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2]


@pytest.mark.slow
def test_a_world_model_is_trained_on_a_backbone_from_its_own_videos(
    run: Callable, tmp_path: Path
) -> None:
    run(
        "collect", "--episodes", "24", "--steps", "30", "--policy", "mixed",
        "--layout", "train", "--out", "data.h5", cwd=tmp_path,
    )  # fmt: skip
    run(
        "pretrain", "video", "frames", "--data-dir", "data.h5", "--steps", "2", "--batch", "16",
        "--width", "4", "--out", "frames", cwd=tmp_path,
    )  # fmt: skip
    assert load_backbone(tmp_path / "frames").config.image_shape == (65, 65, 3)
    run(
        "train", "quick", "--data", "data.h5", "--encoder.backbone", "frames",
        "--encoder.freeze", "--training.steps", "2", "--training.windows_per_layout", "4",
        "--training.diagnose-every", "100", "--training.diagnose-episodes", "2",
        "--report", "0", "--out", "agent", cwd=tmp_path,
    )  # fmt: skip
    agent = JEPAAgent.load(tmp_path / "agent")
    kept = agent.model.encoder.backbone.state_dict()
    pretrained = load_backbone(tmp_path / "frames").state_dict()
    assert all(torch.equal(pretrained[name], kept[name]) for name in kept)
