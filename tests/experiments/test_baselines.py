from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch

from jepa_agent.experiments import baselines
from jepa_agent.io.locking import RunError


def tensorboard_tags(folder: Path) -> list[str]:
    """Names of the scalars that TensorBoard shows."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events.Tags()["scalars"]


def rooms(obs_type: str) -> Callable[[], gym.Env]:
    """Makes Two Rooms of one layout."""
    return partial(gym.make, "TwoRooms-v0", layout="fixed", obs_type=obs_type)


def test_hindsight_relabels_images(small: Callable, tmp_path: Path) -> None:
    baseline = small("sac-her-pixels")
    model, _ = baselines.train(
        baseline, rooms("pixels"), 1800, 0, tmp_path, lambda _: 0.0, "cpu", checkpoints=1
    )
    assert model._n_updates > 0
    assert not list(tmp_path.glob("buffer-*"))


@pytest.mark.parametrize(
    "name", ["sac-her-state", pytest.param("ppo-state", marks=pytest.mark.slow)]
)
def test_an_interrupted_baseline_ends_with_the_same_bits(
    small: Callable, tmp_path: Path, name: str
) -> None:
    seen: list[int] = []

    def score(model: Any) -> float:
        seen.append(model.num_timesteps)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return 0.25

    arguments = (small(name), rooms("state"), 2432, 0, tmp_path, score, "cpu", 3)
    with pytest.raises(KeyboardInterrupt):
        baselines.train(*arguments)
    spent, _ = baselines.kept(tmp_path)
    assert spent.steps == seen[0] < 900
    model, spent = baselines.train(*arguments)
    assert [steps for steps, _ in spent.curve] == [seen[0], *seen[2:]]
    assert spent.steps == model.num_timesteps == 2432
    with pytest.raises(RunError, match=r"has one of 2,432 steps, got 9,999; use that"):
        baselines.train(*arguments[:2], 9_999, *arguments[3:])
    other = dataclasses.replace(arguments[0], reward_type="none")
    with pytest.raises(RunError, match=r"must have the settings that it began with.*'none'"):
        baselines.train(other, *arguments[1:])
    whole, _ = baselines.train(*arguments[:4], tmp_path / "whole", lambda _: 0.5, "cpu", 3)
    for part, parameter in whole.policy.state_dict().items():
        assert torch.equal(parameter, model.policy.state_dict()[part]), part
    assert sorted(path.stem for path in tmp_path.glob("*.csv")) == [
        "progress-0", f"progress-{seen[0]}",
    ]  # fmt: skip
    assert spent.seconds > 0
    assert spent.frames > 0
    left = {path.name for path in tmp_path.iterdir() if path.suffix in {".zip", ".pkl"}}
    assert left == set(baselines.kept(tmp_path)[1].values())
    again, _ = baselines.train(*arguments)  # finished: nothing is trained
    assert again.num_timesteps == 2432
    assert len(seen) == 4
    if baselines.find_spec("tensorboard"):
        assert "rollout/success_on_fixed_seeds" in tensorboard_tags(tmp_path)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[sb3\]"'):
        importlib.reload(sys.modules["jepa_agent.experiments.baselines"])
