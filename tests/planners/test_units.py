"""A problem in other units has the same plan in those units."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_agent.planners import PLANNERS, ActionBounds, Noise, make_planner

NAMES = sorted(PLANNERS)
GOAL = torch.tensor([0.6, -0.3], dtype=torch.float64)
SQUARE = ActionBounds((-1.0, -1.0), (1.0, 1.0))


def bowl(centre: Tensor, half_width: Tensor) -> Any:
    """A cost that does not know units: least at the goal, and a second valley beside it."""

    def cost(candidates: Tensor) -> Tensor:
        offsets = (candidates - centre) / half_width - GOAL
        return (offsets.square() + 0.1 * (5 * offsets).cos()).sum(dim=(-1, -2))

    return cost


def plans(name: str, bounds: ActionBounds, centre: Tensor, half_width: Tensor) -> Tensor:
    """Plans of three problems in the box's units, brought back to those of the square."""
    planner = make_planner(name)
    start = torch.tensor([0.2, 0.1], dtype=torch.float64).repeat(3, planner.horizon, 1)
    noise, cost = Noise(range(3)), bowl(centre, half_width)
    plan = planner.plan(cost, bounds, noise, centre + half_width * start)
    return (plan.actions - centre) / half_width


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("low", "high"),
    [((-1e-3, -1e-3), (1e-3, 1e-3)), ((10.0, -512.0), (110.0, 512.0)), ((2.0, 0.5), (4.0, 0.7))],
)
def test_other_units_give_the_same_plan(
    name: str, low: tuple[float, ...], high: tuple[float, ...]
) -> None:
    ends = torch.tensor([low, high], dtype=torch.float64)
    centre, half_width = ends.mean(dim=0), (ends[1] - ends[0]) / 2
    bounds = ActionBounds(low, high, idle=tuple(centre.tolist()))
    usual = plans(name, SQUARE, torch.zeros_like(centre), torch.ones_like(centre))
    torch.testing.assert_close(plans(name, bounds, centre, half_width), usual, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("low", "high", "best"),
    [(0.0, 100.0, 80.0), (-100.0, 100.0, 60.0), (-1e-3, 1e-3, 0.6e-3), (50.0, 51.0, 50.8)],
)
def test_no_part_of_a_wide_or_narrow_box_is_left_out(
    name: str, low: float, high: float, best: float
) -> None:
    def off(low: float, high: float, best: float) -> float:
        """How far the plan is from the best action, in half widths."""
        bounds, half = ActionBounds((low,), (high,)), (high - low) / 2
        planner = make_planner(name)
        start = bounds.units(like=torch.zeros(1)).idle.repeat(1, planner.horizon, 1)
        plan = planner.plan(
            lambda c: ((c - best) / half).square().sum(dim=(-1, -2)), bounds, Noise([0]), start
        )
        return ((plan.actions - best).abs() / half).mean().item()

    assert off(low, high, best) < 2 * off(-1.0, 1.0, 0.6) + 0.1


@pytest.mark.parametrize("name", NAMES)
def test_plans_hold_whole_numbers_where_actions_do(name: str) -> None:
    bounds, planner = ActionBounds((-3.0,), (8.0,), dtype="int64"), make_planner(name)
    start = torch.zeros(1, planner.horizon, 1)
    plan = planner.plan(lambda c: (c - 4.3).square().sum(dim=(-1, -2)), bounds, Noise([0]), start)
    torch.testing.assert_close(plan.actions, plan.actions.round())
    assert (plan.actions - 4).abs().mean() < 1.5
    assert ActionBounds((1.0,), (4.0,), dtype="uint8").default_idle == (2.0,)


@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "cem-gradient"])
def test_doing_nothing_is_what_the_bounds_say(name: str) -> None:
    idle = torch.tensor([0.3, -0.8], dtype=torch.float64)
    bounds = dataclasses.replace(SQUARE, idle=tuple(idle.tolist()))
    start = torch.ones(2, 4, 2, dtype=torch.float64)
    plan = make_planner(name).plan(
        lambda c: ((c - idle).square().sum(dim=(-1, -2)) + 1e-12).sqrt(),
        bounds,
        Noise([0, 1]),
        start,
    )
    assert (plan.actions == idle).all()


def test_units_are_those_of_what_the_bounds_allow() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    centre, half_width, idle = ActionBounds((-1.0, 10.0), (3.0, 20.0)).units(like)
    assert (centre.tolist(), half_width.tolist(), idle.tolist()) == ([1, 15], [2, 5], [0, 15])
    ball = ActionBounds((-9.0, 0.0), (9.0, 9.0), norm=2.0).units(like)
    assert (ball.centre.tolist(), ball.half_width.tolist()) == ([0, 1], [2, 1])
    assert ActionBounds((0.0,), (2.0,), idle=(1.5,)).units(like).idle.item() == 1.5


def test_units_are_made_once_and_gradients_pass_them_also_after_inference() -> None:
    bounds, like = ActionBounds((-7.0,), (7.0,)), torch.zeros(1)
    with torch.inference_mode():
        first = bounds.units(like)
    again = ActionBounds((-7.0,), (7.0,)).units(like)
    assert first.half_width is again.half_width
    actions = torch.ones(1, requires_grad=True)
    (gradient,) = torch.autograd.grad((actions / again.half_width).sum(), actions)
    assert gradient.item() == pytest.approx(1 / 7)


def test_an_unbounded_box_cannot_be_searched() -> None:
    bounds = ActionBounds((-float("inf"),), (1.0,))
    with pytest.raises(ValueError, match=r"planning needs bounded actions, got .*; give the range"):
        make_planner("cem").plan(
            lambda c: c.sum((-1, -2)), bounds, Noise([0]), torch.zeros(1, 4, 1)
        )


@pytest.mark.parametrize("idle", [(2.0, 0.0), (0.0,), (0.9, 0.9)])
def test_idle_must_be_an_action(idle: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="idle must be an action within the bounds"):
        ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0, idle)
