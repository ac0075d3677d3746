"""Agents that collect their next data themselves."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from jepa_agent import EnvRef, JEPAAgent, Preset, Trajectories, WorldModelConfig
from jepa_agent.data.recording import record
from jepa_agent.evaluation.data_goals import recorded_seeds
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import CEMConfig
from jepa_agent.training.config import RefinementConfig, TrainingConfig
from jepa_agent.training.rounds import (
    SEEDS,
    Explorer,
    RoundsConfig,
    rare_observations,
    train_in_rounds,
)

ROOM = EnvRef("TwoRoom224-v0", {"obs_type": "state"})
PRESET = Preset(
    model=WorldModelConfig(latent_dim=8, encoder=VectorMLPConfig(features=16, layers=1)),
    training=TrainingConfig(
        steps=2, layouts_per_batch=1, windows_per_layout=16, horizon=2,
        refinement=RefinementConfig(steps=1, layouts_per_batch=1, windows_per_layout=4, horizon=2),
    ),
    planner=CEMConfig(horizon=2, num_samples=8, iterations=1, num_elites=2),
)  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Trajectories:
    """12 episodes of 20 steps."""
    path = tmp_path_factory.mktemp("rooms") / "r.h5"
    record(ROOM, path, 12, 20, "wander", seed=3)
    return Trajectories.load(path)


@pytest.fixture(scope="module")
def folder(first: Trajectories, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two rounds have been."""
    folder = tmp_path_factory.mktemp("rounds")
    train_in_rounds(first, PRESET, RoundsConfig(2, 3, 20), "cpu", folder=folder)
    return folder


def test_rounds_add_data_and_keep_what_was_learnt(first: Trajectories, folder: Path) -> None:
    agent = JEPAAgent.load(folder)
    done = json.loads((folder / "rounds.json").read_text())
    assert [each["episodes"] for each in done] == [12, 15, 18]
    assert [each["frames"] for each in done] == [12 * 21, 15 * 21, 18 * 21]
    assert [each["collecting"] > 0 for each in done] == [False, True, True]
    assert all(each["training"] > 0 for each in done)
    seeds = {SEEDS, SEEDS + 1, SEEDS + 2, 2 * SEEDS, 2 * SEEDS + 1, 2 * SEEDS + 2}
    assert recorded_seeds(agent.notes["data"]) == {*range(3, 15)} | seeds
    assert "start" in agent.notes  # of the agent of the round before
    assert "start" not in JEPAAgent.load(folder / "round-0").notes


def test_an_interrupted_run_collects_nothing_twice(
    first: Trajectories, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was there already")

    before = (folder / "rounds.json").read_text()
    monkeypatch.setattr("jepa_agent.training.rounds.record", never)
    train_in_rounds(first, PRESET, RoundsConfig(2, 3, 20), "cpu", folder=folder)
    after = json.loads((folder / "rounds.json").read_text())
    for old, new in zip(json.loads(before), after, strict=True):
        assert (old["frames"], old["collecting"]) == (new["frames"], new["collecting"])


def test_what_is_rare_becomes_a_goal(first: Trajectories, folder: Path) -> None:
    """One corner is seen once; the latents are made the places themselves."""
    agent = JEPAAgent.load(folder)
    agent.model.encode = lambda seen: seen.float()  # type: ignore[method-assign, assignment]
    states = np.random.default_rng(0).uniform(30, 60, first.states.shape).astype(np.float32)
    states[17] = (200, 200)
    data = dataclasses.replace(first, states=states)
    goals = rare_observations(agent, data, np.random.default_rng(0))
    assert len(goals) == round(0.05 * len(states))
    np.testing.assert_array_equal(goals[0], states[17])


def test_an_explorer_plans_to_a_goal_and_then_wanders(folder: Path) -> None:
    agent = JEPAAgent.load(folder)
    goals = np.float32([[30, 30], [180, 180]])
    explorer, env = Explorer(agent, goals, steps=10), agent.env_ref.make()
    observation, _ = env.reset(seed=0)
    agent.set_goal(goals[np.random.default_rng(5).integers(2)])
    expected, _ = agent.predict(observation, None, np.array([True]))
    for _ in range(2):  # the same seed, the same episode
        explorer.seed(5)
        state, played, start = None, [], True
        for _ in range(10):
            action, state = explorer.predict(observation, state, np.array([start]))
            played.append(action)
            start = False
        np.testing.assert_array_equal(played[0], expected)
    assert env.action_space.contains(played[-1])
    held = [np.array_equal(a, b) for a, b in itertools.pairwise(played[5:])]
    assert any(held)


def test_bad_rounds_are_named(tmp_path: Path, first: Trajectories) -> None:
    with pytest.raises(ValueError, match=r"rounds.count must be in \[0, 9\].*got 10, 200 and 100"):
        RoundsConfig(10)
    unknown = dataclasses.replace(first, metadata={})
    with pytest.raises(ValueError, match="rounds need an environment to collect data in"):
        train_in_rounds(unknown, PRESET, RoundsConfig(1), folder=tmp_path)
    layout = np.arange(len(first), dtype=np.float32)[:, None] + 49
    several = dataclasses.replace(first, layout=layout)
    with pytest.raises(ValueError, match=r"rounds need data of one layout.* got 12"):
        train_in_rounds(several, PRESET, RoundsConfig(1), folder=tmp_path)
