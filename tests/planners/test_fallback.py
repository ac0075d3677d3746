"""Where models disagree on what was verified, a full search follows, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from jepa_agent.planners import ActionBounds, Noise, ProposalConfig

BOUNDS = ActionBounds((-1.0, -1.0), (1.0, 1.0))
QUICK = ProposalConfig(horizon=1, num_samples=4, iterations=1, num_centres=2, fallback=0.5)
GOAL = torch.tensor([0.7, -0.4])


class Models:
    """Costs of two problems, of which the models agree on the first alone."""

    def __init__(self) -> None:
        self.evaluated = 0

    def __call__(self, candidates: torch.Tensor) -> torch.Tensor:
        self.evaluated += candidates.shape[1]
        return (candidates[:, :, 0] - GOAL).square().sum(dim=-1)

    def disagreement(self, plans: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.1, 0.9])[-len(plans) :]


def planned(config: ProposalConfig, seeds: list[int]):
    cost, start = Models(), torch.zeros(len(seeds), 1, 2)
    return config.build().plan(cost, BOUNDS, Noise(seeds), start), cost


def test_only_doubtful_problems_are_searched_in_full() -> None:
    found, cost = planned(QUICK, [1, 2])
    plain, once = planned(replace(QUICK, fallback=0.0), [1, 2])
    assert torch.equal(found.actions[0], plain.actions[0])
    assert found.cost[0] == plain.cost[0]
    assert found.cost[1] < min(0.01, plain.cost[1])
    assert cost.evaluated > 6 * QUICK.fallback_samples > once.evaluated


def test_without_doubt_nothing_follows() -> None:
    found, cost = planned(replace(QUICK, fallback=1.0), [1, 2])
    plain, once = planned(replace(QUICK, fallback=0.0), [1, 2])
    assert torch.equal(found.actions, plain.actions)
    assert cost.evaluated == once.evaluated


def test_a_plan_does_not_depend_on_the_doubts_of_others() -> None:
    both, _ = planned(QUICK, [1, 2])
    alone, _ = planned(QUICK, [2])
    torch.testing.assert_close(both.actions[1:], alone.actions)


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="fallback_samples"):
        replace(QUICK, fallback_samples=2)
    with pytest.raises(ValueError, match="fallback must be"):
        replace(QUICK, fallback=-1.0)
