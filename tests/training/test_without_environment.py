"""Data that name no environment train; only playing needs one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jepa_agent import EnvRef, JEPAAgent, Preset, Trajectories, train
from jepa_agent.data.actions import fitted, range_of_actions
from jepa_agent.data.source import env_of, world_shape
from jepa_agent.models.encoders import PatchCNNConfig, VectorMLPConfig
from jepa_agent.planners import ActionBounds


def logged(observations: Any = None, **metadata: Any) -> Trajectories:
    """20 episodes of 41 random states and two actions each, one of which rests."""
    rng = np.random.default_rng(0)
    actions = np.stack([rng.uniform(-2, 3, 800), np.full(800, 0.5)], axis=1)
    states = rng.normal(size=(820, 3))
    return Trajectories(
        states, actions, np.zeros((20, 0)), np.arange(21) * 41, metadata, observations
    )


@pytest.fixture
def preset(tiny_preset: Preset) -> Preset:
    model = dataclasses.replace(tiny_preset.model, encoder=VectorMLPConfig(8, 1))
    return dataclasses.replace(tiny_preset, model=dataclasses.replace(
        model, observation_shape=(3,)))  # fmt: skip


def test_shapes_and_bounds_come_from_the_data() -> None:
    data = logged(robot="arm 3")
    assert env_of(data) is None
    (shape, action_dim, state_dim), render, bounds = world_shape(None, data)
    assert (shape, action_dim, state_dim, render) == ((3,), 2, 3, None)
    assert bounds == fitted(range_of_actions(data), data)
    assert bounds.low[0] == pytest.approx(data.actions[:, 0].min())
    assert bounds.low[1] < 0.5 < bounds.high[1]  # a component that rests keeps near it
    assert bounds.high[1] - bounds.low[1] < 0.01


def test_stated_bounds_come_before_those_of_the_environment_or_the_data() -> None:
    stated = {"action_low": [-4.0, -1.0], "action_high": [4.0, 1.0]}
    expected = ActionBounds((-4.0, -1.0), (4.0, 1.0))
    assert world_shape(None, logged(**stated))[2] == expected
    one = dataclasses.replace(
        logged(env_id="Pendulum-v1", action_low=[-1.0], action_high=[1.0]),
        actions=np.zeros((800, 1)),
    )
    assert world_shape(env_of(one), one)[2] == ActionBounds((-1.0,), (1.0,))
    assert world_shape(EnvRef("Pendulum-v1", {}), dataclasses.replace(one, metadata={}))[2] == (
        ActionBounds((-2.0,), (2.0,))
    )


def test_data_that_show_nothing_or_fit_no_bounds_are_refused() -> None:
    nothing = dataclasses.replace(logged(), states=np.zeros((820, 0)))
    with pytest.raises(ValueError, match="must hold observations or states, got neither"):
        world_shape(None, nothing)
    with pytest.raises(ValueError, match="as many components as their bounds, got 2 and 1"):
        world_shape(EnvRef("Pendulum-v1", {}), logged())


def test_vectors_train_and_the_agent_is_kept(preset: Preset, tmp_path: Path) -> None:
    """Held-out data are diagnosed without episodes."""
    data, seen = logged(robot="arm 3"), []
    agent = train(
        data, preset, "cpu", folder=tmp_path / "run", held_out=data,
        callbacks=[lambda progress, _: seen.append(progress.diagnostics)],
    )  # fmt: skip
    assert seen[-1].success is None
    assert seen[-1].position_error > 0
    again = JEPAAgent.load(tmp_path / "run")
    assert not again.has_environment
    assert again.bounds == agent.bounds == fitted(range_of_actions(data), data)
    again.set_goal(np.zeros(3))
    action, _ = again.predict(np.ones(3, dtype=np.float32))
    assert action.shape == (2,)


def test_images_train(tiny_preset: Preset) -> None:
    images = np.random.default_rng(0).integers(0, 256, (820, 32, 32, 3)).astype(np.uint8)
    data = dataclasses.replace(logged(images), states=np.zeros((820, 0)))
    model = dataclasses.replace(tiny_preset.model, encoder=PatchCNNConfig(16, (4, 4), 16))
    agent = train(data, dataclasses.replace(tiny_preset, model=model), "cpu")
    assert agent.model.config.observation_shape == (32, 32, 3)
    assert agent.model.probe is None


def test_an_environment_is_asked_for_and_taken(preset: Preset, tmp_path: Path) -> None:
    agent = train(dataclasses.replace(logged(), actions=np.linspace(-2, 2, 800)[:, None]), preset)
    with pytest.raises(ValueError, match=r"must be given one .* --env module:Name-v0"):
        _ = agent.env_ref
    with pytest.raises(ValueError, match=r"shapes \(\(3,\), \(1,\)\), got \(\(2,\), \(1,\)\)"):
        agent.set_environment(EnvRef("MountainCarContinuous-v0", {}))
    agent.set_environment(EnvRef("Pendulum-v1", {}))
    agent.save(tmp_path / "agent")
    assert JEPAAgent.load(tmp_path / "agent").env_ref.id == "Pendulum-v1"


def test_an_environment_that_is_not_installed_is_not_needed(preset: Preset) -> None:
    data = logged(env_id="NotHere-v3", env_kwargs={})
    with pytest.warns(UserWarning, match="NotHere-v3 cannot be built here"):
        agent = train(data, preset, held_out=data)
    assert agent.env_ref.id == "NotHere-v3"
    assert agent.bounds == fitted(range_of_actions(data), data)
