"""What an agent expects of its plans."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from .costs import PlanningCost, disagreement
from .risk import value_at_risk

if TYPE_CHECKING:
    from .agent import JEPAAgent


class Outlook(NamedTuple):
    """What an agent expects of its plans for k environments."""

    paths: Tensor
    """(k, heads, H, D): what every head imagines."""
    disagreement: Tensor
    """(k,): learned path length in chunks between what heads imagine and its mean, at the end."""
    arrival: Tensor
    """(k,): chunks until the goal."""
    ending: Tensor
    """(k,): the chance that the episode ends within the plan, elsewhere than at the goal."""
    worst: Tensor
    """(k,): the least cost in chunks of the worst share `alpha` of the outcomes."""


def outlook(agent: JEPAAgent, cost: PlanningCost, plans: Tensor) -> Outlook:
    """What is to be expected of plans (k, H * knots, A)."""
    seen = cost.foresee(plans[:, None])
    paths = seen.imagined[:, :, 0]
    apart = disagreement(agent.model, paths[:, :, -1])
    costs, chances = seen.outcomes(agent.cost.failure)
    worst = value_at_risk(costs, chances, agent.cost.alpha)[:, 0]
    arrival = seen.arrival.mean(dim=1)[:, 0]
    return Outlook(paths, apart, arrival, 1 - seen.alive.mean(dim=1)[:, 0], worst)
