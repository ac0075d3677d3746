"""The experiment on risk, in seconds: data, training and the curve fit together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from jepa_agent import train
from jepa_agent.experiments import risk


def test_the_experiment_runs(monkeypatch) -> None:
    monkeypatch.setattr(risk, "DATA", replace(risk.DATA, episodes=60, steps=30))
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
    agent = train(data, replace(risk.PRESET, training=small, planner=planner), "cpu")
    assert agent.model.num_heads == 5
    cost = agent.cost
    rows = risk.curve(agent, range(2), alphas=(1.0, 0.2))
    assert [row["alpha"] for row in rows] == [1.0, 0.2]
    assert all(0 <= row["failures_low"] <= row["failures"] <= 1 for row in rows)
    assert agent.cost == cost


def test_positions_are_all_that_is_seen() -> None:
    env = risk.WORLD.make()
    observation, info = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    np.testing.assert_allclose(observation["observation"], info["position"])
    np.testing.assert_allclose(observation["desired_goal"], info["goal"])
