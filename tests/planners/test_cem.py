from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_agent.planners import CEM, ActionBounds, CEMConfig, Cost, Noise, Plan

DISC = ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)
THOROUGH = CEMConfig(horizon=3, num_samples=256, iterations=12, num_elites=16)
QUICK = CEMConfig(horizon=3, num_samples=16, iterations=3, num_elites=4)


def quadratic(targets: Tensor, plateau: float = 0.0) -> Cost:
    """Squared distance to targets (B, H, A), in steps of `plateau`; the same bits in any batch."""

    def cost(candidates: Tensor) -> Tensor:
        offsets = (candidates - targets[:, None]).square().flatten(2)
        costs = sum(offsets.unbind(dim=-1), torch.zeros_like(offsets[..., 0]))
        return (costs / plateau).floor() if plateau else costs

    return cost


class Recorder:
    """A cost that remembers what it was asked and what it said."""

    def __init__(self, cost: Cost) -> None:
        self.cost = cost
        self.candidates: list[Tensor] = []
        self.costs: list[Tensor] = []

    def __call__(self, candidates: Tensor) -> Tensor:
        self.candidates.append(candidates.clone())
        self.costs.append(self.cost(candidates))
        return self.costs[-1]


def targets(problems: int, horizon: int = 3, radius: float = 0.9) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    points = torch.randn(problems, horizon, 2, generator=generator, dtype=torch.float64)
    return radius * points / points.norm(dim=-1, keepdim=True).clamp_min(1.0)


def search(
    config: CEMConfig,
    cost: Cost,
    seeds: list[int],
    bounds: ActionBounds = DISC,
    warm_start: Tensor | None = None,
) -> Plan:
    planner = CEM(config)
    if warm_start is None:
        shape = (len(seeds), planner.horizon * config.knots, len(bounds.low))
        warm_start = torch.zeros(shape, dtype=torch.float64)
    return planner.plan(cost, bounds, Noise(seeds), warm_start)


def tensors(plan: Plan) -> list[Tensor]:
    """All that a plan holds."""
    return [plan.actions, plan.cost, *plan.trace.candidates, *plan.trace.costs]


def test_finds_the_optima_of_many_quadratics_at_once() -> None:
    goals = targets(8)
    plan = search(THOROUGH, quadratic(goals), list(range(8)))
    assert (plan.actions - goals).abs().max() < 0.02
    torch.testing.assert_close(plan.cost, quadratic(goals)(plan.actions[:, None])[:, 0])


def test_finds_a_constrained_optimum_on_the_edge_of_the_disc() -> None:
    outside = targets(4) * 5.0
    outside = outside + 2.0 * outside.sign()
    plan = search(THOROUGH, quadratic(outside), [0, 1, 2, 3], ActionBounds((-9,) * 2, (9,) * 2, 1))
    nearest = outside / outside.norm(dim=-1, keepdim=True)
    assert (plan.actions - nearest).norm(dim=-1).max() < 0.05


def test_finds_a_constrained_optimum_in_the_corner_of_a_box() -> None:
    bounds = ActionBounds((-0.5, -2.0), (0.25, 2.0))
    goals = torch.tensor([[[3.0, 0.5], [-3.0, -3.0], [0.1, 9.0]]], dtype=torch.float64)
    plan = search(dataclasses.replace(THOROUGH, std=1.0), quadratic(goals), [0], bounds)
    nearest = torch.tensor([[[0.25, 0.5], [-0.5, -2.0], [0.1, 2.0]]], dtype=torch.float64)
    assert (plan.actions - nearest).abs().max() < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "bounds",
    [DISC, ActionBounds((-0.3, -2.0), (0.8, 0.1)), ActionBounds((-0.3, -2.0), (0.8, 0.1), 0.7)],
)
def test_no_candidate_violates_the_bounds(bounds: ActionBounds, dtype: torch.dtype) -> None:
    cost = Recorder(quadratic(3.0 * targets(5).to(dtype)))
    start = torch.full((5, 3, 2), 4.0, dtype=dtype)  # not even with a forbidden warm start
    plan = search(dataclasses.replace(QUICK, std=3.0), cost, list(range(5)), bounds, start)
    slack = 1e-6 if dtype == torch.float32 else 1e-12
    for actions in (*cost.candidates, *plan.trace.candidates, plan.actions):
        assert (actions >= actions.new_tensor(bounds.low) - slack).all()
        assert (actions <= actions.new_tensor(bounds.high) + slack).all()
        if bounds.norm is not None:
            assert actions.norm(dim=-1).max() <= bounds.norm + slack


