"""What every planner must do, on costs whose optimum is known."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_agent.planners import (
    PLANNERS,
    ActionBounds,
    CEMConfig,
    CEMGradientConfig,
    Gradient,
    GradientConfig,
    ICEMConfig,
    MPPIConfig,
    Noise,
    RandomShootingConfig,
    make_planner,
)
from jepa_agent.planners.icem import coloured

DISC = ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)
HORIZON = 4
NAMES = sorted(PLANNERS)
SEARCHING = [name for name in NAMES if name != "random"]


def bowl(goals: Tensor) -> Any:
    """Squared distance of every action to its problem's goal, summed over the horizon."""
    return lambda candidates: (candidates - goals[:, None, None]).square().sum(dim=(-1, -2))


def cone(candidates: Tensor) -> Tensor:
    """The norm of a whole sequence: least for doing nothing, and steep around it."""
    return (candidates.square().sum(dim=(-1, -2)) + 1e-12).sqrt()


def zeros(problems: int) -> Tensor:
    return torch.zeros(problems, HORIZON, 2, dtype=torch.float64)


def goals(problems: int) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return DISC.project(torch.randn(problems, 2, generator=generator, dtype=torch.float64)) * 0.9


@pytest.mark.parametrize("name", SEARCHING)
def test_finds_the_bottom_of_every_bowl(name: str) -> None:
    targets = goals(5)
    plan = make_planner(name).plan(bowl(targets), DISC, Noise(range(5)), zeros(5))
    assert (plan.actions - targets[:, None]).abs().max() < 0.35
    assert plan.cost.max() < 0.3


@pytest.mark.parametrize("name", NAMES)
def test_better_than_standing_still(name: str) -> None:
    targets = goals(5)
    cost = bowl(targets)
    plan = make_planner(name).plan(cost, DISC, Noise(range(5)), zeros(5))
    assert (plan.cost < cost(zeros(5)[:, None])[:, 0]).all()


