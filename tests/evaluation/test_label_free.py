"""Label-free measures against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.data.source import env_of, world_shape
from jepa_agent.evaluation import label_free
from jepa_agent.evaluation.collapse import rank_me
from jepa_agent.evaluation.open_loop import against_standing_still, relative_error


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_prediction_error_is_relative_to_standing_still() -> None:
    latents = torch.arange(4.0)[None, :, None].expand(5, 4, 1)  # moves by 1 a chunk
    exact, still = latents[:, 1:], latents[:, :1].expand(5, 3, 1)
    assert relative_error(exact, latents).tolist() == [0.0, 0.0, 0.0]
    assert relative_error(still, latents).tolist() == [1.0, 1.0, 1.0]
    assert relative_error(exact + 1.0, latents).tolist() == pytest.approx([1.0, 1 / 2, 1 / 3])
    assert label_free.open_loop_loss(exact + 1.0, latents).item() == pytest.approx(3 / (1 + 4 + 9))


def test_ranks_count_dimensions_weighted_by_their_spread() -> None:
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])  # uncorrelated
    scales = torch.tensor([1.0, 3.0])
    for rank, power in ((rank_me, 1), (label_free.effective_rank, 2)):
        assert rank(signs) == pytest.approx(2.0)
        assert rank(signs * torch.tensor([1.0, 0.0])) == pytest.approx(1.0)
        share = scales**power / (scales**power).sum()
        assert rank(signs * scales) == pytest.approx((-(share * share.log()).sum()).exp().item())
    assert label_free.effective_rank(signs * scales + 100.0) == pytest.approx(
        label_free.effective_rank(signs * scales), rel=1e-4
    )
    assert label_free.variance(signs * scales) == pytest.approx((1 + 9) / 2 * 4 / 3)


def test_inverse_dynamics_error_is_what_two_latents_do_not_tell_of_the_actions() -> None:
    actions = normal(400, 3, 2)
    latents = torch.cat([torch.zeros(400, 1, 2), actions.cumsum(dim=1)], dim=1)
    assert label_free.inverse_dynamics_error(latents, actions) < 1e-3
    assert label_free.inverse_dynamics_error(normal(400, 4, 2, seed=1), actions) > 0.98
    half = torch.stack([actions[..., 0], normal(400, 3, seed=2)], dim=-1)
    assert label_free.inverse_dynamics_error(latents, half) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 2, math.pi])
def test_straightness_is_the_cosine_of_the_turn(angle: float) -> None:
    headings = angle * torch.arange(6.0)
    steps = torch.stack([headings.cos(), headings.sin()], dim=-1)
    latents = steps.cumsum(dim=0).expand(3, 6, 2)
    assert label_free.straightness(latents) == pytest.approx(math.cos(angle), abs=1e-6)


def test_a_metric_violates_no_triangle_and_squares_on_a_line_violate_all() -> None:
    points = torch.arange(5.0).expand(3, 5)
    starts, ways = points[:, 1:] - points[:, :1], points[:, -1:] - points[:, :-1]
    assert label_free.triangle_violations(starts, ways) == 0.0
    assert label_free.triangle_violations(starts**2, ways**2) == 1.0
    starts[0] **= 2
    ways[0] **= 2
    assert label_free.triangle_violations(starts, ways) == pytest.approx(1 / 3)


def test_monotony_counts_pairs_in_order() -> None:
    falling = torch.tensor([[4.0, 3.0, 2.0, 1.0]])
    assert label_free.monotony(falling) == 1.0
    assert label_free.monotony(falling.flip(1)) == -1.0
    assert label_free.monotony(torch.ones(1, 4)) == 0.0
    assert label_free.monotony(torch.tensor([[4.0, 3.0, 1.0, 2.0]])) == pytest.approx(4 / 6)


def test_calibration_is_the_difference_from_one_chunk() -> None:
    assert label_free.calibration(torch.tensor([[1.0, 1.0], [0.5, 2.0]])) == pytest.approx(1.5 / 4)


def test_gradient_norm_and_sharpness_of_a_quadratic() -> None:
    weights = torch.tensor([3.0, 4.0], requires_grad=True)

    def loss() -> torch.Tensor:
        return 2.0 * weights.square().sum()

    assert label_free.gradient_norm(loss, [weights]) == pytest.approx(4.0 * 5.0)
    rise = label_free.sharpness(loss, [weights], 0.1, 1000, seed=0)
    assert rise == pytest.approx(2.0 * 0.1**2 * 25.0, rel=0.1)  # the slope cancels
    assert rise == label_free.sharpness(loss, [weights], 0.1, 1000, seed=0)
    assert weights.tolist() == [3.0, 4.0]
    straight = label_free.sharpness(weights.sum, [weights], 0.1, 2, seed=0)
    assert straight == pytest.approx(0.0, abs=1e-5)


def test_parameter_norm_is_that_of_all_parameters() -> None:
    layer = torch.nn.Linear(2, 1)
    layer.weight.data = torch.tensor([[2.0, 3.0]])
    layer.bias.data = torch.tensor([6.0])
    assert label_free.parameter_norm(layer) == pytest.approx(7.0)


def test_all_measures_of_a_model(tiny_agent: JEPAAgent, tiny_trajectories: Trajectories) -> None:
    _, render, _ = world_shape(env_of(tiny_trajectories), tiny_trajectories)
    model = tiny_agent.model.float().requires_grad_(False)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    found = label_free.measure(model, render, tiny_trajectories, windows=32)
    assert found.keys() == label_free.MEASURES.keys()
    assert all(math.isfinite(value) for value in found.values())
    assert found == label_free.measure(model, render, tiny_trajectories, windows=32)
    assert found != label_free.measure(model, render, tiny_trajectories, windows=32, seed=1)
    same = against_standing_still(model, render, tiny_trajectories, 4, windows=32)
    assert found["prediction_error"] == pytest.approx(sum(same) / 4)
    assert found["prediction_error_first"] == pytest.approx(same[0])
    assert found["prediction_error_last"] == pytest.approx(same[-1])
    assert found["triangle_violations"] == 0.0  # this head is a metric
    assert not any(each.requires_grad for each in model.parameters())
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    short = label_free.measure(model, render, tiny_trajectories, steps=6, windows=32)
    assert short["prediction_error_last"] != found["prediction_error_last"]
    with pytest.raises(ValueError, match="two chunks, 6 steps, got 5 in episodes of 12"):
        label_free.measure(model, render, tiny_trajectories, steps=5)
