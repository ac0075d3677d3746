"""Exhaustive search: all sequences of discrete actions, for short horizons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from .base import CandidateTracker, Cost, Noise, Plan, PlannerConfig, check_at_least, check_problem
from .bounds import ActionBounds

EVALUATED_TOGETHER = 1024
"""Candidates per call of the cost."""


@dataclass(frozen=True)
class ExhaustiveConfig(PlannerConfig, kind="exhaustive"):
    """Exhaustive search's settings.

    Args:
        horizon: chunks per plan.
        max_sequences: the most that are tried; with more, the search is refused.
    """

    takes_boxes: ClassVar[bool] = False

    horizon: int = 4
    max_sequences: int = 4096

    def __post_init__(self) -> None:
        check_at_least(self, knots=1, horizon=1, max_sequences=1)

    def build(self) -> Exhaustive:
        return Exhaustive(self)


class Exhaustive:
    """See `ExhaustiveConfig`."""

    def __init__(self, config: ExhaustiveConfig | None = None) -> None:
        self.config = config or ExhaustiveConfig()
        self.horizon = self.config.horizon

    @torch.no_grad()
    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """Try all sequences; see `Planner.plan`.

        Raises:
            ValueError: if there are more than `max_sequences`.
        """
        config, tracker = self.config, CandidateTracker(cost)
        check_problem(config, self.horizon, bounds, noise, warm_start)
        problems, steps, _ = warm_start.shape
        each = math.prod(bounds.categories)
        if each**steps > config.max_sequences:
            raise ValueError(
                f"exhaustive search must have at most max_sequences {config.max_sequences}, got "
                f"{each}^{steps} = {each**steps}; lower the horizon, raise max_sequences or use "
                "categorical-cem"
            )
        for some in _sequences(bounds.categories, steps, warm_start).split(EVALUATED_TOGETHER):
            tracker.evaluate(some.expand(problems, *some.shape))
        return tracker.plan()


def _sequences(categories: tuple[int, ...], steps: int, like: Tensor) -> Tensor:
    """All sequences (N, H, A) of one-hot actions, in lexicographic order."""
    sizes = categories * steps
    rest = torch.arange(math.prod(sizes), device=like.device)
    digits = []
    for size in reversed(sizes):
        digits.append(F.one_hot(rest % size, size))
        rest = rest // size
    return torch.cat(digits[::-1], dim=-1).to(like.dtype).unflatten(-1, (steps, -1))
