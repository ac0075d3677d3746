from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jepa_agent.training import losses


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


def test_shortest_way_equals_a_plain_loop() -> None:
    steps, apart = random(3, 4).abs() * 2, random(5, 6).abs()
    expected = sum(max(0.0, step.item() - 1.0) ** 2 for step in steps.flatten()) / 12 * 7.0
    expected -= sum(way.item() for way in apart.flatten()) / 30
    assert losses.shortest_path_lengths(steps, apart, 7.0).item() == pytest.approx(expected)


def test_shortest_way_learns_the_length_of_a_row_of_chunks() -> None:
    """Nine places, each one chunk from the next: the ends come to be eight chunks apart."""
    places = (0.1 * random(9, 4)).requires_grad_(True)
    optimizer = torch.optim.Adam([places], lr=0.01)
    others = ~torch.eye(9, dtype=torch.bool)
    for _ in range(2000):
        steps = (places[1:] - places[:-1]).norm(dim=-1)
        apart = (places[:, None] - places)[others].norm(dim=-1)
        optimizer.zero_grad()
        losses.shortest_path_lengths(steps, apart, 1000.0).backward()
        optimizer.step()
    assert (places[0] - places[-1]).norm().item() == pytest.approx(8.0, rel=0.02)


def test_the_context_loss_equals_a_plain_loop() -> None:
    embedding, remembered = random(3, 2, 4, 5), random(6, 5, seed=1)
    which = torch.tensor([4, 0, 2])
    terms = []
    for g, r, t in itertools.product(range(3), range(2), range(4)):
        frame, prototypes = embedding[g, r, t], list(remembered)
        for other, number in enumerate(which):
            prototypes[number] = embedding[other].mean(dim=(0, 1))
        prototypes[which[g]] = embedding[g, 1 - r].mean(dim=0)  # the window's own frames left out
        match = [math.exp(-0.5 * (frame - p).square().sum().item()) for p in prototypes]
        terms.append(math.log(sum(match) / match[which[g]]))
    loss = losses.contrast(embedding, remembered, which)
    assert loss.item() == pytest.approx(sum(terms) / len(terms))


def test_the_context_loss_wants_frames_at_their_own_context_and_far_from_others() -> None:
    remembered, which = 10.0 * torch.eye(4, dtype=torch.float64), torch.arange(4)
    apart = remembered[:, None, None].expand(4, 2, 3, 4)
    assert losses.contrast(apart, remembered, which).item() < 1e-3
    same = apart[:1].expand(4, 2, 3, 4)
    assert losses.contrast(same, same[:, 0, 0], which).item() == pytest.approx(math.log(4))


def test_contexts_of_a_batch_push_each_other_apart() -> None:
    """Both sides of a pair have a gradient, and what is remembered has none."""
    embedding, remembered = random(2, 2, 1, 3), random(2, 3, seed=1)
    remembered.requires_grad_(True)

    def loss(points: Tensor) -> Tensor:
        return losses.contrast(points, remembered, torch.arange(2))

    moved = descend(loss, embedding, 0.5)
    between = [(x.mean(dim=(1, 2))[0] - x.mean(dim=(1, 2))[1]).norm() for x in (embedding, moved)]
    assert between[1] > between[0]


def test_sigreg_is_small_for_a_gaussian_alone() -> None:
    """The mean for N normal numbers is that of a sum of squares of variance 1 / N each."""
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


def test_a_window_is_found_by_what_its_frames_share_and_the_others_lack() -> None:
    """What is slow is worth an embedding; what never changes, or always, is not."""
    slow = 4.0 * random(16, 1, 3).expand(16, 5, 3)
    fast = 4.0 * random(16, 5, 3, seed=1)
    assert losses.window_contrast(slow).item() < 0.1
    assert losses.window_contrast(torch.zeros(16, 5, 3)).item() == pytest.approx(math.log(16))
    assert losses.window_contrast(fast).item() > math.log(16)
    permuted = slow[torch.randperm(16, generator=torch.Generator().manual_seed(0))]
    assert losses.window_contrast(permuted).item() == pytest.approx(
        losses.window_contrast(slow).item()
    )
    mixed = slow + fast
    moved = descend(losses.window_contrast, mixed, 1.0)
    assert losses.window_contrast(moved) < losses.window_contrast(mixed)


@pytest.mark.parametrize(
    "loss",
    [
        lambda latents: losses.covariance(latents),
        lambda latents: losses.sigreg(latents, random(4, 3, seed=1).float()),
        lambda latents: losses.contrast(
            latents.reshape(4, 2, 8, 4), random(6, 4).float(), torch.arange(4)
        ),
        lambda latents: losses.window_contrast(latents.reshape(8, 8, 4)),
    ],
    ids=["covariance", "sigreg", "contrast", "window_contrast"],
)
def test_autocast_leaves_losses_in_float32(loss: Callable[[Tensor], Tensor]) -> None:
    """Far from the origin, where bfloat16 is coarse."""
    latents = 30.0 + random(64, 4).float()
    with torch.autocast("cpu", torch.bfloat16):
        within, of_bfloat16 = loss(latents), loss(latents.bfloat16())
    assert torch.equal(within, loss(latents))
    assert torch.equal(of_bfloat16, loss(latents.bfloat16().float()))
