"""Far goals by subgoals: a graph of imagined states, and any planner below it.

A learned distance is sure of near states only, and a search sees a few chunks ahead. So what can be
reached is imagined first, chunk by chunk, as states that cover it; those that are near one another
are joined, and the planner below is sent to a state on the shortest path.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from .base import Cost, Noise, Plan, Planner, PlannerConfig, check_at_least
from .bounds import ActionBounds
from .mppi import MPPIConfig


class Imagination(Protocol):
    """What a model imagines, in latents (..., D), and how far they are by embeddings (..., E)."""

    def step(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Latents (B, N, D) after a chunk in which actions (B, N, A) are held."""

    def embed(self, latents: Tensor) -> Tensor:
        """Embeddings (..., E) of latents (..., D)."""

    def distance(self, start: Tensor, end: Tensor) -> Tensor:
        """Path lengths (...) in chunks from embeddings (..., E) to others."""

    def near(self, start: Tensor, end: Tensor) -> Tensor:
        """As `distance`, but at little cost, and right within a chunk or so alone."""


@dataclass(frozen=True)
class SubgoalsConfig(PlannerConfig, kind="subgoals"):
    """The settings of planning by subgoals.

    The graph is imagined anew at every decision from where the agent is, so it needs no data of the
    world that it is in; where the agent's error memory corrects imagination, ways that have failed
    are no longer in it.

    Args:
        lower: the planner that is sent to subgoals; its knots are this config's.
        rounds: how many chunks ahead is imagined.
        width: states that are added in a round: those farthest from all others.
        branch: chunks of random actions that are imagined from each of them.
        sure: states at most so many chunks apart are joined.
        near: at most so many chunks from the goal, the distance to it is trusted; if the agent is
            as near, the goal itself is the subgoal, and the plan is that of the planner below.
        doubt: factor of longer distances to the goal.
        reach: chunks ahead at which the subgoal lies on the path; 0 for the lower planner's
            horizon.
    """

    lower: PlannerConfig = field(default_factory=MPPIConfig)
    rounds: int = 16
    width: int = 8
    branch: int = 8
    sure: float = 1.0
    near: float = 3.0
    doubt: float = 10.0
    reach: int = 0

    takes_categories: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_at_least(self, knots=1, rounds=1, width=1, branch=1, sure=0, near=0, doubt=1, reach=0)
        if isinstance(self.lower, SubgoalsConfig) or self.lower.takes_proposals:
            raise ValueError(
                "lower must be a planner that needs a goal alone, got "
                f"{self.lower.kind}; take mppi or cem"
            )

    def build(self) -> Subgoals:
        return Subgoals(self)


class Graph(NamedTuple):
    """Imagined states of B problems, M each, the first of which are where the agents are."""

    latents: Tensor
    """(B, M, D)."""
    lengths: Tensor
    """(B, M, M): chunks from one to another, infinite where they are not joined."""
    exits: Tensor
    """(B, M): chunks to the goal, without the graph."""


