"""CVaR against its definition, and that only a carried budget is consistent, in exact numbers."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest
import torch

from jepa_agent.agent.risk import cvar, excess, tail, value_at_risk

NEW = torch.tensor(torch.nan, dtype=torch.float64)


def outcomes(*pairs):
    costs, chances = zip(*pairs, strict=True)
    return [
        torch.tensor([float(x) for x in each], dtype=torch.float64) for each in (costs, chances)
    ]


@pytest.mark.parametrize("alpha", [1.0, 0.5, 0.2, 0.05])
def test_cvar_is_the_mean_of_the_worst_share_and_the_least_of_all_budgets(alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    costs = torch.randn(6, 7, generator=generator, dtype=torch.float64)
    chances = torch.rand(6, 7, generator=generator, dtype=torch.float64).softmax(dim=-1)
    found = cvar(costs, chances, alpha)
    for row in range(6):  # Rockafellar & Uryasev (2000), theorem 1: the least is at an outcome
        budgets = costs[row]
        values = [s + excess(costs[row], chances[row], s) / alpha for s in budgets]
        assert found[row] == pytest.approx(min(values).item())
        best = value_at_risk(costs, chances, alpha)[row]
        assert best + excess(costs[row], chances[row], best) / alpha == pytest.approx(found[row])
    if alpha == 1.0:
        torch.testing.assert_close(found, (costs * chances).sum(dim=-1))


def test_gradients_reach_the_worst_outcomes_alone() -> None:
    costs = torch.tensor([1.0, 5.0, 3.0], requires_grad=True)
    cvar(costs, torch.tensor([0.5, 0.25, 0.25]), 0.5).backward()
    torch.testing.assert_close(costs.grad, torch.tensor([0.0, 0.5, 0.5]))


# A tree. First, chance: with 1/2 the way is free and costs 0, with 1/2 there is a jam, which costs
# 10. Then a choice: `safe` costs 4; `fast` costs 0, but 12 with a chance of 1/4. What is the least
# mean of the worst half of the total costs?
ALPHA = Fraction(1, 2)
SPENT = {"free": Fraction(0), "jam": Fraction(10)}
CHOICES = {
    "safe": [(Fraction(4), Fraction(1))],
    "fast": [(Fraction(12), Fraction(1, 4)), (Fraction(0), Fraction(3, 4))],
}


def total(policy: dict[str, str]) -> list[tuple[Fraction, Fraction]]:
    """The outcomes of the whole tree under a choice for each of its two branches."""
    return [
        (SPENT[branch] + cost, chance / 2)
        for branch, choice in policy.items()
        for cost, chance in CHOICES[choice]
    ]


def static_cvar(policy: dict[str, str]) -> float:
    return cvar(*outcomes(*total(policy)), float(ALPHA)).item()


def chosen(branch: str, budget: float | None) -> str:
    """What the agent chooses in a branch: by the carried budget, or anew without one."""
    left = NEW if budget is None else torch.tensor(budget - float(SPENT[branch]))
    return min(CHOICES, key=lambda name: tail(*outcomes(*CHOICES[name]), float(ALPHA), left).item())


def test_only_a_carried_budget_keeps_to_the_best_plan() -> None:
    policies = [
        dict(zip(SPENT, pair, strict=True)) for pair in itertools.product(CHOICES, repeat=2)
    ]
    values = {tuple(policy.values()): static_cvar(policy) for policy in policies}
    assert values == {
        ("safe", "safe"): 14.0,
        ("safe", "fast"): 13.0,
        ("fast", "safe"): 14.0,
        ("fast", "fast"): 13.5,
    }
    best = policies[1]

    # Anew at every decision, `safe` (4) seems better than `fast` ((12 + 0) / 2 = 6) in the jam too,
    # where the best plan, made before, says `fast`: the plan is not kept, and costs 14, not 13.
    naive = {branch: chosen(branch, None) for branch in SPENT}
    assert naive == {"free": "safe", "jam": "safe"}
    assert static_cvar(naive) == 14.0

    # The budget of the best plan is its value at risk, 10. In the jam all of it is spent, and what
    # counts is the mean: fast (3) before safe (4). Where the way is free, 10 are left: safe exceeds
    # them never, fast by 2 with a chance of 1/4.
    budget = value_at_risk(*outcomes(*total(best)), float(ALPHA)).item()
    assert budget == 10.0
    carried = {branch: chosen(branch, budget) for branch in SPENT}
    assert carried == best
    assert static_cvar(carried) == min(values.values())
