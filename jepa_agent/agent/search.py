"""One decision: from latents and goals to a plan, by an agent's model, planner and cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ..planners import Noise, Plan, Subgoals
from .costs import PlanningCost
from .error_memory import ErrorMemory
from .imagination import Imagined
from .outlook import Outlook, outlook

if TYPE_CHECKING:
    from .agent import JEPAAgent


def search(
    agent: JEPAAgent,
    latents: Tensor,
    goals: Tensor,
    warm_start: Tensor,
    noise: Noise,
    left: Tensor,
    error_memory: ErrorMemory | None = None,
    budget: Tensor | None = None,
) -> Plan:
    """Plan for B problems.

    Args:
        agent: whose model, planner and cost are used.
        latents: (B, D), where the problems begin.
        goals: (B, D), or states (B, S) if the agent seeks those.
        warm_start: (B, H * knots, A).
        noise: one source of random numbers a problem.
        left: (B,), chunks to the deadline.
        error_memory: past outcomes of the B episodes.
        budget: (B,), see `PlanningCost`.
    """
    model, planner, chunks = agent.model, agent.planner, agent.chunks
    if isinstance(planner, Subgoals) and not agent.seeks_state:
        imagined = Imagined(model, error_memory, chunks)
        goals = planner.aim(imagined, latents, goals, agent.bounds, noise)
    ahead, left = times(agent, latents, goals, left)
    cost = planning_cost(agent, latents, goals, left, error_memory, budget)
    proposed: dict[str, Any] = {}
    takes = getattr(getattr(planner, "config", None), "takes_proposals", False)
    if takes and model.proposals is not None and not agent.seeks_state:
        likely = model.propose(latents, goals, ahead, planner.horizon)
        proposed["proposals"] = chunks.fit(likely).flatten(2, 3)
    return planner.plan(cost, agent.bounds, noise, warm_start, **proposed)


def times(agent: JEPAAgent, latents: Tensor, goals: Tensor, left: Tensor) -> tuple[Tensor, Tensor]:
    """In how many chunks (B,) proposals are to be at the goals, and when the cost looks.

    Args:
        agent: whose proposals expect when to arrive, if it has some.
        latents: (B, D).
        goals: (B, D), or states (B, S) if the agent seeks those.
        left: (B,), chunks to the deadline.
    """
    proposals = None if agent.seeks_state else agent.model.proposals
    if proposals is None or agent.cost.reduction == "deadline":
        return left, left
    ahead = proposals.chunks_ahead(latents, goals, agent.cost.arrival)
    arrives = agent.cost.reduction == "arrival"
    return ahead, ahead.clamp_max(agent.planner.horizon) if arrives else left


def planning_cost(
    agent: JEPAAgent,
    latents: Tensor,
    goals: Tensor,
    left: Tensor | None,
    error_memory: ErrorMemory | None,
    budget: Tensor | None,
) -> PlanningCost:
    """The cost that an agent's searches minimise; see `search`."""
    units = agent.bounds.units(like=latents)
    return PlanningCost(
        agent.model,
        latents,
        goals,
        agent.cost,
        error_memory,
        units,
        agent.chunks,
        agent.seeks_state,
        left,
        budget,
    )


class Decision(NamedTuple):
    """What B problems do next."""

    chunk: Tensor
    """(B, K * A): the actions of the next K steps."""
    found: Plan
    """The plan, and what else the search evaluated."""
    error_memory: ErrorMemory | None
    """With the outcomes of the last chunks, and the predictions for the next ones."""
    budget: Tensor | None
    """(B,): chunks left of the budgets of risk, if they have some."""
    outlook: Outlook | None
    """What is expected of the plans, where the model has several heads or foresees ends."""


def decide(
    agent: JEPAAgent,
    latents: Tensor,
    goals: Tensor,
    plan: Tensor,
    fresh: Tensor,
    noise: Noise,
    left: Tensor,
    error_memory: ErrorMemory | None = None,
    find: Callable[..., Plan] | None = None,
    budget: Tensor | None = None,
) -> Decision:
    """Note what the last plans of B problems led to, and plan anew from what is left of them.

    Args:
        agent: whose model, planner and cost are used.
        latents: (B, D), where the problems are.
        goals: (B, D), or states (B, S) if the agent seeks those.
        plan: (B, H * knots, A), the last plans, whose first chunk was played.
        fresh: (B,) boolean, whether an episode has just begun, which has no last plan.
        noise: one source of random numbers a problem.
        left: (B,), chunks to the deadline.
        error_memory: past outcomes of the B episodes.
        find: the search, with the arguments of `search` after the agent; by default `search`.
        budget: (B,), chunks left of the budgets of risk at the last decisions.
    """
    chunks, knots = agent.chunks, agent.chunks.knots
    if error_memory is not None:
        played = plan[:, :knots].flatten(1)
        error_memory = error_memory.observe_outcome(agent.model, latents, played, fresh)
    warm_start = torch.cat([plan[:, knots:], plan[:, -1:].expand(-1, knots, -1)], dim=1)
    idle = agent.bounds.units(like=warm_start).idle
    warm_start = torch.where(fresh[:, None, None], idle, warm_start)
    if budget is not None:  # a chunk was spent
        budget = torch.where(fresh, torch.nan, budget - 1)
    problem = (latents, goals, warm_start, noise, left, error_memory, budget)
    found = search(agent, *problem) if find is None else find(*problem)
    expected = None
    if agent.foresees or budget is not None:
        cost = planning_cost(agent, latents, goals, None, error_memory, budget)
        expected = outlook(agent, cost, found.actions)
        if budget is not None:
            first = (1 + agent.cost.slack) * expected.worst
            budget = torch.where(budget.isnan(), first.to(budget), budget)
    chunk = chunks.fill(found.actions[:, :knots].to(plan))
    if error_memory is not None:
        error_memory = error_memory.expect(agent.model, chunk)
    return Decision(chunk, found, error_memory, budget, expected)
