from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jepa_agent.envs import OraclePolicy
from jepa_agent.evaluation.episodes import Episode
from jepa_agent.experiments import comparison
from jepa_agent.experiments.comparison_page import format_table
from jepa_agent.io.locking import RunError, hold


def test_goals_of_the_zero_shot_task_are_in_the_starts_own_room() -> None:
    env, sides = comparison.make_task("same room", "state"), set()
    for seed in range(40):
        observation, info = env.reset(seed=seed)
        left = info["position"][0] < info["wall_x"]
        assert (info["goal"][0] < info["wall_x"]) == left
        np.testing.assert_allclose(observation["desired_goal"], info["goal"])
        again, _ = env.reset(seed=seed)
        np.testing.assert_array_equal(again["observation"], observation["observation"])
        np.testing.assert_array_equal(again["desired_goal"], observation["desired_goal"])
        sides.add(bool(left))
    assert sides == {True, False}


def test_half_steps_are_half_as_long() -> None:
    assert comparison.make_task("half steps", "state").unwrapped.config.step_length == 1.225
    assert comparison.make_task("ood", "pixels").unwrapped.config.layout == "ood"


def test_an_episode_that_raises_is_no_failure_of_its_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = Episode.failed(3, TypeError("no such thing"))
    monkeypatch.setattr(comparison, "play", lambda *_: [failed])
    with pytest.raises(RuntimeError, match="seed 3 of fixed raised TypeError: no such thing"):
        comparison.score(comparison.Comparison(episodes=1), OraclePolicy(), "state")


def test_a_baseline_that_diverges_becomes_a_row(
    small: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(model: Any) -> float:
        with torch.no_grad():
            next(model.policy.parameters()).fill_(float("nan"))
        return 0.0

    monkeypatch.setitem(comparison.BASELINES, "ppo-state", small("ppo-state"))
    monkeypatch.setattr(comparison, "curve_point", lambda args, baseline, model: poisoned(model))
    args = comparison.Comparison(budget=2400, out=tmp_path, episodes=2)
    for _ in range(2):  # the second time from result.json
        found = comparison.result(args, "ppo-state", 0)
        assert found["spent"]["diverged"]
        table = format_table({"ppo-state": [found]})
        assert "| ppo-state (privileged) | 1 | diverged: 128 steps |" in table
    recorded = dataclasses.replace(args, recorded=True, budget=None)
    assert comparison.result(recorded, "ppo-state", 0) == found  # whatever its budget
    assert comparison.result(recorded, "ppo-state", 1) is None
    assert format_table({"ppo-state": [found], "sac-state": []}) == table


def test_two_comparisons_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        hold(tmp_path / "fixed" / "ppo-state-0"),
        pytest.raises(RunError, match=r"ppo-state-0 is in use by another"),
    ):
        comparison.result(comparison.Comparison(out=tmp_path), "ppo-state", 0)