@pytest.mark.parametrize("name", ["cem", "icem", "mppi", "cem-gradient"])
def test_stays_where_it_is_best_to_stay(name: str) -> None:
    far = DISC.project(torch.ones(3, HORIZON, 2, dtype=torch.float64))
    plan = make_planner(name).plan(cone, DISC, Noise(range(3)), far)
    assert (plan.actions == 0.0).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_candidate_leaves_the_bounds_and_the_best_is_never_lost(name: str) -> None:
    seen: list[Tensor] = []
    costs: list[Tensor] = []

    def cost(candidates: Tensor) -> Tensor:
        seen.append(candidates.detach().clone())
        value = bowl(3 * goals(4))(candidates)  # optima outside the disc
        costs.append(value.detach().clone())
        return value

    plan = make_planner(name).plan(cost, DISC, Noise(range(4)), 5 * torch.ones_like(zeros(4)))
    for candidates in seen:
        assert candidates.norm(dim=-1).max() <= 1 + 1e-12
        assert candidates.abs().max() <= 1 + 1e-12
    assert torch.equal(plan.cost, torch.cat(costs, dim=1).amin(dim=1))
    assert torch.equal(torch.cat(plan.trace.costs, dim=1), torch.cat(costs, dim=1))
    assert plan.actions.shape == (4, HORIZON, 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_does_not_depend_on_who_else_is_planned(name: str) -> None:
    """Bit for bit: alone, among 16, and in another order."""
    targets, seeds = goals(16), list(range(100, 116))
    together = make_planner(name).plan(bowl(targets), DISC, Noise(seeds), zeros(16))
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    shuffled = make_planner(name).plan(
        bowl(targets[order]), DISC, Noise([seeds[i] for i in order]), zeros(16)
    )
    assert torch.equal(shuffled.actions, together.actions[order])
    for index in (0, 7):
        one = slice(index, index + 1)
        alone = make_planner(name).plan(bowl(targets[one]), DISC, Noise(seeds[one]), zeros(1))
        assert torch.equal(alone.actions, together.actions[one])
        assert torch.equal(alone.cost, together.cost[one])


@pytest.mark.parametrize("name", NAMES)
def test_a_warm_start_is_never_made_worse(name: str) -> None:
    targets = goals(3)
    start = targets[:, None].expand(-1, HORIZON, -1).contiguous()
    plan = make_planner(name).plan(bowl(targets), DISC, Noise(range(3)), start)
    assert plan.cost.max() < 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_a_cost_of_nan_or_of_another_shape_is_refused(name: str) -> None:
    noise, start = Noise(range(2)), zeros(2)
    with pytest.raises(ValueError, match="costs must be numbers, got NaN"):
        make_planner(name).plan(lambda c: c.sum(dim=(-1, -2)) * torch.nan, DISC, noise, start)
    with pytest.raises(ValueError, match="return one number a candidate"):
        make_planner(name).plan(lambda c: c.sum(dim=-1), DISC, noise, start)


def variants() -> list[Any]:
    """Every field of every config, with another value."""
    changed = {
        "icem": {
            "num_samples": 60, "sample_decay": 0.5, "iterations": 3, "num_elites": 5,
            "elite_fraction_kept": 0.9, "momentum": 0.5, "colour": 3.0, "std": 0.5, "min_std": 0.3,
        },
        "mppi": {
            "num_samples": 32, "iterations": 2, "temperature": 5.0, "std": 0.5, "std_decay": 0.9,
            "deterministic": False,
        },
        "gradient": {
            "starts": 5, "iterations": 12, "learning_rate": 0.01, "std": 0.1, "noise": 0.5,
            "restart_every": 3,
        },
        "random": {"num_samples": 32, "std": 0.2},
    }  # fmt: skip
    return [
        pytest.param(name, field, value, id=f"{name}-{field}")
        for name, fields in changed.items()
        for field, value in fields.items()
    ]


@pytest.mark.parametrize(("name", "field", "value"), variants())
def test_every_field_of_a_config_changes_the_plan(name: str, field: str, value: Any) -> None:
    targets = goals(3)
    config: Any = PLANNERS[name]()

    def plan(config: Any) -> Tensor:
        planner = config.build()
        return planner.plan(bowl(targets), DISC, Noise(range(3)), zeros(3)).actions

    assert not torch.equal(plan(config), plan(dataclasses.replace(config, **{field: value})))


def corridor(candidates: Tensor) -> Tensor:
    """Four steps along x past a wall at x = 2 with a door at 0.8 < y < 1.2; smooth, with a trap.

    The straight way is blocked: a path that crosses the wall elsewhere pays 3.
    """
    path = candidates.cumsum(dim=-2)  # (B, N, H, 2)
    x, y = path[..., 0], path[..., 1]
    near_wall = torch.exp(-((x - 2.0) ** 2) / 0.1)
    outside_door = torch.sigmoid((abs(y - 1.0) - 0.2) / 0.05)
    goal = torch.stack([x[..., -1] - 3.0, y[..., -1]], dim=-1)
    return goal.norm(dim=-1) + 3.0 * (near_wall * outside_door).sum(dim=-1)


@pytest.mark.parametrize("name", SEARCHING)
def test_finds_the_door_of_a_corridor(name: str) -> None:
    """Through the wall costs 3 or more."""
    plan = make_planner(name).plan(corridor, DISC, Noise(range(4)), zeros(4))
    assert plan.cost.max() < 2.0


def test_coloured_noise_has_unit_variance_and_grows_smoother() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    torch.testing.assert_close(coloured(8, 0.0, like), torch.eye(8, dtype=torch.float64))
    neighbours = []
    for exponent in (0.0, 1.0, 2.0, 4.0):
        matrix = coloured(8, exponent, like)
        covariance = matrix @ matrix.T
        torch.testing.assert_close(covariance.diagonal(), torch.ones(8, dtype=torch.float64))
        neighbours.append(covariance.diagonal(1).mean().item())
    assert neighbours == sorted(neighbours)


def test_mppi_draws_by_weight_unless_deterministic() -> None:
    """At a high temperature every candidate is as likely; the best plan is rarely drawn."""
    config = MPPIConfig(temperature=100.0, iterations=1, deterministic=False)
    targets = goals(1).expand(64, -1)
    drawn = config.build().plan(bowl(targets), DISC, Noise(range(64)), zeros(64))
    best = torch.cat(drawn.trace.costs, dim=1).amin(dim=1)
    assert (drawn.cost > best).double().mean() > 0.8
    rows = (drawn.trace.candidates[-1] == drawn.actions[:, None]).all(dim=(-1, -2))
    assert (rows.sum(dim=1) >= 1).all()


def test_gradient_planning_needs_a_gradient() -> None:
    with pytest.raises(ValueError, match="differentiable in the candidates"):
        Gradient().plan(lambda c: c.detach().sum(dim=(-1, -2)), DISC, Noise([0]), zeros(1))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: ICEMConfig(num_elites=80),
            "num_elites must be <= the last iteration's samples.*80",
        ),
        (lambda: ICEMConfig(horizon=0), "horizon must be at least 1, got 0"),
        (lambda: ICEMConfig(momentum=1.0), "momentum in"),
        (lambda: ICEMConfig(elite_fraction_kept=1.1), r"elite_fraction_kept must be in.*1\.1"),
        (lambda: ICEMConfig(sample_decay=1.01), r"sample_decay must be in \(0, 1\], got 1\.01"),
        (lambda: ICEMConfig(std=0.0), r"std must be > 0 .*got 0\.0 and 0\.02"),
        (lambda: RandomShootingConfig(std=0.0), r"std must be > 0, got 0\.0"),
        (lambda: MPPIConfig(temperature=0.0), "temperature.* must be > 0.*0.0"),
        (lambda: MPPIConfig(num_samples=1), "num_samples must be at least 3, got 1"),
        (lambda: GradientConfig(learning_rate=-1.0), "learning_rate must be > 0.*-1.0"),
        (lambda: GradientConfig(starts=0), "starts must be at least 1, got 0"),
        (lambda: CEMGradientConfig(cem=CEMConfig(horizon=3)), "one horizon.*3 and 4"),
        (lambda: make_planner("magic"), "planner must be one of .*'magic'"),
        (lambda: make_planner("json:JSONDecoder"), "with `horizon` and `plan`"),
        (lambda: make_planner("no.such:Thing"), "no.such:Thing.*PYTHONPATH"),
    ],
)
def test_bad_settings_name_rule_value_and_fix(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("name", NAMES)
def test_infinite_costs_leave_finite_plans(name: str) -> None:
    """A constraint that every candidate violates, at first or always, and one that is perfect."""
    bottom = bowl(goals(1))
    calls: list[int] = []

    def at_first(candidates: Tensor) -> Tensor:
        calls.append(1)
        return bottom(candidates) + (torch.inf if len(calls) == 1 else 0.0)

    def perfect(candidates: Tensor) -> Tensor:
        return torch.where(candidates[..., 0, 0] > 0.3, -torch.inf, bottom(candidates))

    for cost in (at_first, lambda candidates: bottom(candidates) + torch.inf, perfect):
        plan = make_planner(name).plan(cost, DISC, Noise([0]), zeros(1))
        assert plan.actions.isfinite().all()
