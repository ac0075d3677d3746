"""Discrete actions: costs whose optimum is known, and what every planner must keep to."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_agent.planners import (
    DISCRETE_PLANNERS,
    PLANNERS,
    ActionBounds,
    CategoricalCEMConfig,
    ExhaustiveConfig,
    Noise,
    make_planner,
)

BOUNDS = ActionBounds.one_hot((3, 2))
HORIZON = 4
NAMES = sorted(DISCRETE_PLANNERS)


def weights(problems: int, horizon: int = HORIZON, bounds: ActionBounds = BOUNDS) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(problems, horizon, len(bounds.low), generator=generator, dtype=torch.float64)


def separable(table: Tensor) -> Any:
    """A price for each category of each step; the cheapest ones are best."""
    return lambda candidates: (candidates * table[:, None]).sum(dim=(-1, -2))


def cheapest(table: Tensor, bounds: ActionBounds = BOUNDS) -> Tensor:
    return bounds.project(-table)


def idle(problems: int, horizon: int = HORIZON) -> Tensor:
    return BOUNDS.units(like=torch.zeros(1, dtype=torch.float64)).idle.repeat(problems, horizon, 1)


def test_categorical_cem_finds_the_optimum_of_a_separable_cost() -> None:
    """20 choices in 10 steps: 6 ^ 10 sequences, of which 1,280 are tried."""
    table, config = weights(3, 10), CategoricalCEMConfig(10, 128, 10, 16, 0.05)
    plan = config.build().plan(separable(table), BOUNDS, Noise(range(3)), idle(3, 10))
    assert torch.equal(plan.actions, cheapest(table))
    torch.testing.assert_close(plan.cost, separable(table)(plan.actions[:, None])[:, 0])


def test_exhaustive_search_equals_brute_force() -> None:
    """On a cost in which steps matter to one another."""
    table = weights(2, 3)

    def cost(candidates: Tensor) -> Tensor:
        twisted = (candidates[:, :, 1:] * candidates[:, :, :-1].roll(1, dims=-1)).sum(dim=(-1, -2))
        return separable(table)(candidates) - 2 * twisted

    rows = [
        [float(a == x) for x in range(3)] + [float(b == y) for y in range(2)]
        for a, b in itertools.product(range(3), range(2))
    ]
    every = torch.tensor(list(itertools.product(rows, repeat=3)), dtype=torch.float64)
    costs = cost(every.expand(2, -1, -1, -1))
    plan = ExhaustiveConfig(horizon=3).build().plan(cost, BOUNDS, Noise([0, 1]), idle(2, 3))
    assert torch.equal(plan.actions, every[costs.argmin(dim=1)])
    assert sum(each.shape[1] for each in plan.trace.costs) == len(every) == 6**3


def test_exhaustive_search_says_when_there_is_too_much_to_search() -> None:
    message = r"must have at most max_sequences 4096, got 6\^5 = 7776; lower the horizon"
    with pytest.raises(ValueError, match=message):
        ExhaustiveConfig(horizon=5).build().plan(
            separable(weights(1, 5)), BOUNDS, Noise([0]), idle(1, 5)
        )
    found = ExhaustiveConfig(horizon=5, max_sequences=7776).build()
    plan = found.plan(separable(weights(1, 5)), BOUNDS, Noise([0]), idle(1, 5))
    assert torch.equal(plan.actions, cheapest(weights(1, 5)))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gradient"])
def test_every_planner_tries_valid_actions_and_finds_a_good_plan(name: str) -> None:
    table = weights(4)
    planner, seen = make_planner(name), []

    def cost(candidates: Tensor) -> Tensor:
        seen.append(candidates.clone())
        return separable(table)(candidates)

    plan = planner.plan(cost, BOUNDS, Noise(range(4)), idle(4, planner.horizon))
    for actions in (*seen, plan.actions):
        for group in actions.split(BOUNDS.categories, dim=-1):
            assert ((group == 0) | (group == 1)).all()
            assert (group.sum(dim=-1) == 1).all()
    best, standing = (cost(each[:, None])[:, 0] for each in (cheapest(table), idle(4)))
    share = 0.1 if name in ("categorical-cem", "exhaustive") else 0.7
    assert (plan.cost - best <= share * (standing - best)).all()


def test_random_shooting_draws_every_category_alike() -> None:
    plan = make_planner("random").plan(
        separable(torch.zeros(8, 4, 5)), BOUNDS, Noise(range(8)), idle(8).float()
    )
    shares = plan.trace.candidates[0][:, 1:].mean(dim=(0, 1, 2))
    torch.testing.assert_close(shares, torch.tensor([1, 1, 1, 1.5, 1.5]) / 3, rtol=0, atol=0.02)


@pytest.mark.parametrize(
    ("name", "bounds", "message"),
    [
        ("gradient", BOUNDS, "gradient searches continuous actions, got discrete ones; use cat"),
        ("cem-gradient", BOUNDS, "cem-gradient searches continuous actions"),
        ("exhaustive", ActionBounds((-1.0,), (1.0,)), "exhaustive searches discrete actions, got"),
        ("categorical-cem", ActionBounds((-1.0,), (1.0,)), "categorical-cem searches discrete"),
    ],
)
def test_the_other_kind_of_actions_is_refused(
    name: str, bounds: ActionBounds, message: str
) -> None:
    assert name not in (DISCRETE_PLANNERS if bounds.categories else PLANNERS)
    start = torch.zeros(1, 4, len(bounds.low))
    with pytest.raises(ValueError, match=message):
        make_planner(name).plan(lambda c: c.sum(dim=(-1, -2)), bounds, Noise([0]), start)


@pytest.mark.parametrize("name", ["categorical-cem", "exhaustive"])
def test_a_plan_does_not_depend_on_who_else_is_planned(name: str) -> None:
    table, seeds = weights(6), list(range(6))
    together = make_planner(name).plan(separable(table), BOUNDS, Noise(seeds), idle(6))
    alone = make_planner(name).plan(separable(table[2:3]), BOUNDS, Noise(seeds[2:3]), idle(1))
    assert torch.equal(alone.actions, together.actions[2:3])
    assert torch.equal(alone.cost, together.cost[2:3])


@pytest.mark.parametrize(
    "changes", [{"num_samples": 8}, {"iterations": 1}, {"num_elites": 2}, {"smoothing": 1.0}]
)
def test_every_field_of_categorical_cem_changes_the_search(changes: dict[str, Any]) -> None:
    def costs(config: CategoricalCEMConfig) -> Tensor:
        cost, start = separable(weights(3, 8)), idle(3, 8)
        plan = config.build().plan(cost, BOUNDS, Noise(range(3)), start)
        return torch.cat(plan.trace.costs, dim=1)

    usual, other = costs(CategoricalCEMConfig(8)), costs(CategoricalCEMConfig(8, **changes))
    assert usual.shape != other.shape or not torch.equal(usual, other)


@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "categorical-cem", "exhaustive"])
def test_staying_is_found(name: str) -> None:
    """Doing nothing is a candidate, whatever else is likely."""
    bounds = ActionBounds.one_hot((9,))
    still = bounds.units(like=torch.zeros(1)).idle
    start = still.flip(0).repeat(1, 3, 1)
    config = DISCRETE_PLANNERS[name](horizon=3)
    plan = config.build().plan(
        lambda c: (c != still).any(dim=-1).any(dim=-1).float(), bounds, Noise([0]), start
    )
    assert (plan.actions == still).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"categories": (2,)},
            r"sizes of groups, in a box of 0 to 1.*got \(2,\); use|got \(2,\) in",
        ),
        ({"categories": (2, 1), "norm": 1.0}, "without norm"),
        ({"categories": (3,), "idle": (0.0, 0.5, 0.5)}, "idle must be one-hot"),
        ({"categories": (3,), "start": (1, 2)}, r"one integer for each of 1 groups, got \(1, 2\)"),
        ({"categories": (3,), "shape": (2,)}, r"shape must hold 1 numbers, got \(2,\)"),
        ({"shape": (2, 2)}, r"shape must hold 3 numbers, got \(2, 2\)"),
    ],
)
def test_bounds_that_contradict_themselves_are_refused(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ActionBounds((0.0,) * 3, (1.0,) * 3, **fields)