@pytest.mark.parametrize("plateau", [0.0, 0.5])
def test_a_plan_does_not_depend_on_who_else_is_in_the_batch(plateau: float) -> None:
    goals, seeds = targets(16), list(range(100, 116))
    together = search(QUICK, quadratic(goals, plateau), seeds)
    for row in range(16):
        alone = search(QUICK, quadratic(goals[row : row + 1], plateau), seeds[row : row + 1])
        for part, whole in zip(tensors(alone), tensors(together), strict=True):
            assert torch.equal(part[0], whole[row])
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    permuted = search(QUICK, quadratic(goals[order], plateau), [seeds[i] for i in order])
    for part, whole in zip(tensors(permuted), tensors(together), strict=True):
        assert torch.equal(part, whole[order])


def test_same_seeds_same_bits_and_other_seeds_differ() -> None:
    cost = quadratic(targets(2))
    first, again = search(QUICK, cost, [3, 4]), search(QUICK, cost, [3, 4])
    pairs = zip(tensors(first), tensors(again), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    other = search(QUICK, cost, [3, 5])
    assert torch.equal(other.actions[0], first.actions[0])
    assert not torch.equal(other.actions[1], first.actions[1])


@pytest.mark.parametrize("min_std", [0.0, 2.0])
def test_the_best_candidate_ever_seen_is_returned(min_std: float) -> None:
    cost = Recorder(quadratic(targets(6)))
    plan = search(dataclasses.replace(QUICK, min_std=min_std), cost, list(range(6)))
    assert len(cost.costs) == QUICK.iterations
    assert torch.equal(plan.cost, torch.cat(cost.costs, dim=1).min(dim=1).values)
    torch.testing.assert_close(cost.cost(plan.actions[:, None])[:, 0], plan.cost)


def test_the_trace_is_all_that_was_evaluated() -> None:
    cost = Recorder(quadratic(targets(2)))
    trace = search(QUICK, cost, [0, 1]).trace
    assert len(trace.costs) == len(trace.candidates) == QUICK.iterations
    for kept, seen in zip(trace.candidates, cost.candidates, strict=True):
        assert seen.shape == (2, QUICK.num_samples, 3, 2)
        assert torch.equal(kept, seen)
    for kept, seen in zip(trace.costs, cost.costs, strict=True):
        assert torch.equal(kept, seen)


def test_the_best_so_far_and_the_mean_are_candidates() -> None:
    start = targets(4, radius=0.5)
    trace = search(QUICK, quadratic(targets(4)), [0, 1, 2, 3], warm_start=start).trace
    assert torch.equal(trace.candidates[0][:, 0], start)
    for before, costs, after in zip(
        trace.candidates, trace.costs, trace.candidates[1:], strict=False
    ):
        ranking = costs.argsort(dim=1)[:, : QUICK.num_elites]
        for row in range(4):
            elites = before[row, ranking[row]]
            for expected in (elites[0], elites.mean(dim=0)):
                assert ((after[row] - expected).abs().amax(dim=(1, 2)) < 1e-12).any()


def test_a_warm_start_helps_and_is_never_worsened() -> None:
    goals = targets(8)
    tight = CEMConfig(horizon=3, num_samples=8, iterations=1, num_elites=2)
    cold = search(tight, quadratic(goals), list(range(8)))
    warm = search(tight, quadratic(goals), list(range(8)), warm_start=goals + 0.05)
    assert (warm.cost < cold.cost).all()
    exact = search(tight, quadratic(goals), list(range(8)), warm_start=goals)
    assert (exact.cost == 0.0).all()
    assert torch.equal(exact.actions, goals)


def test_the_warm_start_is_not_changed() -> None:
    start = torch.full((1, 3, 2), 4.0, dtype=torch.float64)
    search(QUICK, quadratic(targets(1)), [0], warm_start=start)
    assert (start == 4.0).all()


def test_a_cost_of_nan_is_an_error() -> None:
    def cost(candidates: Tensor) -> Tensor:
        costs = quadratic(targets(1))(candidates)
        return torch.where(candidates[..., 0, 0] > 0, math.nan, costs)

    with pytest.raises(ValueError, match="costs must be numbers, got NaN"):
        search(QUICK, cost, [0])


def test_candidates_of_infinite_cost_are_not_chosen() -> None:
    def cost(candidates: Tensor) -> Tensor:
        costs = quadratic(targets(1))(candidates)
        return torch.where(candidates[..., 0, 0] > 0, math.inf, costs)

    plan = search(QUICK, cost, [0])
    assert plan.cost.isfinite().all()
    assert (plan.actions[:, 0, 0] <= 0).all()


def test_every_setting_changes_the_plan() -> None:
    base = CEMConfig(horizon=3, num_samples=32, iterations=4, num_elites=4)
    changes = {"horizon": 2, "num_samples": 40, "iterations": 5, "num_elites": 5}
    changes |= {"std": 0.5, "min_std": 0.2, "knots": 2}
    assert set(changes) == {field.name for field in dataclasses.fields(CEMConfig)}
    plan = search(base, quadratic(targets(1)), [0])
    for name, value in changes.items():
        changed = dataclasses.replace(base, **{name: value})
        other = search(changed, quadratic(targets(1, changed.horizon * changed.knots)), [0])
        assert not torch.equal(other.actions, plan.actions), name


@pytest.mark.parametrize("shape", [(2,), (2, 16, 1), (16, 2)])
def test_a_cost_of_the_wrong_shape_is_rejected(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(2, 16, 3, 2\).*\(2, 16\), got .*one number a cand"):
        search(QUICK, lambda candidates: torch.zeros(shape), [0, 1])


@pytest.mark.parametrize(
    "shape", [(2, 5, 2), (2, 3, 1), (3, 3, 2), (3, 2)], ids=["horizon", "action", "problems", "2-d"]
)
def test_a_warm_start_of_the_wrong_shape_is_rejected(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="warm_start"):
        search(QUICK, lambda c: c.sum(dim=(-1, -2)), [0, 1], warm_start=torch.zeros(shape))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_elites": 80}, "num_elites must be <= num_samples, got 80 > 64; lower num_elites"),
        ({"num_elites": 0}, "num_elites must be at least 1, got 0"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"num_samples": 1}, "num_samples must be at least .*, got 1"),
        ({"std": 0.0}, "std must be > 0.*got 0.0"),
        ({"std": -1.0}, "std must be > 0.*got -1.0"),
        ({"std": math.nan}, "std must be .*got nan"),
        ({"min_std": -0.1}, "min_std >= 0, got .*-0.1"),
        ({"min_std": math.nan}, "min_std .*nan"),
    ],
    ids=str,
)
def test_impossible_settings_are_rejected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CEMConfig(**settings)


def test_the_fewest_candidates_allowed_still_explore() -> None:
    fewest = next(n for n in range(1, 9) if is_accepted(n))
    plan = search(CEMConfig(3, fewest, 4, 1), quadratic(targets(8)), list(range(8)))
    assert plan.actions.abs().max() > 0.0


def is_accepted(candidates: int) -> bool:
    try:
        CEMConfig(num_samples=candidates, num_elites=1)
    except ValueError:
        return False
    return True
