"""`jepa-agent calibrate`: the chance of failure is fitted, foreseen, and kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jepa_agent import JEPAAgent, WorldModel
from jepa_agent.cli import calibrate


def test_a_checkpoint_is_calibrated(
    exit_of: Callable, tiny_agent: JEPAAgent, tmp_path: Path
) -> None:
    tiny = tiny_agent.model.config
    torch.manual_seed(0)
    model = WorldModel(replace(tiny, predictor=replace(tiny.predictor, heads=2)))
    JEPAAgent(model, tiny_agent.bounds, tiny_agent.env_ref, tiny_agent.planner).save(tmp_path)
    easy = ("--env", "TwoRooms-v0", "--env-kwargs", "success_radius=25", "max_episode_steps=12")
    code, said = exit_of(
        "calibrate", "--checkpoint", str(tmp_path), "--episodes", "24", "--parallel", "12", *easy
    )
    assert code in (0, None)
    assert "AUROC" in said
    found = json.loads((tmp_path / "failures.json").read_text())["its environment"]
    assert found["episodes"] == 12
    agent = JEPAAgent.load(tmp_path, "cpu")
    assert agent.calibration is not None
    assert agent.env_ref == tiny_agent.env_ref


def test_episodes_of_a_suite_end_where_they_arrive(
    tiny_agent: JEPAAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_agent.save(tmp_path)
    worlds = []

    class Enough(Exception):
        pass

    def watch(agent: JEPAAgent, make_env: Callable, *_: object) -> None:
        worlds.append(make_env())
        raise Enough

    monkeypatch.setattr(calibrate, "watch", watch)
    with pytest.raises(Enough):
        calibrate.main(calibrate.Args(str(tmp_path), suite=("thick",)))
    config = worlds[0].unwrapped.config
    assert config.layout == "thick"
    assert config.terminate_on_success


def test_what_cannot_be_calibrated_is_said(exit_of: Callable) -> None:
    assert "heads 5" in exit_of("calibrate", "--checkpoint", "default", "--episodes", "4")[1]
    assert "--suite" in exit_of("calibrate", "--checkpoint", "default", "--suite", "easy")[1]
