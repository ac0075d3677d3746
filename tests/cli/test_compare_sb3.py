from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.envs import CollectConfig, TwoRoomsEnv, collect
from jepa_agent.training.run_folder import RunError, hold


@pytest.fixture
def compare() -> ModuleType:
    return importlib.import_module("jepa_agent.cli.compare_sb3")


def small(baselines: ModuleType, name: str) -> Any:
    """A baseline that updates at once, on little."""
    baseline = baselines.BASELINES[name]
    settings = dict(baseline.settings)
    if name.startswith("ppo"):
        settings |= {"n_steps": 8, "batch_size": 32}
    else:
        settings |= {"learning_starts": 1700, "batch_size": 16, "buffer_size": 4000,
                     "gradient_steps": 1}  # fmt: skip
    return dataclasses.replace(baseline, settings=settings)


def tensorboard_tags(folder: Path) -> list[str]:
    """Names of the scalars that TensorBoard shows."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events.Tags()["scalars"]


def test_goals_of_the_zero_shot_task_are_in_the_starts_own_room(compare: ModuleType) -> None:
    env, sides = compare.make_task("same room", "state"), set()
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


def test_half_steps_are_half_as_long(compare: ModuleType) -> None:
    assert compare.make_task("half steps", "state").unwrapped.config.step_length == 1.225
    assert compare.make_task("ood", "pixels").unwrapped.config.layout == "ood"


def test_an_episode_that_raises_is_no_failure_of_its_policy(compare: ModuleType) -> None:
    class Broken:
        def predict(self, *_: Any, **__: Any) -> Any:
            raise TypeError("no such thing")

    with pytest.raises(RuntimeError, match="of fixed raised TypeError: no such thing"):
        compare.score(compare.Args(episodes=1), Broken(), "state")


def test_hindsight_relabels_images(tmp_path: Path) -> None:
    baselines = importlib.import_module("jepa_agent.experiments.baselines")
    baseline = small(baselines, "sac-her-pixels")
    model, _ = baselines.train(
        baseline, "fixed", 1800, 0, tmp_path, lambda _: 0.0, "cpu", checkpoints=1
    )
    assert model._n_updates > 0
    assert not list(tmp_path.glob("buffer-*"))


@pytest.mark.parametrize("name", ["ppo-state", "sac-her-state"])
def test_an_interrupted_baseline_ends_with_the_same_bits(tmp_path: Path, name: str) -> None:
    baselines = importlib.import_module("jepa_agent.experiments.baselines")
    seen: list[int] = []

    def score(model: Any) -> float:
        seen.append(model.num_timesteps)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return 0.25

    arguments = (small(baselines, name), "fixed", 2432, 0, tmp_path, score, "cpu", 3)
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


def test_a_baseline_that_diverges_becomes_a_row(
    compare: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    baselines = importlib.import_module("jepa_agent.experiments.baselines")

    def poisoned(model: Any) -> float:
        with torch.no_grad():
            next(model.policy.parameters()).fill_(float("nan"))
        return 0.0

    monkeypatch.setitem(compare.BASELINES, "ppo-state", small(baselines, "ppo-state"))
    monkeypatch.setattr(compare, "curve_point", lambda args, baseline, model: poisoned(model))
    args = compare.Args(budget=2400, out=tmp_path, episodes=2)
    for _ in range(2):  # the second time from result.json
        found = compare.result(args, "ppo-state", 0)
        assert found["spent"]["diverged"]
        table = compare.format_table({"ppo-state": [found]})
        assert "| ppo-state (privileged) | 1 | diverged: 128 steps |" in table
    recorded = dataclasses.replace(args, recorded=True, budget=None)
    assert compare.result(recorded, "ppo-state", 0) == found  # whatever its budget
    assert compare.result(recorded, "ppo-state", 1) is None
    assert compare.format_table({"ppo-state": [found], "sac-state": []}) == table


def test_two_comparisons_do_not_share_a_folder(compare: ModuleType, tmp_path: Path) -> None:
    with (
        hold(tmp_path / "fixed" / "ppo-state-0"),
        pytest.raises(RunError, match=r"ppo-state-0 is in use by another"),
    ):
        compare.result(compare.Args(out=tmp_path), "ppo-state", 0)


@pytest.fixture
def walks() -> Trajectories:
    """Episodes that follow shortest paths."""
    return Trajectories.from_rollouts(
        *collect(CollectConfig("oracle", "fixed", episodes=64, steps=40))
    )


@pytest.mark.slow
def test_inverse_dynamics_learns_where_to_go_and_leaves_the_encoder_alone(
    walks: Trajectories, default_agent: JEPAAgent
) -> None:
    before = {name: p.clone() for name, p in default_agent.model.state_dict().items()}
    policy, seconds = importlib.import_module("jepa_agent.experiments.imitators").imitate(
        walks, TwoRoomsEnv.render_states, steps=100, reach=8, model=default_agent.model
    )
    assert seconds > 0
    states, layout = torch.as_tensor(walks.states[:41]), torch.as_tensor(walks.layout[:1])
    frames = TwoRoomsEnv.render_states(states, layout.expand(41, -1)).numpy()
    seen = {"observation": frames[:-8], "desired_goal": frames[8:]}
    actions, _ = policy.predict(seen)
    moved = (states[8:] - states[:-8]).numpy()
    moving = np.linalg.norm(moved, axis=-1) > 3.0
    cosine = (actions * moved).sum(-1) / np.linalg.norm(actions, axis=-1)
    assert (cosine[moving] / np.linalg.norm(moved[moving], axis=-1)).mean() > 0.5
    one, _ = policy.predict({key: value[0] for key, value in seen.items()})
    np.testing.assert_allclose(one, actions[0], atol=1e-5)
    for name, value in default_agent.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_cloning_trains_its_own_encoder(walks: Trajectories) -> None:
    def encoder(steps: int) -> torch.Tensor:
        policy, _ = importlib.import_module("jepa_agent.experiments.imitators").imitate(
            walks, TwoRoomsEnv.render_states, steps=steps, reach=30
        )
        return torch.cat([p.flatten() for p in policy.model.encoder.parameters()])

    assert (encoder(2) != encoder(1)).float().mean() > 0.5


@pytest.mark.slow
def test_the_script_plays_writes_and_remembers(compare: ModuleType, tmp_path: Path) -> None:
    table = tmp_path / "docs" / "sb3.md"
    args = compare.Args(only=("jepa",), seeds=(0,), episodes=1, out=tmp_path, table=table)
    compare.main(args)
    first = table.read_text()
    assert first.splitlines()[4].startswith("| jepa | 1 | 2,086,560 |")
    assert "`mixed` walkers left; 75 % of these know the map" in first
    assert "](sb3.png)" in first
    assert table.with_suffix(".png").stat().st_size > 1000
    (path,) = tmp_path.glob("offline/jepa-0/result.json")
    document = json.loads(path.read_text())
    assert set(document["rows"]) == {
        "fixed", "train-layouts", "test-layouts", "ood", "same room", "half steps",
    }  # fmt: skip
    document["parameters"] = 7
    path.write_text(json.dumps(document))
    compare.main(args)
    assert "| 7 |" in table.read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"only": ("dqn",)}, "--only must be of .*got 'dqn'"),
        ({"budget": 0}, "--budget and --episodes must be positive, got 0"),
        ({"episodes": 0}, "--budget and --episodes must be positive"),
    ],
)
def test_impossible_comparisons_are_refused(
    compare: ModuleType, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compare.main(compare.Args(**settings))


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sb3_contrib", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[sb3\]"'):
        importlib.reload(sys.modules["jepa_agent.experiments.baselines"])
