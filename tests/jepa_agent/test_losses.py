from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jepa_agent import losses


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def descend(loss: Callable[[Tensor], Tensor], point: Tensor, rate: float) -> Tensor:
    """The point after one step of gradient descent."""
    point = point.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(point), point)
    return (point - rate * gradient).detach()


@pytest.mark.parametrize("loss", [losses.prediction, losses.inverse_dynamics])
def test_a_mean_squared_error(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    predicted, target = random(3, 4, 5), random(3, 4, 5, seed=1)
    pairs = zip(predicted.flatten().tolist(), target.flatten().tolist(), strict=True)
    expected = sum((p - t) ** 2 for p, t in pairs) / predicted.numel()
    assert loss(predicted, target).item() == pytest.approx(expected)
    assert loss(target, target).item() == 0.0
    moved = descend(lambda point: loss(point, target), predicted, 1.0)
    assert (moved - target).norm() < (predicted - target).norm()


def test_variance_equals_a_plain_loop() -> None:
    latents = 0.7 * random(9, 4)
    expected = 0.0
    for column in latents.T.tolist():
        mean = sum(column) / 9
        spread = (sum((x - mean) ** 2 for x in column) / 8 + 1e-4) ** 0.5
        expected += max(0.0, 1.0 - spread) / 4
    assert losses.variance(latents).item() == pytest.approx(expected)


def test_variance_is_zero_for_spread_latents_and_near_one_for_collapsed_ones() -> None:
    assert losses.variance(3.0 * random(100, 4)).item() == 0.0
    assert losses.variance(torch.ones(100, 4)).item() == pytest.approx(0.99)


def test_variance_spreads_latents() -> None:
    latents = 0.1 * random(50, 4)
    moved = descend(losses.variance, latents, 10.0)
    assert (moved.std(dim=0) > latents.std(dim=0)).all()


def test_covariance_equals_a_plain_loop() -> None:
    latents = random(9, 3)
    columns, means = latents.T.tolist(), latents.mean(dim=0).tolist()
    expected = 0.0
    for i, j in itertools.permutations(range(3), 2):
        products = zip(columns[i], columns[j], strict=True)
        expected += (sum((a - means[i]) * (b - means[j]) for a, b in products) / 8) ** 2 / 6
    assert losses.covariance(latents).item() == pytest.approx(expected)


def test_covariance_is_zero_for_uncorrelated_features() -> None:
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4)), dtype=torch.float64)
    assert losses.covariance(signs).item() == pytest.approx(0.0, abs=1e-15)
    assert losses.covariance(random(20_000, 4)).item() < 1e-3


def test_covariance_of_a_duplicated_feature_is_its_squared_variance() -> None:
    feature = random(100, 1)
    duplicated = losses.covariance(feature.repeat(1, 3)).item()
    assert duplicated == pytest.approx(feature.var().item() ** 2)


def test_covariance_decorrelates() -> None:
    latents = random(50, 1) + 0.1 * random(50, 4, seed=1)
    moved = descend(losses.covariance, latents, 0.1)
    assert losses.covariance(moved) < losses.covariance(latents)


def test_temporal_similarity_equals_a_plain_loop() -> None:
    latents = random(2, 5, 3)
    squares = [
        (latents[b, t + 1, d] - latents[b, t, d]).item() ** 2
        for b, t, d in itertools.product(range(2), range(4), range(3))
    ]
    assert losses.temporal_similarity(latents).item() == pytest.approx(sum(squares) / 24)


def test_temporal_similarity_is_zero_for_still_latents_and_stills_moving_ones() -> None:
    assert losses.temporal_similarity(random(2, 1, 3).expand(2, 5, 3)).item() == 0.0
    latents = random(2, 5, 3)
    moved = descend(losses.temporal_similarity, latents, 0.5)
    assert losses.temporal_similarity(moved) < losses.temporal_similarity(latents)


def test_pairwise_distance_equals_cdist() -> None:
    first, second = random(2, 5, 3), random(2, 7, 3, seed=1)
    distances = losses.pairwise_distance(first, second)
    torch.testing.assert_close(distances, torch.cdist(first, second))


def test_pairwise_distance_of_equal_points_is_tiny_and_has_a_gradient() -> None:
    points = random(1, 4, 3).requires_grad_(True)
    distances = losses.pairwise_distance(points, points)
    assert distances[0].diagonal().max().item() <= 1e-3
    distances.sum().backward()
    assert points.grad is not None
    assert points.grad.isfinite().all()


def value_terms() -> dict[str, Tensor]:
    """Two groups of three states and four goals; state 1 is goal 2."""
    is_goal = torch.zeros(3, 4, dtype=torch.bool)
    is_goal[1, 2] = True
    return {
        "states": random(2, 3, 5),
        "goals": random(2, 4, 5, seed=1),
        "next_states": random(2, 3, 5, seed=2),
        "target_goals": random(2, 4, 5, seed=3),
        "is_goal": is_goal,
    }


