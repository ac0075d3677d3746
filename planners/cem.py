"""The cross-entropy method (Rubinstein, 1999): fit a Gaussian to the best candidates, repeat."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .base import ActionBounds, Cost, Noise, Plan, check_costs


@dataclass(frozen=True)
class CEMConfig:
    """CEM's settings, in units of the action space.

    Args:
        horizon: actions per plan.
        candidates: sequences per iteration.
        iterations: rounds of sampling and fitting.
        elites: candidates that the next Gaussian is fitted to.
        std: initial standard deviation.
        min_std: the standard deviation never falls below this.
    """

    horizon: int = 4
    candidates: int = 64
    iterations: int = 4
    elites: int = 8
    std: float = 1.0
    min_std: float = 0.02

    def __post_init__(self) -> None:
        for name, least in (("horizon", 1), ("candidates", 2), ("iterations", 1), ("elites", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name} must be at least {least}, got {getattr(self, name)}; raise it"
                )
        if self.elites > self.candidates:
            raise ValueError(
                f"elites must be <= candidates, got {self.elites} > {self.candidates}; lower elites"
            )
        if self.std <= 0 or self.min_std < 0:
            raise ValueError(
                f"std must be > 0 and min_std >= 0, got {self.std} and {self.min_std}; change them"
            )


class CEM:
    """See `CEMConfig`. The best candidate ever seen is never lost."""

    def __init__(self, config: CEMConfig | None = None) -> None:
        self.config = config or CEMConfig()
        self.horizon = self.config.horizon

    @torch.no_grad()
    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """Search from `warm_start` (B, H, A); see `Planner.plan`."""
        config = self.config
        problems, horizon, action = warm_start.shape
        numbers = noise.normal(
            config.iterations, config.candidates, horizon, action, like=warm_start
        )
        best = bounds.project(warm_start)
        mean, std = best, torch.full_like(best, config.std)
        rows = torch.arange(problems, device=warm_start.device)
        for iteration in range(config.iterations):
            candidates = mean[:, None] + std[:, None] * numbers[:, iteration]
            candidates = bounds.project(candidates)
            candidates[:, 0], candidates[:, 1] = best, mean  # keep the best, try the mean
            costs = check_costs(cost(candidates), candidates)  # (B, N)
            order = costs.argsort(dim=1)[:, : config.elites]
            elites = candidates[rows[:, None], order]
            best, best_cost = elites[:, 0], costs[rows, order[:, 0]]
            mean = elites.mean(dim=1)
            std = elites.std(dim=1, correction=0).clamp_min(config.min_std)
        return Plan(best, best_cost, candidates, costs)
