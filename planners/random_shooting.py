"""Random shooting: the best of many guesses. The baseline of all other planners."""

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
class RandomShootingConfig(PlannerConfig, kind="random"):
    """Random shooting's settings.

    Args:
        horizon: chunks per plan.
        num_samples: sequences drawn.
        std: standard deviation around the box's centre, as a share of each action component's
            half width.
    """

    horizon: int = 4
    num_samples: int = 256
    std: float = 1.0

    def __post_init__(self) -> None:
        check_at_least(self, knots=1, horizon=1, num_samples=1)
        if not self.std > 0:
            raise ValueError(f"std must be > 0, got {self.std}")

    def build(self) -> RandomShooting:
        return RandomShooting(self)


class RandomShooting:
    """See `RandomShootingConfig`. The warm start is one of the candidates."""

    def __init__(self, config: RandomShootingConfig | None = None) -> None:
        self.config = config or RandomShootingConfig()
        self.horizon = self.config.horizon

    @torch.no_grad()
    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """Draw once; see `Planner.plan`."""
        config, tracker = self.config, CandidateTracker(cost)
        check_problem(config, self.horizon, bounds, noise, warm_start)
        numbers = noise.normal(config.num_samples, *warm_start.shape[1:], like=warm_start)
        units = bounds.units(like=warm_start)
        candidates = bounds.project(units.centre + config.std * units.half_width * numbers)
        candidates[:, 0] = bounds.project(warm_start)
        tracker.evaluate(candidates)
        return tracker.plan()
