"""One search: from latents and goals to a plan, by an agent's model, planner and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..planners import Noise, Plan
from .costs import PlanningCost
from .error_memory import ErrorMemory

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
    """
    model, planner, chunks = agent.model, agent.planner, agent.chunks
    proposals = None if agent.seeks_state else model.proposals
    ahead = left
    if proposals is not None and agent.cost.reduction == "arrival":
        ahead = proposals.chunks_ahead(latents, goals)
        left = ahead.clamp_max(planner.horizon)
    units = agent.bounds.units(like=warm_start)
    cost = PlanningCost(
        model, latents, goals, agent.cost, error_memory, units, chunks, agent.seeks_state, left
    )
    proposed: dict[str, Any] = {}
    if proposals is not None and getattr(
        getattr(planner, "config", None), "takes_proposals", False
    ):
        likely = model.propose(latents, goals, ahead, planner.horizon)
        proposed["proposals"] = chunks.fit(likely).flatten(2, 3)
    return planner.plan(cost, agent.bounds, noise, warm_start, **proposed)
