"""Actions that change within a chunk, from the planner's knots to the steps that are played."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jepa_agent import EnvRef, JEPAAgent, WorldModel, WorldModelConfig
from jepa_agent.agent.chunks import Chunks
from jepa_agent.agent.costs import CostConfig, PlanningCost
from jepa_agent.agent.error_memory import NEAR_ACTION, ErrorMemory
from jepa_agent.models.distances import DistanceHeadConfig
from jepa_agent.models.encoders import EncoderConfig, VectorMLPConfig
from jepa_agent.models.predictors import PredictorConfig
from jepa_agent.planners import (
    DISCRETE_PLANNERS,
    PLANNERS,
    ActionBounds,
    CEMConfig,
    CEMGradientConfig,
    MPPIConfig,
)


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_one_knot_is_held_and_as_many_as_steps_are_played_as_they_are() -> None:
    knots = random(3, 5, 2)
    held = Chunks(5, 1).fill(knots[:, :1]).unflatten(-1, (5, 2))
    assert torch.equal(held, knots[:, :1].expand(-1, 5, -1))
    assert torch.equal(Chunks(5, 5).fill(knots), knots.flatten(1))
    assert torch.equal(Chunks(5, 5, discrete=True).fill(knots), knots.flatten(1))


@pytest.mark.parametrize(("steps", "knots"), [(5, 2), (5, 3), (7, 4), (2, 2)])
def test_between_knots_actions_are_interpolated(steps: int, knots: int) -> None:
    values = random(4, knots, 2)
    filled = Chunks(steps, knots).fill(values).unflatten(-1, (steps, 2))
    at = np.linspace(0, knots - 1, steps)
    for row in range(4):
        for component in range(2):
            expected = np.interp(at, np.arange(knots), values[row, :, component])
            np.testing.assert_allclose(filled[row, :, component], expected, atol=1e-12)


def test_discrete_actions_are_those_of_the_nearest_knot() -> None:
    knots = torch.eye(3)[[0, 2]]
    filled = Chunks(5, 2, discrete=True).fill(knots).unflatten(-1, (5, 3))
    assert filled.argmax(dim=-1).tolist() == [0, 0, 2, 2, 2]
    assert (filled.sum(dim=-1) == 1).all()


@pytest.mark.parametrize("knots", [0, 6])
def test_there_are_no_more_knots_than_steps(knots: int) -> None:
    message = f"knots must be from 1 to the 5 steps of the model's chunk, got {knots}; set"
    with pytest.raises(ValueError, match=message):
        Chunks(5, knots)


def test_bad_numbers_of_knots_are_refused_by_configs() -> None:
    with pytest.raises(ValueError, match="knots must be at least 1, got 0"):
        MPPIConfig(knots=0)
    with pytest.raises(ValueError, match="knots must be set for both together, got 2 of cem and 1"):
        CEMGradientConfig(cem=CEMConfig(knots=2))


def small_agent(bounds: ActionBounds, chunk: int = 3) -> JEPAAgent:
    """An untrained agent of vectors."""
    config = WorldModelConfig((4,), len(bounds.low), 0, chunk, 8, encoder=VectorMLPConfig(16, 1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        agent = JEPAAgent(WorldModel(config), bounds, EnvRef("Nowhere-v0", {}))
    agent.set_goal(np.ones(4))
    return agent


NESTED = ("cem-gradient", "subgoals")
"""Planners whose horizon is that of another's settings."""


def cases() -> list[tuple[str, ActionBounds]]:
    boxes = [(name, ActionBounds((-1.0, 0.0), (1.0, 5.0))) for name in sorted(PLANNERS)]
    hot = [(name, ActionBounds.one_hot((3, 2))) for name in sorted(DISCRETE_PLANNERS)]
    return boxes + hot


