"""The experiment on risk, in seconds: data, training and the curve fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, train
from jepa_agent.experiments import risk
from jepa_agent.experiments.risk import Anew, TrueEnding, Way, draw, measured, pooled


@pytest.fixture(scope="module")
def agent() -> JEPAAgent:
    """An agent that has hardly learned anything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(risk, "DATA", replace(risk.DATA, episodes=60, steps=30))
        data = risk.dangerous_data(seed=1)
    assert data.terminal is not None
    assert data.terminal.any()
    training = risk.PRESET.training
    small = replace(
        training,
        steps=1,
        windows_per_layout=16,
        refinement=replace(training.refinement, steps=2, windows_per_layout=20),
    )
    planner = replace(risk.PRESET.planner, horizon=2, num_samples=8, iterations=1)
    return train(data, replace(risk.PRESET, training=small, planner=planner), "cpu")


def test_the_experiment_runs(agent: JEPAAgent, tmp_path: Path, monkeypatch) -> None:
    short = replace(risk.WORLD, kwargs={**risk.WORLD.kwargs, "max_episode_steps": 10})
    monkeypatch.setattr(risk, "WORLD", short)
    monkeypatch.setattr(risk, "ACTIONS", 3)
    assert agent.model.num_heads == 5
    cost, ending = agent.cost, agent.model.ending
    ways = (Way(), Way(0.2), Way(0.2, carried=False), Way(0.2, true_ends=True))
    rows = [measured(agent, way, range(2)) for way in ways]
    assert agent.cost == cost
    assert agent.model.ending is ending
    for row in rows:
        assert row["ended"] + row["late"] + len(row["steps"]) == row["episodes"] == 2
        row["steps"] = [30]  # of the one that arrived
        row["late"] = 1 - row["ended"] if row["ended"] < 2 else 0
    table = [pooled([row, row]) for row in rows]
    assert [row["way"] for row in table] == [
        "neutral", "alpha 0.2", "alpha 0.2, anew at every decision", "alpha 0.2, true ends"
    ]  # fmt: skip
    assert all(0 <= row["low"] <= row["failures"] <= row["high"] <= 100 for row in table)
    assert all(row["episodes"] == 4 for row in table)
    assert all(row["least_steps"] == row["steps"] == row["most_steps"] == 30 for row in table)
    pytest.importorskip("matplotlib")
    draw(table, tmp_path / "risk.png")
    assert (tmp_path / "risk.png").stat().st_size > 0


def test_a_budget_is_carried_or_forgotten(agent: JEPAAgent) -> None:
    env = risk.WORLD.make()
    chosen = replace(agent.cost, risk="cvar", alpha=0.2)
    neutral, agent.cost = agent.cost, chosen
    observation, _ = env.reset(seed=0)
    batch = {name: value[None] for name, value in observation.items()}
    budgets = []
    for policy in (agent, Anew(agent)):
        state, seen = None, []
        for _ in range(6):  # a chunk, and the decision after it
            _, state = policy.predict(batch, state=state, episode_start=None)
            seen.append(state.budget.item())
        budgets.append(seen[-1] - seen[0])
    agent.cost = neutral
    assert budgets[0] == pytest.approx(-1.0)
    assert budgets[1] != pytest.approx(-1.0)


def test_true_ends_are_those_of_the_world(agent: JEPAAgent, monkeypatch) -> None:
    """Into the strip for certain, far from it never, along its edge now and then."""
    monkeypatch.setattr(risk, "ACTIONS", 3)
    places = torch.tensor([[24.0, 40.0], [10.5, 40.0], [27.0, 40.0]])
    held = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    model = agent.model
    monkeypatch.setattr(model, "locate", lambda latents: places.expand(*latents.shape[:-1], 2))
    chunks = model.standardise(held.repeat(1, model.config.chunk))
    latents = torch.zeros(2, 3, model.config.latent_dim)
    chance = TrueEnding(model)(latents, chunks.expand(2, 3, -1)).sigmoid()
    assert torch.equal(chance[0], chance[1])
    assert chance[0, 0] > 0.99
    assert chance[0, 1] < 0.01
    assert 0.05 < chance[0, 2] < 0.95


def test_positions_are_all_that_is_seen() -> None:
    env = risk.WORLD.make()
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    np.testing.assert_allclose(observation["observation"], info["position"])
    np.testing.assert_allclose(observation["desired_goal"], info["goal"])
