"""Subgoals: a graph of what is imagined, on the true physics of a maze."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_agent.envs import physics
from jepa_agent.envs.maze_layouts import from_text
from jepa_agent.envs.tiles import TileWalls
from jepa_agent.planners import (
    ActionBounds,
    CEMConfig,
    MPPIConfig,
    Noise,
    ProposalConfig,
    SubgoalsConfig,
)
from jepa_agent.planners.subgoals import Graph, shortest_ways

DISC = ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)
CHUNK_LENGTH = 5 * 2.45
MAP = ".....\n####.\n.....\n.####\n....."
START, GOAL = (9.0, 9.0), (55.0, 55.0)
BEND, ABOVE, BELOW = "...\n##.\n...", (10.0, 13.0), (10.0, 51.0)
"""A wall, and places on both sides of it, 37 pixels apart; the way around has about 105."""


class Walk:
    """A point among walls: its latents are places in pixels, its distance is straight.

    So the distance is right in a corridor and knows no walls.
    """

    def __init__(self, text: str) -> None:
        layout = torch.as_tensor(from_text(text).layout)
        self._walls = TileWalls.from_array(layout)

    def step(self, latents: Tensor, actions: Tensor) -> Tensor:
        for _ in range(5):
            still = torch.zeros_like(latents)
            latents = physics.step(latents, 2.45 * actions, self._walls, still)
        return latents

    def embed(self, latents: Tensor) -> Tensor:
        return latents / CHUNK_LENGTH

    def distance(self, start: Tensor, end: Tensor) -> Tensor:
        return (start - end).norm(dim=-1)

    near = distance

    def cost(self, here: Tensor, aims: Tensor) -> Any:
        def cost(candidates: Tensor) -> Tensor:
            points, total = here[:, None].expand(-1, candidates.shape[1], -1), 0.0
            for chunk in candidates.unbind(dim=2):
                points = self.step(points, chunk)
                total = total + (points - aims[:, None]).norm(dim=-1)
            return torch.as_tensor(total)

        return cost


def play(config: Any) -> float:
    """Pixels from the goal after 12 decisions, of which the shortest path takes 9."""
    world, planner = Walk(BEND), config.build()
    here, goals = torch.tensor([ABOVE]), torch.tensor([BELOW])
    plan = torch.zeros(1, planner.horizon, 2)
    for decision in range(12):
        noise = Noise([decision])
        aims = planner.aim(world, here, goals, DISC, noise) if hasattr(planner, "aim") else goals
        plan = planner.plan(world.cost(here, aims), DISC, noise, plan).actions
        here = world.step(here[:, None], plan[:, :1])[:, 0]
    return (here - goals).norm().item()


@pytest.mark.parametrize(
    "lower",
    [
        MPPIConfig(horizon=2, num_samples=32),
        pytest.param(CEMConfig(horizon=3), marks=pytest.mark.slow),
    ],
)
def test_where_the_planner_below_is_caught_behind_walls_subgoals_lead_around(lower: Any) -> None:
    assert play(lower) > 10
    # joined by imagined chunks alone, and the goal is trusted within half a corridor
    config = SubgoalsConfig(lower, rounds=12, width=4, branch=6, sure=0.1, near=0.4, doubt=100)
    assert play(config) < 2


def test_near_goals_are_planned_for_as_without_subgoals() -> None:
    lower, world = MPPIConfig(horizon=2, num_samples=16), Walk(MAP)
    here, goals = torch.tensor([START, GOAL]), torch.tensor([(30.0, 9.0), (40.0, 55.0)])
    planner, below = SubgoalsConfig(lower, rounds=3).build(), lower.build()
    aims = planner.aim(world, here, goals, DISC, Noise([0, 1]))
    assert torch.equal(aims, goals)
    start = torch.zeros(2, 2, 2)
    plans = [
        each.plan(world.cost(here, goals), DISC, Noise([2, 3]), start) for each in (planner, below)
    ]
    assert torch.equal(plans[0].actions, plans[1].actions)


def test_imagined_states_cover_the_maze_and_are_joined_by_what_was_imagined() -> None:
    config = SubgoalsConfig(rounds=20, sure=0.0)
    here, goals = torch.tensor([START]), torch.tensor([GOAL])
    graph = config.build().graph(Walk(MAP), here, goals, DISC, Noise([0]))
    assert graph.latents.shape == (1, 1 + 20 * 8, 2)
    corners = torch.tensor([(9.0, 9.0), (55.0, 9.0), (55.0, 32.0), (9.0, 32.0), (9.0, 55.0)])
    assert (torch.cdist(corners, graph.latents[0]).amin(dim=1) < CHUNK_LENGTH).all()
    joined = torch.isfinite(graph.lengths[0]).nonzero()
    apart = (graph.latents[0][joined[:, 0]] - graph.latents[0][joined[:, 1]]).norm(dim=-1)
    assert apart.max() < CHUNK_LENGTH + 1e-3


def test_problems_do_not_disturb_one_another() -> None:
    planner = SubgoalsConfig(rounds=2, near=0.1).build()
    here, goals = torch.tensor([START, GOAL]), torch.tensor([GOAL, START])
    both = planner.aim(Walk(MAP), here, goals, DISC, Noise([5, 6]))
    alone = planner.aim(Walk(MAP), here[1:], goals[1:], DISC, Noise([6]))
    torch.testing.assert_close(both[1:], alone)


def test_shortest_ways_are_those_of_a_plain_search() -> None:
    inf = torch.inf
    lengths = torch.tensor([[[0.0, 1.0, 4.0], [inf, 0.0, 1.0], [inf, inf, 0.0]]])
    exits = torch.tensor([[9.0, 5.0, 1.0]])
    ways = shortest_ways(Graph(torch.zeros(1, 3, 1), lengths, exits), 6, near=2.0, doubt=1.0)
    assert ways.tolist() == [[1, 2, 3]]  # 1 + 1 + 1 chunks, not 9 or 4 + 1
    # near the goal the distance is trusted, so a direct way of 4 is longer than one of 3
    ways = shortest_ways(Graph(torch.zeros(1, 3, 1), lengths, exits), 6, near=9.0, doubt=9.0)
    assert ways.tolist() == [[1, 2, 3]]
    ways = shortest_ways(Graph(torch.zeros(1, 3, 1), lengths, exits / 3), 6, near=9.0, doubt=9.0)
    assert ways.tolist()[0][1:] == [2, 3]


@pytest.mark.parametrize("lower", [ProposalConfig(), SubgoalsConfig()])
def test_what_cannot_be_below_is_refused(lower: Any) -> None:
    with pytest.raises(ValueError, match="lower must be a planner that needs a goal alone"):
        SubgoalsConfig(lower)
