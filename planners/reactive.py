"""No search: what a network proposes is played."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import Cost, Noise, Plan, PlannerConfig, Trace, check_at_least, check_problem
from .bounds import ActionBounds


@dataclass(frozen=True)
class ReactiveConfig(PlannerConfig, kind="reactive"):
    """The settings of playing the likeliest proposal, which takes a forward pass of two networks.

    Args:
        horizon: chunks per plan.
    """

    horizon: int = 4

    takes_categories: ClassVar[bool] = False
    takes_proposals: ClassVar[bool] = True
    evaluates: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_at_least(self, knots=1, horizon=1)

    def build(self) -> Reactive:
        return Reactive(self)


class Reactive:
    """See `ReactiveConfig`. Its plans have no cost (NaN), since none is computed."""

    def __init__(self, config: ReactiveConfig | None = None) -> None:
        self.config = config or ReactiveConfig()
        self.horizon = self.config.horizon

    def plan(
        self,
        cost: Cost,
        bounds: ActionBounds,
        noise: Noise,
        warm_start: Tensor,
        proposals: Tensor | None = None,
    ) -> Plan:
        """The first of the proposals (B, M, H, A), within the bounds.

        Raises:
            ValueError: if there are none.
        """
        check_problem(self.config, self.horizon, bounds, noise, warm_start)
        if proposals is None:
            raise ValueError(
                "the planner reactive plays what a model proposes for an observation, got no "
                "proposals; train them by `jepa-agent distil`, or search with mppi"
            )
        actions = bounds.project(proposals[:, 0].to(warm_start))
        return Plan(actions, torch.full_like(actions[:, 0, 0], torch.nan), Trace((), ()))
