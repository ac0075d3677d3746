"""Random shooting: the best of many guesses. The baseline of all other planners."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import (
    ActionBounds,
    CandidateTracker,
    Cost,
    Noise,
    Plan,
    PlannerConfig,
    check_at_least,
    check_warm_start,
)


@dataclass(frozen=True)
class RandomShootingConfig(PlannerConfig, kind="random"):
    """Random shooting's settings.

    Args:
        horizon: actions per plan.
        num_samples: sequences drawn.
        std: standard deviation around zero, in units of the action space.
    """

    horizon: int = 4
    num_samples: int = 256
    std: float = 1.0

    def __post_init__(self) -> None:
        check_at_least(self, horizon=1, num_samples=1)
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
        check_warm_start(warm_start, self.horizon, bounds, noise)
        config, tracker = self.config, CandidateTracker(cost)
        numbers = noise.normal(config.num_samples, *warm_start.shape[1:], like=warm_start)
        candidates = bounds.project(config.std * numbers)
        candidates[:, 0] = bounds.project(warm_start)
        tracker.evaluate(candidates)
        return tracker.plan()