class Subgoals:
    """See `SubgoalsConfig`."""

    def __init__(self, config: SubgoalsConfig) -> None:
        self.config = config
        self._lower: Planner = replace(config.lower, knots=config.knots).build()
        self.horizon = self._lower.horizon

    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """The plan of the planner below; the cost is of the subgoal that `aim` gave."""
        return self._lower.plan(cost, bounds, noise, warm_start)

    @torch.no_grad()
    def aim(
        self,
        imagination: Imagination,
        latents: Tensor,
        goals: Tensor,
        bounds: ActionBounds,
        noise: Noise,
    ) -> Tensor:
        """Subgoals (B, D) on the way from latents (B, D) to goals (B, D)."""
        config = self.config
        graph = self.graph(imagination, latents, goals, bounds, noise)
        following = shortest_ways(graph, 2 * config.rounds, config.near, config.doubt)
        last = graph.latents.shape[1]  # the number of the goal
        reach = config.reach or self.horizon
        at = torch.zeros_like(following[:, 0])
        spent, is_goal = torch.zeros_like(graph.exits[:, 0]), at > 0
        for _ in range(2 * reach):  # joined states may be nearer than a chunk
            there = following.gather(1, at[:, None])[:, 0]
            goes_on = (spent < reach) & ~is_goal
            is_goal = is_goal | (goes_on & (there == last))
            goes_on = goes_on & (there < last)
            there = torch.where(goes_on, there, at)
            rows = torch.arange(len(at), device=at.device)
            spent = spent + torch.where(goes_on, graph.lengths[rows, at, there], 0.0)
            at = there
        is_goal = is_goal | (graph.exits[:, 0] <= config.near)
        found = graph.latents.gather(1, at[:, None, None].expand(-1, 1, latents.shape[-1]))[:, 0]
        return torch.where(is_goal[:, None], goals, found)

    def graph(
        self,
        imagination: Imagination,
        latents: Tensor,
        goals: Tensor,
        bounds: ActionBounds,
        noise: Noise,
    ) -> Graph:
        """Imagine states that cover what can be reached, and join those that are near."""
        config, units = self.config, bounds.units(like=latents)
        nodes = latents[:, None]  # (B, M, D)
        seen = imagination.embed(nodes)  # (B, M, E)
        parents = [torch.zeros_like(latents[:, :1], dtype=torch.long)]  # each (B, 1)
        fresh, numbers = nodes, parents[0]
        pool: tuple[Tensor, ...] = ()  # candidates: latents, embeddings, parents and novelty
        for _ in range(config.rounds):
            count = fresh.shape[1] * config.branch
            drawn = noise.normal(count, len(units.idle), like=latents)
            actions = bounds.project(units.centre + units.half_width * drawn)
            ends = imagination.step(fresh.repeat_interleave(config.branch, dim=1), actions)
            looks = imagination.embed(ends)
            novelty = imagination.near(seen[:, :, None], looks[:, None]).amin(dim=1)
            new = (ends, looks, numbers.repeat_interleave(config.branch, dim=1), novelty)
            pool = tuple(map(_joined, pool, new)) if pool else new
            first = nodes.shape[1]
            for _ in range(config.width):
                ends, looks, froms, novelty = pool
                pick = novelty.argmax(dim=1)[:, None]  # (B, 1)
                nodes = torch.cat([nodes, _at(ends, pick)], dim=1)
                look = _at(looks, pick)
                seen = torch.cat([seen, look], dim=1)
                parents.append(froms.gather(1, pick))
                apart = imagination.near(look, looks)
                pool = (ends, looks, froms, torch.minimum(novelty, apart).scatter(1, pick, 0.0))
            fresh = nodes[:, first:]
            numbers = torch.arange(first, nodes.shape[1], device=nodes.device)
            numbers = numbers.expand(len(nodes), -1)
        between = imagination.near(seen[:, :, None], seen[:, None])  # (B, M, M)
        lengths = torch.where(between <= config.sure, between, torch.inf)
        came = torch.cat(parents[1:], dim=1)[:, None]  # (B, 1, M - 1)
        steps = lengths[:, :, 1:].scatter(1, came, 1.0)  # a chunk was imagined between these
        lengths = torch.cat([lengths[:, :, :1], torch.minimum(steps, lengths[:, :, 1:])], dim=2)
        exits = imagination.distance(seen, imagination.embed(goals)[:, None])
        return Graph(nodes, lengths, exits)


def shortest_ways(graph: Graph, most: int, near: float, doubt: float) -> Tensor:
    """Which state follows each on its shortest path to the goal, or M for the goal itself.

    Args:
        graph: of B problems, M states each.
        most: states on a path.
        near: chunks at most for which the distance to the goal is trusted.
        doubt: factor of longer distances.

    Returns:
        (B, M).
    """
    trusted = graph.exits <= near
    value = torch.where(trusted, graph.exits, doubt * graph.exits)
    following = torch.full_like(value, value.shape[1], dtype=torch.long)
    for _ in range(most):  # Bellman and Ford
        through, best = (graph.lengths + value[:, None]).min(dim=2)
        shorter = through < value - 1e-5
        value = torch.where(shorter, through, value)
        following = torch.where(shorter, best, following)
    return following


def _joined(first: Tensor, second: Tensor) -> Tensor:
    """Two parts (B, N, ...) in a row."""
    return torch.cat([first, second], dim=1)


def _at(values: Tensor, pick: Tensor) -> Tensor:
    """Rows (B, 1, D) picked by numbers (B, 1) from (B, N, D)."""
    return values.gather(1, pick[..., None].expand(-1, -1, values.shape[-1]))