@pytest.mark.parametrize(
    ("name", "bounds"), cases(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_planner_plans_two_knots_a_chunk(name: str, bounds: ActionBounds) -> None:
    agent = small_agent(bounds)
    kind = (PLANNERS | DISCRETE_PLANNERS)[name]
    agent.planner = (kind(knots=2) if name in NESTED else kind(knots=2, horizon=2)).build()
    agent.cost = CostConfig(error_memory=2)
    state, chunks = None, agent.planner.horizon
    for step in range(7):
        _, state = agent.act(np.zeros((3, 4), np.float32), state)
        assert state.plan.shape == (3, chunks * 2, len(bounds.low))
        assert state.planned.all() == (step % 3 == 0)
    filled = torch.as_tensor(state.actions)
    torch.testing.assert_close(bounds.project(filled), filled)
    first, last = state.plan[:, :2].unbind(dim=1)
    assert torch.equal(filled[:, 0], first)
    assert torch.equal(filled[:, 2], last)


def test_the_steps_of_a_chunk_are_played_in_turn() -> None:
    """Also in a batch whose environments are at different steps."""
    agent = small_agent(ActionBounds((-1.0, -1.0), (1.0, 1.0)))
    agent.planner = MPPIConfig(horizon=2, knots=3).build()
    state = None
    for step in range(8):
        start = np.array([step == 0, step in (0, 2)])
        actions, state = agent.act(np.zeros((2, 4), np.float32), state, start)
        at = np.array([step % 3, (step - 2) % 3 if step >= 2 else step])
        plans = state.plan.unflatten(1, (2, 3))[:, 0].numpy()
        np.testing.assert_array_equal(actions, plans[np.arange(2), at])
    assert np.abs(np.diff(plans, axis=1)).max(axis=-1).min() > 0


@dataclass(frozen=True)
class SameConfig(EncoderConfig):
    """Latents are observations."""

    observation_ndim = 1

    def build(self, observation_shape: tuple[int, ...], latent_dim: int) -> nn.Module:
        return Same()


class Same(nn.Module):
    def forward(self, vectors: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        return vectors


@dataclass(frozen=True)
class EachConfig(PredictorConfig):
    """Every step of a chunk moves a number of its own."""

    def build(self, latent_dim: int, action_dim: int, chunk: int) -> nn.Module:
        return Each()


class Each(nn.Module):
    def forward(self, latents: Tensor, actions: Tensor) -> Tensor:
        return latents + actions


@dataclass(frozen=True)
class LargestConfig(DistanceHeadConfig):
    """What `Each` needs: as many chunks as the largest difference."""

    def build(self, latent_dim: int) -> nn.Module:
        return Largest()


class Largest(nn.Module):
    dim = 2

    def forward(self, latents: Tensor) -> Tensor:
        return latents

    def distance(self, start: Tensor, end: Tensor) -> Tensor:
        return (start - end).abs().amax(dim=-1)


@pytest.mark.parametrize("name", sorted(PLANNERS))
def test_a_goal_that_needs_two_actions_in_a_chunk_is_reached_by_two_knots(name: str) -> None:
    pieces = {"encoder": SameConfig(), "predictor": EachConfig(), "distance_head": LargestConfig()}
    config = WorldModelConfig((2,), 1, 0, 2, 2, **pieces)
    cost, bounds = CostConfig(distance="latent"), ActionBounds((-1.0,), (1.0,))
    goal, short = np.array([0.6, -0.6], np.float32), {"horizon": 1}

    def reached(knots: int) -> float:
        kind = PLANNERS[name]
        below = {"lower": MPPIConfig(horizon=1)} if name == "subgoals" else {}
        parts = below if name in NESTED else short
        agent = JEPAAgent(
            WorldModel(config), bounds, EnvRef("Nowhere-v0", {}),
            kind(knots=knots, **parts).build(), cost,
        )  # fmt: skip
        agent.set_goal(goal)
        first, state = agent.act(np.zeros(2, np.float32))
        second, _ = agent.act(np.zeros(2, np.float32), state)
        return float(np.abs(np.concatenate([first, second]) - goal).max())

    assert reached(2) < 0.25
    assert reached(1) > 0.5


def test_moves_are_compared_by_the_mean_over_their_knots() -> None:
    """Two equal knots are as near to others as one is; so the memory reaches as far."""
    agent = small_agent(ActionBounds((-2.0, 0.0), (2.0, 1.0)))
    agent.cost = CostConfig(error_memory=1)
    weights = []
    for knots in (1, 2, 3):
        agent.planner = MPPIConfig(knots=knots).build()
        _, state = agent.act(np.zeros((1, 4), np.float32))
        memory = state.error_memory
        assert isinstance(memory, ErrorMemory)
        move = torch.tensor([[0.5, 0.25]]).repeat(1, knots)
        fresh = torch.zeros(1, dtype=torch.bool)
        memory = memory.observe_outcome(agent.model, torch.ones(1, 8), move, fresh)
        here = agent.model.distance_embedding(memory.starts.new_zeros(1, 1, 8))
        memory = memory._replace(starts=here, errors=torch.ones(1, 1, 8))
        other = move + torch.tensor([0.4, -0.2]).repeat(knots)
        weights.append(memory.correction(agent.model, here, other[:, None])[0, 0, 0].item())
    expected = np.exp(-(0.2**2 + 0.4**2) / NEAR_ACTION**2)
    np.testing.assert_allclose(weights, expected, rtol=1e-5)


def test_effort_is_the_mean_over_all_knots() -> None:
    agent = small_agent(ActionBounds((-2.0, 0.0), (2.0, 1.0)))
    candidates = random(1, 2, 6, 2).float()
    costs = []
    for action_cost in (0.0, 1.0):
        config = dataclasses.replace(agent.cost, action_cost=action_cost)
        units, chunks = agent.bounds.units(like=candidates), Chunks(3, 3)
        latents = torch.zeros(1, 8)
        cost = PlanningCost(agent.model, latents, latents, config, None, units, chunks)
        costs.append(cost(candidates))
    scaled = candidates / torch.tensor([2.0, 0.5])
    torch.testing.assert_close(costs[1] - costs[0], scaled.square().sum(dim=-1).mean(dim=-1))


def test_a_planner_of_ones_own_without_a_config_plans_one_knot() -> None:
    agent = small_agent(ActionBounds((-1.0,), (1.0,)))
    del (planner := MPPIConfig().build()).config
    agent.planner = planner
    assert agent.chunks == Chunks(3, 1)