@pytest.mark.parametrize("expectile", [0.6, 0.95])
@pytest.mark.parametrize("discount", [0.5, 0.98])
def test_expectile_value_equals_a_plain_loop(discount: float, expectile: float) -> None:
    terms = value_terms()
    expected = 0.0
    for g, s, m in itertools.product(range(2), range(3), range(4)):
        value = -(terms["states"][g, s] - terms["goals"][g, m]).norm().item()
        target = 0.0
        if not terms["is_goal"][s, m]:
            way = (terms["next_states"][g, s] - terms["target_goals"][g, m]).norm().item()
            target = -1.0 - discount * way
        error = target - value
        expected += (expectile if error > 0 else 1.0 - expectile) * error**2 / 24
    loss = losses.expectile_value(**terms, discount=discount, expectile=expectile)
    assert loss.item() == pytest.approx(expected)


def line(*places: float) -> Tensor:
    return torch.tensor(places, dtype=torch.float64).reshape(1, -1, 1)


def line_loss(states: Tensor) -> Tensor:
    """A goal at 0 and a successor at 3: with discount 0.5 the way is 1 + 0.5 * 3 = 2.5."""
    no_goal = torch.zeros(1, 1, dtype=torch.bool)
    return losses.expectile_value(states, line(0.0), line(3.0), line(0.0), no_goal, 0.5, 0.9)


def test_expectile_value_is_zero_where_the_bellman_equation_holds() -> None:
    assert line_loss(line(2.5)).item() == pytest.approx(0.0, abs=1e-12)


def test_expectile_value_moves_distances_to_their_targets() -> None:
    assert descend(line_loss, line(4.0), 0.1).item() < 4.0
    assert descend(line_loss, line(1.0), 0.1).item() > 1.0


def test_expectile_value_prefers_the_shorter_ways() -> None:
    assert line_loss(line(3.5)).item() == pytest.approx(9.0 * line_loss(line(1.5)).item())


def test_expectile_value_does_not_move_its_target() -> None:
    terms = value_terms()
    for name in ("next_states", "target_goals"):
        terms[name].requires_grad_(True)
    terms["states"].requires_grad_(True)
    losses.expectile_value(**terms, discount=0.9, expectile=0.9).backward()
    assert terms["next_states"].grad is None
    assert terms["target_goals"].grad is None
    assert terms["states"].grad is not None


def unit(*shape: int, seed: int = 0) -> Tensor:
    return torch.nn.functional.normalize(random(*shape, seed=seed), dim=-1)


def test_the_context_loss_equals_a_plain_loop() -> None:
    embedding, remembered, which = unit(3, 2, 4), unit(5, 4, seed=1), torch.tensor([4, 0, 2])
    terms = []
    for group, frame in itertools.product(range(3), range(2)):
        match = [(embedding[group, frame] @ other / 0.5).exp().item() for other in remembered]
        terms.append(math.log(sum(match) / match[which[group]]))
    expected = sum(terms) / len(terms)
    assert losses.context(embedding, remembered, which, 0.5).item() == pytest.approx(expected)


def test_the_context_loss_wants_frames_at_their_own_context_and_far_from_others() -> None:
    remembered, which = torch.eye(4, dtype=torch.float64), torch.arange(4)
    apart = remembered[:, None].expand(4, 3, 4)
    assert losses.context(apart, remembered, which, 0.1).item() < 1e-3
    same = apart[:1].expand(4, 3, 4)
    assert losses.context(same, same[:, 0], which, 0.1).item() == pytest.approx(math.log(4))
    assert losses.context(apart, remembered, which.roll(1), 0.1).item() > 5.0
    unseen = torch.zeros_like(remembered)
    assert losses.context(apart, unseen, which, 0.1).item() == pytest.approx(math.log(4))


def test_sigreg_is_small_for_a_gaussian_alone() -> None:
    """Of N normal numbers its mean is that of a sum of squares of variance 1 / N each."""
    directions = random(8, 32, seed=1)
    gaussian = random(4000, 8)
    small = losses.sigreg(gaussian, directions).item()
    assert 0.1 < small < 3.0
    for other in (
        1.5 * gaussian,
        gaussian + 0.3,
        torch.zeros_like(gaussian),
        gaussian[:, :1].expand(-1, 8),  # one direction only
        gaussian.sign(),
    ):
        assert losses.sigreg(other, directions).item() > 5 * small


def test_sigreg_equals_a_sum_over_frequencies() -> None:
    latents, directions = random(5, 3), random(3, 2, seed=1)
    total = 0.0
    for direction in directions.T:
        projected = latents @ (direction / direction.norm())
        for k in range(17):
            t = -5.0 + 10.0 * k / 16
            window = math.exp(-0.5 * t * t)
            real = sum(math.cos(t * x.item()) for x in projected) / 5 - window
            imaginary = sum(math.sin(t * x.item()) for x in projected) / 5
            share = 0.5 if k in (0, 16) else 1.0
            total += share * 10.0 / 16 * window * (real**2 + imaginary**2)
    assert losses.sigreg(latents, directions).item() == pytest.approx(5 * total / 2, rel=1e-5)
