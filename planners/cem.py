"""The cross-entropy method (Rubinstein, 1999): fit a Gaussian to the best candidates, repeat."""

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
    gather,
)
from .bounds import ActionBounds


@dataclass(frozen=True)
class CEMConfig(PlannerConfig, kind="cem"):
    """CEM's settings.

    Args:
        horizon: chunks per plan.
        num_samples: sequences per iteration.
        iterations: rounds of sampling and fitting.
        num_elites: candidates that the next Gaussian is fitted to.
        std: initial standard deviation, as a share of each action component's half width.
        min_std: the standard deviation never falls below this share.
    """

    horizon: int = 4
    num_samples: int = 64
    iterations: int = 4
    num_elites: int = 8
    std: float = 1.0
    min_std: float = 0.02

    def __post_init__(self) -> None:
        check_at_least(self, knots=1, horizon=1, num_samples=4, iterations=1, num_elites=1)
        if self.num_elites > self.num_samples:
            raise ValueError(
                "num_elites must be <= num_samples, got "
                f"{self.num_elites} > {self.num_samples}; lower num_elites"
            )
        if not (self.std > 0 and self.min_std >= 0):
            raise ValueError(f"std must be > 0 and min_std >= 0, got {self.std} and {self.min_std}")

    def build(self) -> CEM:
        return CEM(self)


class CEM:
    """See `CEMConfig`. Doing nothing is a candidate: at a goal, samples hardly find it."""

    def __init__(self, config: CEMConfig | None = None) -> None:
        self.config = config or CEMConfig()
        self.horizon = self.config.horizon

    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """Search from `warm_start` (B, H, A); see `Planner.plan`."""
        tracker = CandidateTracker(cost)
        self.search(tracker, bounds, noise, warm_start)
        return tracker.plan()

    @torch.no_grad()
    def search(
        self, tracker: CandidateTracker, bounds: ActionBounds, noise: Noise, warm_start: Tensor
    ) -> None:
        """Let the tracker evaluate all candidates of a search from `warm_start` (B, H, A)."""
        config = self.config
        check_problem(config, self.horizon, bounds, noise, warm_start)
        numbers = noise.normal(
            config.iterations, config.num_samples, *warm_start.shape[1:], like=warm_start
        )
        mean = best = bounds.project(warm_start)
        units = bounds.units(like=warm_start)
        std, least = (
            (config.std * units.half_width).expand_as(mean),
            config.min_std * units.half_width,
        )
        for iteration in range(config.iterations):
            candidates = bounds.project(mean[:, None] + std[:, None] * numbers[:, iteration])
            candidates[:, 0], candidates[:, 1], candidates[:, 2] = (
                best,
                bounds.snap(mean),
                units.idle,
            )
            costs = tracker.evaluate(candidates)
            elites = gather(candidates, costs.argsort(dim=1)[:, : config.num_elites])
            mean, best = elites.mean(dim=1), tracker.best
            std = torch.maximum(elites.std(dim=1, correction=0), least)
