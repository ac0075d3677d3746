"""The cross-entropy method for discrete actions: fit probabilities to the best, repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

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
    gather,
)
from .bounds import ActionBounds


@dataclass(frozen=True)
class CategoricalCEMConfig(PlannerConfig, kind="categorical-cem"):
    """Categorical CEM's settings.

    Args:
        horizon: chunks per plan.
        num_samples: sequences per iteration.
        iterations: rounds of sampling and fitting.
        num_elites: candidates that the next probabilities are fitted to.
        smoothing: share of the uniform distribution in them, so that no category dies out.
    """

    takes_boxes: ClassVar[bool] = False

    horizon: int = 4
    num_samples: int = 64
    iterations: int = 4
    num_elites: int = 8
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        check_at_least(self, knots=1, horizon=1, num_samples=3, iterations=1, num_elites=1)
        if self.num_elites > self.num_samples:
            raise ValueError(
                "num_elites must be <= num_samples, got "
                f"{self.num_elites} > {self.num_samples}; lower num_elites"
            )
        if not 0 <= self.smoothing <= 1:
            raise ValueError(f"smoothing must be in [0, 1], got {self.smoothing}")

    def build(self) -> CategoricalCEM:
        return CategoricalCEM(self)


class CategoricalCEM:
    """See `CategoricalCEMConfig`. The warm start and doing nothing are candidates."""

    def __init__(self, config: CategoricalCEMConfig | None = None) -> None:
        self.config = config or CategoricalCEMConfig()
        self.horizon = self.config.horizon

    @torch.no_grad()
    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """Search from `warm_start` (B, H, A); see `Planner.plan`."""
        config, tracker = self.config, CandidateTracker(cost)
        check_problem(config, self.horizon, bounds, noise, warm_start)
        numbers = noise.gumbel(
            config.iterations, config.num_samples, *warm_start.shape[1:], like=warm_start
        )
        best, idle = bounds.project(warm_start), bounds.units(like=warm_start).idle
        uniform = [torch.full_like(g, 1 / len(g)) for g in idle.split(bounds.categories)]
        probabilities = even = torch.cat(uniform).expand_as(best)
        for iteration in range(config.iterations):
            candidates = bounds.project(probabilities.log()[:, None] + numbers[:, iteration])
            candidates[:, 0], candidates[:, 1] = best, idle
            costs = tracker.evaluate(candidates)
            elites = gather(candidates, costs.argsort(dim=1)[:, : config.num_elites])
            probabilities = torch.lerp(elites.mean(dim=1), even, config.smoothing)
            best = tracker.best
        return tracker.plan()
