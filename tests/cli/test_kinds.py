"""Kinds of parts are chosen by name, with their own settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from jepa_agent.cli import train
from jepa_agent.cli.kinds import FAMILIES, kinds_of, known, with_kinds
from jepa_agent.models.encoders import ImpalaConfig
from jepa_agent.models.predictors import GRUConfig
from jepa_agent.planners import CEMConfig
from jepa_agent.presets import QUICK


@dataclass(frozen=True)
class MineConfig(CEMConfig):
    num_elites: int = 5


MINE = f"{MineConfig.__module__}:MineConfig"


def test_parts_are_those_asked_for_and_the_rest_of_the_preset_stays() -> None:
    asked = ["quick", "--planner", "cem", "--encoder=impala", "--predictor", "gru"]
    preset = with_kinds(QUICK, asked)
    assert preset.planner == CEMConfig()
    assert (preset.model.encoder, preset.model.predictor) == (ImpalaConfig(), GRUConfig())
    assert preset.model.distance_head == QUICK.model.distance_head
    assert preset.training == QUICK.training
    assert with_kinds(QUICK, ["quick", "--planner.horizon", "2"]) == QUICK
    assert with_kinds(QUICK, ["--distance_head", "block_norm"]) == QUICK
    assert with_kinds(QUICK, ["--planner", MINE]).planner == MineConfig()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_kind_that_the_help_names_can_be_had(name: str) -> None:
    for kind in known(FAMILIES[name]):
        chosen = with_kinds(QUICK, [f"--{name.replace('_', '-')}", kind])
        assert getattr(kinds_of(chosen), name) == kind


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--planner", "clever"], "--planner must be one of ['c"),
        (["--planner"], "--planner must be one of"),
        (["--encoder", "backbone"], "use --encoder.backbone FOLDER"),
        (["--distance-head", "jepa_agent.planners:CEMConfig"], "of a DistanceHeadConfig, got"),
        (["--predictor", "no_such_module:Name"], "importable"),
    ],
)
def test_what_is_no_kind_is_named(exit_of: Callable, options: list[str], said: str) -> None:
    code, printed = exit_of("train", "quick", *options)
    assert code not in (0, None)
    assert said in printed
    assert "Traceback" not in printed


def test_the_help_names_kinds_and_the_settings_of_the_chosen_one(exit_of: Callable) -> None:
    _, plain = exit_of("train", "quick", "--help")
    assert "impala|patch_cnn" in plain
    assert "--planner.temperature" in plain
    _, other = exit_of("train", "quick", "--planner", "cem", "--help")
    assert "--planner.num-elites" in other
    assert "--planner.temperature" not in other


def test_settings_of_a_chosen_kind_are_understood(
    exit_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[train.Args] = []
    monkeypatch.setattr(train, "main", seen.append)
    options = ["--planner", MINE, "--planner.num-elites", "3", "--encoder", "impala"]
    code, said = exit_of("train", "quick", *options, "--model.encoder.stacks", "4", "8")
    assert code == 0, said
    assert seen[0].planner == MineConfig(num_elites=3)
    assert seen[0].model.encoder == ImpalaConfig(stacks=(4, 8))
