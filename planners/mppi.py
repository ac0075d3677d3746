"""MPPI (Williams et al., 2017): candidates weighted by exp(-cost / temperature)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import (
    CandidateTracker,
    Cost,
    Noise,
    Plan,
    PlannerConfig,
    check_at_least,
    check_problem,
)
from .bounds import ActionBounds


@dataclass(frozen=True)
class MPPIConfig(PlannerConfig, kind="mppi"):
    """MPPI's settings.

    Args:
        horizon: chunks per plan.
        num_samples: sequences per iteration.
        iterations: rounds of sampling and weighting.
        temperature: divides the cost; small is greedy.
        std: standard deviation of the candidates around the mean, as a share of each action
            component's half width.
        std_decay: the standard deviation is multiplied by this after each iteration.
        deterministic: plan the best sequence found; otherwise draw one of the last iteration's
            candidates by its weight, for exploration.
    """

    horizon: int = 4
    num_samples: int = 64
    iterations: int = 4
    temperature: float = 0.5
    std: float = 1.0
    std_decay: float = 0.5
    deterministic: bool = True

    def __post_init__(self) -> None:
        check_at_least(self, knots=1, horizon=1, num_samples=3, iterations=1)
        if not (self.temperature > 0 and self.std > 0 and 0 < self.std_decay <= 1):
            raise ValueError(
                "temperature and std must be > 0 and std_decay in (0, 1], got "
                f"{self.temperature}, {self.std} and {self.std_decay}"
            )

    def build(self) -> MPPI:
        return MPPI(self)


class MPPI:
    """See `MPPIConfig`. Doing nothing is a candidate: at a goal, samples hardly find it."""

    def __init__(self, config: MPPIConfig | None = None) -> None:
        self.config = config or MPPIConfig()
        self.horizon = self.config.horizon

    @torch.no_grad()
    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """Search from `warm_start` (B, H, A); see `Planner.plan`."""
        config, tracker = self.config, CandidateTracker(cost)
        check_problem(config, self.horizon, bounds, noise, warm_start)
        numbers = noise.normal(
            config.iterations, config.num_samples, *warm_start.shape[1:], like=warm_start
        )
        mean, units = bounds.project(warm_start), bounds.units(like=warm_start)
        for iteration in range(config.iterations):
            std = config.std * config.std_decay**iteration * units.half_width
            candidates = bounds.project(mean[:, None] + std * numbers[:, iteration])
            candidates[:, 0], candidates[:, 1] = bounds.snap(mean), units.idle
            costs = tracker.evaluate(candidates)
            finite = torch.finfo(costs.dtype).max  # so that infinite costs weigh 0, or all alike
            scores = (-costs / config.temperature).clamp(-finite, finite)
            weights = torch.softmax(scores, dim=1)  # (B, N)
            mean = (weights[:, :, None, None] * candidates).sum(dim=1)
        if config.deterministic:
            tracker.evaluate(bounds.snap(mean)[:, None])
            return tracker.plan()
        drawn = (weights.log() + noise.gumbel(config.num_samples, like=warm_start)).argmax(dim=1)
        rows = torch.arange(len(drawn), device=drawn.device)
        plan = tracker.plan()
        return plan._replace(actions=candidates[rows, drawn], cost=costs[rows, drawn])
