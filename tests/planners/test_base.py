from __future__ import annotations

import math
import weakref

import pytest
import torch

from jepa_agent.planners import ActionBounds, CandidateTracker, Noise, constant
from jepa_agent.planners.icem import coloured

DISC = ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)


def points(scale: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(500, 2, generator=generator, dtype=torch.float64)


def test_projection_keeps_allowed_actions_to_the_bit() -> None:
    actions = points(0.3)
    allowed = actions[actions.norm(dim=-1) < 1.0]
    assert len(allowed) > 400
    assert torch.equal(DISC.project(allowed), allowed)


def test_projection_keeps_the_direction_within_the_box() -> None:
    long = torch.tensor([[0.9, 0.9], [-0.9, 0.6]], dtype=torch.float64)
    torch.testing.assert_close(DISC.project(long), long / long.norm(dim=-1, keepdim=True))


def test_projection_is_idempotent() -> None:
    once = DISC.project(points())
    torch.testing.assert_close(DISC.project(once), once, rtol=0, atol=1e-15)


@pytest.mark.parametrize("norm", [None, 0.5, 1.2])
def test_projection_obeys_an_uneven_box_and_the_norm(norm: float | None) -> None:
    bounds = ActionBounds((-0.2, -3.0), (1.0, 0.7), norm)
    actions = bounds.project(points())
    assert (actions >= actions.new_tensor(bounds.low)).all()
    assert (actions <= actions.new_tensor(bounds.high)).all()
    if norm is not None:
        assert actions.norm(dim=-1).max() <= norm + 1e-12


def test_a_box_that_excludes_zero_goes_without_a_norm() -> None:
    with pytest.raises(ValueError, match="a box with a norm must contain zero"):
        ActionBounds((0.9, -1.0), (1.0, 1.0), 1.0)
    assert ActionBounds((0.9, -1.0), (1.0, 1.0)).project(points())[:, 0].min() >= 0.9


def test_projection_of_zero_with_a_norm_is_finite() -> None:
    assert torch.equal(DISC.project(torch.zeros(3, 2)), torch.zeros(3, 2))


@pytest.mark.parametrize(
    ("low", "high", "norm", "message"),
    [
        ((-1.0,), (1.0, 1.0), None, "one number per action component"),
        ((), (), None, "one number per action component"),
        ((1.0,), (-1.0,), None, r"low must be < high, got \(1.0,\) and \(-1.0,\)"),
        ((1.0,), (1.0,), None, "low must be < high"),
        ((-1.0,), (1.0,), 0.0, "norm must be positive or None, got 0.0"),
        ((-1.0,), (1.0,), -1.0, "norm must be positive or None, got -1.0"),
        ((math.nan,), (1.0,), None, "nan"),
        ((-1.0,), (1.0,), math.nan, "norm must be positive or None, got nan"),
        ((2.0, 2.0), (3.0, 3.0), 1.0, "norm"),  # the box and the ball have no point in common
    ],
)
def test_impossible_bounds_are_rejected(
    low: tuple[float, ...], high: tuple[float, ...], norm: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ActionBounds(low, high, norm)


def test_noise_of_a_problem_depends_on_its_own_seed_alone() -> None:
    like = torch.zeros(1, dtype=torch.float64)
    together = Noise([1, 2, 3]).normal(4, 2, like=like)
    assert together.shape == (3, 4, 2)
    assert together.dtype == torch.float64
    for row, seed in enumerate([1, 2, 3]):
        assert torch.equal(Noise([seed]).normal(4, 2, like=like)[0], together[row])
    assert not torch.equal(together[0], together[1])


def test_noise_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    Noise([0]).normal(10, like=torch.zeros(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_noise_is_standard_normal() -> None:
    numbers = Noise([0, 1]).normal(50_000, like=torch.zeros(1))
    assert numbers.mean(dim=1).abs().max() < 0.02
    assert (numbers.std(dim=1) - 1.0).abs().max() < 0.02


@pytest.mark.parametrize("shape", [(2,), (2, 3, 1), (3, 2), ()])
def test_costs_of_a_wrong_shape_are_rejected(shape: tuple[int, ...]) -> None:
    tracker = CandidateTracker(lambda candidates: torch.zeros(shape))
    with pytest.raises(ValueError, match=r"must have shape \(2, 3\), got .*; return one number"):
        tracker.evaluate(torch.zeros(2, 3, 4, 1))


def test_a_search_remembers_all_and_returns_the_best() -> None:
    tracker = CandidateTracker(lambda candidates: candidates.sum(dim=(-1, -2)))
    first = torch.tensor([[3.0, 1.0], [2.0, 5.0]])[..., None, None]  # (B, N, H, A) = (2, 2, 1, 1)
    second = torch.tensor([[4.0], [0.0]])[..., None, None]
    assert tracker.evaluate(first).tolist() == [[3.0, 1.0], [2.0, 5.0]]
    tracker.evaluate(second)
    plan = tracker.plan()
    assert plan.cost.tolist() == [1.0, 0.0]
    assert plan.actions.flatten().tolist() == [1.0, 0.0]
    assert [costs.shape for costs in plan.trace.costs] == [(2, 2), (2, 1)]
    assert torch.equal(plan.trace.candidates[0], first)


def test_candidates_changed_later_do_not_change_the_plan() -> None:
    tracker = CandidateTracker(lambda candidates: candidates.sum(dim=(-1, -2)))
    candidates = torch.ones(1, 2, 1, 1)
    tracker.evaluate(candidates)
    candidates.fill_(9.0)
    assert tracker.plan().actions.item() == 1.0


def test_undefined_costs_are_an_error() -> None:
    tracker = CandidateTracker(lambda candidates: torch.tensor([[1.0, math.nan, math.nan]]))
    tracker.evaluate(torch.zeros(1, 3, 1, 1))
    with pytest.raises(ValueError, match="got NaN for 2 candidates; check the model"):
        tracker.plan()


def test_fixed_numbers_are_never_let_go() -> None:
    """A recorded CUDA graph reads them where they are, however many others come later."""
    like = torch.zeros(1)
    kept = [weakref.ref(constant((0.25, -1.0), like.dtype, like.device))]
    kept.append(weakref.ref(coloured(5, 1.75, like)))
    for index in range(1000):
        constant((float(index), 0.25), like.dtype, like.device)
        coloured(2, 2.0 + index, like)
    assert all(each() is not None for each in kept)
