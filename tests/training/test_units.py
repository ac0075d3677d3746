"""A world in other units is learnt and planned in alike, from its data to the action."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, Preset, TrainingConfig, Trajectories, WorldModelConfig, train
from jepa_agent.agent.costs import CostConfig
from jepa_agent.models.distances import BlockNormConfig
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.models.predictors import ResidualMLPConfig
from jepa_agent.planners import PLANNERS, make_planner

SCALE, SHIFT = np.array([256.0, 1e-3]), np.array([256.0, 0.0])
"""Units of actions: the boxes are [0, 512] and [-0.001, 0.001] instead of [-1, 1]."""
SEEN_SCALE, SEEN_SHIFT = np.array([1e-4, 50.0]), np.array([0.003, -700.0])
"""Units of observations."""
GOAL = np.array([0.5, -0.5])


class Walker(gym.Env):
    """A point in a square that moves by a tenth of the action, in usual or in other units."""

    def __init__(self, other: bool = False) -> None:
        self.scale, self.shift = (SCALE, SHIFT) if other else (np.ones(2), np.zeros(2))
        low, high = ((self.shift + sign * self.scale).astype(np.float32) for sign in (-1, 1))
        self.action_space = gym.spaces.Box(low, high)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)


def units(other: bool, points: np.ndarray) -> np.ndarray:
    """Points as they are observed."""
    return SEEN_SHIFT + SEEN_SCALE * points if other else points


def recorded(other: bool) -> Trajectories:
    """64 episodes of 24 random steps."""
    rng, world = np.random.default_rng(0), Walker(other)
    actions = rng.uniform(-1, 1, (64, 24, 2))
    starts = rng.uniform(-1, 1, (64, 1, 2))
    points = np.concatenate([starts, starts + 0.1 * actions.cumsum(axis=1)], axis=1)
    metadata = {"env_id": "Walker-v0", "env_kwargs": {"other": other}}
    return Trajectories(
        units(other, points.reshape(-1, 2)), world.shift + world.scale * actions.reshape(-1, 2),
        np.zeros((64, 0)), np.arange(65) * 25, metadata,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    gym.register("Walker-v0", entry_point=Walker)
    yield
    del gym.registry["Walker-v0"]


@pytest.fixture(scope="module")
def agents() -> tuple[JEPAAgent, JEPAAgent]:
    """Trained in usual and in other units, by the same seed; their losses are in the notes."""
    preset = Preset(
        WorldModelConfig(
            chunk=2, latent_dim=8, encoder=VectorMLPConfig(16, 1),
            predictor=ResidualMLPConfig(16, 1),
            distance_head=BlockNormConfig(width=16, depth=1, dim=4, blocks=2),
        ),
        TrainingConfig(steps=10, layouts_per_batch=2, windows_per_layout=16, horizon=2),
        cost=CostConfig(action_cost=0.1, error_memory=4),
    )  # fmt: skip

    def trained(other: bool) -> JEPAAgent:
        seen: list[Any] = []
        data = recorded(other)
        agent = train(data, preset, callbacks=[lambda progress, _: seen.append(progress.losses)])
        agent.notes["losses"] = seen[-1]
        return agent

    return trained(other=False), trained(other=True)


def test_the_losses_are_the_same(agents: tuple[JEPAAgent, JEPAAgent]) -> None:
    usual, other = (agent.notes["losses"] for agent in agents)
    assert {"prediction", "inverse_dynamics", "probe", "distance"} <= set(usual)
    for name, loss in usual.items():
        assert other[name] == pytest.approx(loss, rel=1e-5), name


@pytest.mark.parametrize("name", sorted(PLANNERS))
def test_the_plans_are_the_same(agents: tuple[JEPAAgent, JEPAAgent], name: str) -> None:
    """Over five chunks, whose outcomes are remembered."""
    actions = []
    for agent, other in zip(agents, (False, True), strict=True):
        agent.planner, world, state = make_planner(name), Walker(other), None
        agent.set_goal(units(other, GOAL).astype(np.float32))
        point, played = np.zeros(2), []
        for _ in range(10):
            action, state = agent.act(units(other, point).astype(np.float32), state)
            assert world.action_space.contains(action)
            played.append((action - world.shift) / world.scale)
            point = point + 0.1 * played[-1]
        actions.append(np.stack(played))
    assert np.abs(actions[0]).max() > 0.05
    np.testing.assert_allclose(*actions, rtol=0, atol=2e-3)


def test_a_model_keeps_the_statistics_of_all_actions(agents: tuple[JEPAAgent, JEPAAgent]) -> None:
    data, model = recorded(other=True), agents[1].model
    np.testing.assert_allclose(model.action_mean, data.actions.mean(axis=0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(model.action_std, data.actions.std(axis=0), rtol=1e-3)
    chunks = torch.as_tensor(data.actions.reshape(-1, 4))
    steps = model.standardise(chunks).reshape(-1, 2)
    torch.testing.assert_close(steps.mean(dim=0), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(steps.std(dim=0), torch.ones(2), rtol=0, atol=1e-4)


def test_an_action_that_never_varies_is_left_alone() -> None:
    data = recorded(other=False)
    actions = data.actions.copy()
    actions[:, 1] = 0.25
    preset = Preset(
        WorldModelConfig(latent_dim=8, chunk=2, encoder=VectorMLPConfig(16, 1)),
        TrainingConfig(steps=1, layouts_per_batch=2, windows_per_layout=16, horizon=2),
    )
    agent = train(dataclasses.replace(data, actions=actions), preset)
    assert agent.model.action_std[1] == 1.0
