"""The schedule, LARS, and an optimiser's state as tensors."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from jepa_agent.training.optim import LARS, check_finite, cosine, pack, unpack


def test_cosine_rises_then_falls_to_nothing() -> None:
    shares = [cosine(step, 100, 10) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == pytest.approx(shares[9])
    assert shares[50] == pytest.approx(0.5)
    assert all(later < sooner for sooner, later in pairwise(shares[9:]))
    assert shares[-1] < 1e-3


def test_a_cosine_can_end_above_nothing() -> None:
    shares = [cosine(step, 100, 10, floor=0.05) for step in range(100)]
    assert max(shares) == pytest.approx(shares[9])
    assert all(later < sooner for sooner, later in pairwise(shares[9:]))
    assert shares[-1] == pytest.approx(0.05, abs=1e-3)


def test_a_lars_step_is_in_proportion_to_the_weights_whatever_the_gradient() -> None:
    weights = torch.nn.Parameter(torch.full((4, 4), 2.0))
    for scale in (1e-4, 1e4):
        before = weights.detach().clone()
        weights.grad = scale * torch.ones(4, 4)
        LARS([weights], lr=0.5, trust=0.01).step()
        moved = (weights.detach() - before).norm() / before.norm()
        assert moved.item() == pytest.approx(0.5 * 0.01, rel=1e-3)
        assert (weights.detach() < before).all()


def test_lars_takes_plain_steps_of_biases_and_leaves_unused_parameters() -> None:
    bias, unused = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3))
    bias.grad = torch.full((3,), 2.0)
    LARS([bias, unused], lr=0.1, weight_decay=1.0).step()
    torch.testing.assert_close(bias.detach(), torch.full((3,), 0.8))
    torch.testing.assert_close(unused.detach(), torch.ones(3))


def test_lars_finds_the_minimum_of_a_quadratic() -> None:
    weights = torch.nn.Parameter(torch.ones(2, 2))
    target = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    optimizer = LARS([weights], lr=1.0, trust=0.05)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = cosine(step, 300, 0)
        optimizer.zero_grad()
        (weights - target).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(weights.detach(), target, atol=0.05, rtol=0)


@pytest.mark.parametrize("kind", [LARS, torch.optim.AdamW])
def test_a_packed_optimiser_goes_on_with_the_same_bits(kind: type) -> None:
    def steps(weights: torch.nn.Parameter, optimizer: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            weights.square().sum().backward()
            optimizer.step()

    straight = torch.nn.Parameter(torch.ones(2, 2))
    steps(straight, kind([straight]), 6)
    broken = torch.nn.Parameter(torch.ones(2, 2))
    first = kind([broken])
    steps(broken, first, 3)
    second = kind([broken])
    unpack(second, pack(first))
    steps(broken, second, 3)
    assert torch.equal(straight, broken)


def test_what_is_not_finite_is_named() -> None:
    fine, broken = [torch.ones(2)], [torch.ones(2), torch.tensor([1.0, float("inf")])]
    check_finite({"variance": 1.0}, fine, 3, seed=3)
    with pytest.raises(FloatingPointError, match="got covariance = nan by step 7 of seed 3"):
        check_finite({"variance": 1.0, "covariance": float("nan")}, fine, 7, seed=3)
    with pytest.raises(FloatingPointError, match="every parameter must stay finite"):
        check_finite({"variance": 1.0}, broken, 7, seed=3)
