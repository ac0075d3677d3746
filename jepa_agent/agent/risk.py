"""Risk of outcomes: the mean of the worst ones, decided once and carried along an episode.

CVaR, the mean of the worst share alpha of the outcomes, is the least value of
`s + E[(Z - s)^+] / alpha` over budgets s (Rockafellar & Uryasev, 2000). Whoever takes the CVaR anew
at every decision changes their mind: a plan that was the best one stops being so without news. With
the budget chosen at the beginning and reduced by what has been spent, it stays the best one: the
budget is a part of the state (Bäuerle & Ott, 2011).

Shapes: outcomes lie in the last dimension (..., O), with chances that sum to 1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cvar(costs: Tensor, chances: Tensor, alpha: float) -> Tensor:
    """The mean (...) of the worst share alpha of outcomes (..., O)."""
    worst, taken = _worst(costs, chances, alpha)
    return (taken * worst).sum(dim=-1) / alpha


def value_at_risk(costs: Tensor, chances: Tensor, alpha: float) -> Tensor:
    """The least cost (...) of the worst share alpha of outcomes (..., O): the best budget."""
    worst, taken = _worst(costs, chances, alpha)
    return torch.where(taken > 0, worst, torch.inf).amin(dim=-1)


def excess(costs: Tensor, chances: Tensor, budget: Tensor) -> Tensor:
    """By how much (...) outcomes (..., O) exceed a budget (...) in the mean."""
    return (chances * (costs - budget[..., None]).clamp_min(0.0)).sum(dim=-1)


def tail(costs: Tensor, chances: Tensor, alpha: float, budget: Tensor) -> Tensor:
    """What is to be minimised (...): CVaR at an episode's first decision, excess at later ones.

    Args:
        costs: (..., O) of the outcomes from now on.
        chances: (..., O).
        alpha: the share of the worst outcomes.
        budget: (...), what is left of it; NaN at the first decision, which will choose it.
    """
    left = budget.nan_to_num()  # where it is NaN, gradients must be none and not NaN
    later = left + excess(costs, chances, left) / alpha
    return torch.where(budget.isnan(), cvar(costs, chances, alpha), later)


def _worst(costs: Tensor, chances: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Costs (..., O), the greatest first, and how much of each belongs to the worst share."""
    worst, order = costs.sort(dim=-1, descending=True)
    chance = chances.expand_as(costs).gather(-1, order)
    until = chance.cumsum(dim=-1)
    return worst, until.clamp_max(alpha) - (until - chance).clamp_max(alpha)
