"""Search that begins at proposals: an evolution strategy with several centres.

Sampling about one mean seldom finds the way around an obstacle; a network that proposes several
ways does, and the search verifies and improves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from .base import (
    CandidateTracker,
    Cost,
    Noise,
    Plan,
    PlannerConfig,
    Trace,
    check_at_least,
    check_problem,
    gather,
)
from .bounds import ActionBounds


@dataclass(frozen=True)
class ProposalConfig(PlannerConfig, kind="proposal"):
    """The proposal planner's settings.

    Args:
        horizon: chunks per plan.
        num_samples: sequences per iteration.
        iterations: rounds of varying the best sequences and of keeping the better ones. In a single
            round with no more samples than proposals and two (the last plan, and doing nothing),
            these are compared and none is varied.
        num_centres: sequences kept after each round, which the next one varies.
        std: standard deviation of the first variations, as a share of each action component's half
            width; in every second sequence, all actions of a chunk are varied alike.
        decay: factor of the standard deviation after each round.
        fallback: by how many chunks several models must disagree on the plan found for a full
            search to follow; 0 for never. The cost tells it, see `Disagrees`.
        fallback_samples: sequences per iteration of the full search.
        fallback_iterations: its rounds.
    """

    horizon: int = 4
    num_samples: int = 128
    iterations: int = 6
    num_centres: int = 8
    std: float = 0.5
    decay: float = 0.7
    fallback: float = 0.0
    fallback_samples: int = 192
    fallback_iterations: int = 6

    takes_categories: ClassVar[bool] = False
    takes_proposals: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_at_least(self, knots=1, horizon=1, num_samples=4, iterations=1, num_centres=1)
        check_at_least(self, fallback=0, fallback_iterations=1)
        if self.num_centres >= min(self.num_samples, self.fallback_samples):
            raise ValueError(
                "num_centres must be < num_samples and fallback_samples, got "
                f"{self.num_centres} of {self.num_samples} and {self.fallback_samples}; lower "
                "num_centres"
            )
        if not (self.std > 0 and 0 < self.decay <= 1):
            raise ValueError(
                f"std must be > 0 and decay in (0, 1], got {self.std} and {self.decay}"
            )

    def build(self) -> Proposal:
        return Proposal(self)


@runtime_checkable
class Disagrees(Protocol):
    """A cost over several models, which may disagree."""

    def disagreement(self, plans: Tensor) -> Tensor:
        """By how many chunks (B,) they differ about plans (B, H, A)."""


class Proposal:
    """See `ProposalConfig`. Doing nothing is a candidate: at a goal, samples hardly find it."""

    def __init__(self, config: ProposalConfig | None = None) -> None:
        self.config = config or ProposalConfig()
        self.horizon = self.config.horizon

    @torch.no_grad()
    def plan(
        self,
        cost: Cost,
        bounds: ActionBounds,
        noise: Noise,
        warm_start: Tensor,
        proposals: Tensor | None = None,
    ) -> Plan:
        """Search from `warm_start` (B, H, A) and proposals (B, M, H, A), the likeliest first."""
        config, tracker = self.config, CandidateTracker(cost)
        check_problem(config, self.horizon, bounds, noise, warm_start)
        units = bounds.units(like=warm_start)
        starts = torch.stack([warm_start, units.idle.expand_as(warm_start)], dim=1)
        if proposals is not None:
            starts = torch.cat([proposals.to(starts), starts], dim=1)
        centres, shape = bounds.project(starts), warm_start.shape[1:]
        if config.iterations == 1 and config.num_samples <= centres.shape[1]:
            tracker.evaluate(centres)
        else:
            drawn = noise.normal(config.iterations, config.num_samples, *shape, like=warm_start)
            self._improve(tracker, bounds, drawn, centres)
        found = tracker.plan()
        if not (config.fallback and isinstance(cost, Disagrees)):
            return found
        rounds, samples = config.fallback_iterations, config.fallback_samples
        drawn = noise.normal(rounds, samples, *shape, like=warm_start)
        doubtful = cost.disagreement(found.actions) > config.fallback  # (B,)
        if not torch.compiler.is_compiling() and not bool(doubtful.any()):
            return found
        full = CandidateTracker(cost)
        self._improve(full, bounds, drawn, torch.cat([centres, found.actions[:, None]], dim=1))
        better = full.plan()
        return Plan(
            torch.where(doubtful[:, None, None], better.actions, found.actions),
            torch.where(doubtful, better.cost, found.cost),
            Trace(*(one + more for one, more in zip(found.trace, better.trace, strict=True))),
        )

    def _improve(
        self, tracker: CandidateTracker, bounds: ActionBounds, numbers: Tensor, centres: Tensor
    ) -> None:
        """Vary the best of centres (B, M, H, A) by numbers (B, rounds, N, H, A)."""
        config, num_samples = self.config, numbers.shape[2]
        alike = numbers[..., :: config.knots, :].repeat_interleave(config.knots, dim=-2)
        is_alike = torch.arange(num_samples, device=numbers.device) % 2 == 0
        numbers = torch.where(is_alike[:, None, None], alike, numbers)
        std = config.std * bounds.units(like=centres).half_width
        for drawn in numbers.unbind(dim=1):
            count = centres.shape[1]
            varied = max(num_samples - count, 0)
            about = centres[:, torch.arange(varied, device=centres.device) % count]
            candidates = torch.cat(
                [centres, bounds.project(about + std * drawn[:, :varied])], dim=1
            )
            costs = tracker.evaluate(candidates)
            centres = gather(candidates, costs.argsort(dim=1)[:, : config.num_centres])
            std = std * config.decay
