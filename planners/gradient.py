"""Gradient planning: many starts, Adam through the model, projection onto the bounds.

From a single start, gradients stop at local minima such as the two sides of a gap; many starts,
noise and restarts are what makes them useful.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
)
from .bounds import ActionBounds
from .cem import CEM, CEMConfig


@dataclass(frozen=True)
class GradientConfig(PlannerConfig, kind="gradient"):
    """Gradient planning's settings; lengths are shares of each action component's half width.

    Args:
        horizon: chunks per plan.
        starts: sequences improved side by side; the first is the warm start.
        iterations: steps of Adam.
        learning_rate: of Adam.
        std: standard deviation of the starts around the warm start.
        noise: standard deviation of the noise added at each step, fading to zero.
        restart_every: after this many steps, the worse half of the starts begins anew around the
            best sequence; 0 is never.
    """

    takes_categories: ClassVar[bool] = False
    differentiates: ClassVar[bool] = True

    horizon: int = 4
    starts: int = 16
    iterations: int = 20
    learning_rate: float = 0.2
    std: float = 1.0
    noise: float = 0.1
    restart_every: int = 10

    def __post_init__(self) -> None:
        check_at_least(self, knots=1, horizon=1, starts=1, iterations=1, restart_every=0)
        if not (self.learning_rate > 0 and self.std >= 0 and self.noise >= 0):
            raise ValueError(
                "learning_rate must be > 0, std and noise >= 0, got "
                f"{self.learning_rate}, {self.std} and {self.noise}"
            )

    def build(self) -> Gradient:
        return Gradient(self)


class Gradient:
    """See `GradientConfig`."""

    def __init__(self, config: GradientConfig | None = None) -> None:
        self.config = config or GradientConfig()
        self.horizon = self.config.horizon

    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """Search from `warm_start` (B, H, A); see `Planner.plan`.

        Raises:
            ValueError: if the cost has no gradient with respect to the candidates.
        """
        tracker = CandidateTracker(cost)
        self.search(tracker, bounds, noise, warm_start)
        return tracker.plan()

    def search(
        self, tracker: CandidateTracker, bounds: ActionBounds, noise: Noise, warm_start: Tensor
    ) -> None:
        """Let the tracker evaluate all candidates of a search from `warm_start` (B, H, A)."""
        config = self.config
        check_problem(config, self.horizon, bounds, noise, warm_start)
        shape, width = warm_start.shape[1:], bounds.units(like=warm_start).half_width
        starts = warm_start[:, None] + config.std * width * noise.normal(
            config.starts, *shape, like=warm_start
        )
        starts[:, 0] = warm_start
        candidates = bounds.clip(starts)
        first, second = torch.zeros_like(candidates), torch.zeros_like(candidates)
        for iteration in range(config.iterations):
            candidates.requires_grad_(True)
            with torch.enable_grad():
                costs = tracker.evaluate(bounds.snap(candidates))
                gradient = width * _gradient(costs, candidates)
            candidates = candidates.detach()
            first, second = first.lerp(gradient, 0.1), second.lerp(gradient.square(), 0.001)
            scale = (1 - 0.999 ** (iteration + 1)) ** 0.5 / (1 - 0.9 ** (iteration + 1))
            step = config.learning_rate * scale * width * first / (second.sqrt() + 1e-8)
            fading = config.noise * (1 - (iteration + 1) / config.iterations)
            shaken = fading * width * noise.normal(config.starts, *shape, like=warm_start)
            candidates = candidates - step + shaken
            if config.restart_every and (iteration + 1) % config.restart_every == 0:
                fresh = tracker.best[:, None] + shaken * (config.std / max(config.noise, 1e-6))
                worse = costs.detach() > costs.detach().median(dim=1, keepdim=True).values
                candidates = torch.where(worse[:, :, None, None], fresh, candidates)
            candidates = bounds.clip(candidates)
        with torch.no_grad():
            tracker.evaluate(bounds.snap(candidates))


def _gradient(costs: Tensor, candidates: Tensor) -> Tensor:
    if not costs.requires_grad:
        raise ValueError(
            "gradient planning needs a cost that is differentiable in the candidates, got one "
            "without a gradient; use CEM, iCEM or MPPI for black-box costs"
        )
    return torch.autograd.grad(costs.sum(), candidates)[0]


@dataclass(frozen=True)
class CEMGradientConfig(PlannerConfig, kind="cem-gradient"):
    """CEM, then gradient steps from its plan.

    Args:
        cem: the search that finds a path.
        gradient: the steps that refine it; the same horizon.
    """

    takes_categories: ClassVar[bool] = False
    differentiates: ClassVar[bool] = True

    cem: CEMConfig = field(default_factory=CEMConfig)
    gradient: GradientConfig = field(
        default_factory=lambda: GradientConfig(
            starts=4, iterations=8, learning_rate=0.05, std=0.1, noise=0.0, restart_every=0
        )
    )

    def __post_init__(self) -> None:
        check_at_least(self, knots=1)
        if (self.cem.knots, self.gradient.knots) != (1, 1):
            raise ValueError(
                "knots must be set for both together, got "
                f"{self.cem.knots} of cem and {self.gradient.knots} of gradient; set the planner's"
            )
        if self.cem.horizon != self.gradient.horizon:
            raise ValueError(
                "cem and gradient must have one horizon, got "
                f"{self.cem.horizon} and {self.gradient.horizon}"
            )

    def build(self) -> CEMGradient:
        return CEMGradient(self)


class CEMGradient:
    """See `CEMGradientConfig`."""

    def __init__(self, config: CEMGradientConfig | None = None) -> None:
        self.config = config or CEMGradientConfig()
        self.horizon = self.config.cem.horizon
        knots = self.config.knots
        self._cem = CEM(replace(self.config.cem, knots=knots))
        self._gradient = Gradient(replace(self.config.gradient, knots=knots))

    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """Search, then refine; see `Planner.plan`."""
        check_problem(self.config, self.horizon, bounds, noise, warm_start)
        tracker = CandidateTracker(cost)
        self._cem.search(tracker, bounds, noise, warm_start)
        self._gradient.search(tracker, bounds, noise, tracker.best)
        return tracker.plan()
