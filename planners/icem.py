"""iCEM (Pinneri et al., arXiv 2008.06389): CEM with coloured noise, elite memory and momentum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

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
class ICEMConfig(PlannerConfig, kind="icem"):
    """iCEM's settings.

    Args:
        horizon: chunks per plan.
        num_samples: sequences of the first iteration.
        sample_decay: the number of samples is multiplied by this after each iteration.
        iterations: rounds of sampling and fitting.
        num_elites: candidates that the next Gaussian is fitted to.
        elite_fraction_kept: share of the elites that are candidates of the next iteration again.
        momentum: share of the old mean and standard deviation that is kept.
        colour: exponent of the noise's power spectrum over the horizon; 0 is white, 2 is smooth.
        std: initial standard deviation, as a share of each action component's half width.
        min_std: the standard deviation never falls below this share.
    """

    horizon: int = 4
    num_samples: int = 88
    sample_decay: float = 0.8
    iterations: int = 4
    num_elites: int = 8
    elite_fraction_kept: float = 0.3
    momentum: float = 0.1
    colour: float = 1.0
    std: float = 1.0
    min_std: float = 0.02

    def __post_init__(self) -> None:
        check_at_least(
            self, knots=1, horizon=1, num_samples=2, iterations=1, num_elites=1, colour=0
        )
        if self.num_elites > self.counts()[-1]:
            raise ValueError(
                f"num_elites must be <= the last iteration's samples, got {self.num_elites} > "
                f"{self.counts()[-1]}; lower num_elites or raise sample_decay"
            )
        if not 0 < self.sample_decay <= 1:
            raise ValueError(f"sample_decay must be in (0, 1], got {self.sample_decay}")
        if not (0 <= self.elite_fraction_kept <= 1 and 0 <= self.momentum < 1):
            raise ValueError(
                "elite_fraction_kept must be in [0, 1] and momentum in [0, 1), got "
                f"{self.elite_fraction_kept} and {self.momentum}"
            )
        if not (self.std > 0 and self.min_std >= 0):
            raise ValueError(f"std must be > 0 and min_std >= 0, got {self.std} and {self.min_std}")

    def counts(self) -> list[int]:
        """Candidates per iteration."""
        return [
            max(2, round(self.num_samples * self.sample_decay**i)) for i in range(self.iterations)
        ]

    def build(self) -> ICEM:
        return ICEM(self)


class ICEM:
    """See `ICEMConfig`. Doing nothing is a first candidate: at a goal, samples hardly find it."""

    def __init__(self, config: ICEMConfig | None = None) -> None:
        self.config = config or ICEMConfig()
        self.horizon = self.config.horizon

    @torch.no_grad()
    def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
        """Search from `warm_start` (B, H, A); see `Planner.plan`."""
        config, tracker = self.config, CandidateTracker(cost)
        check_problem(config, self.horizon, bounds, noise, warm_start)
        horizon, action = warm_start.shape[1:]
        colouring = coloured(horizon, config.colour, like=warm_start)
        mean, units = bounds.project(warm_start), bounds.units(like=warm_start)
        std, least = (
            (config.std * units.half_width).expand_as(mean),
            config.min_std * units.half_width,
        )
        best = units.idle.expand_as(mean)[:, None]  # candidates kept for the next iteration
        for count in config.counts():
            white = noise.normal(count, action, horizon, like=warm_start)
            numbers = (white @ colouring.T).transpose(2, 3)  # (B, N, H, A)
            candidates = bounds.project(mean[:, None] + std[:, None] * numbers)
            candidates = torch.cat(
                [best, bounds.snap(mean)[:, None], candidates[:, 1 + best.shape[1] :]], dim=1
            )
            costs = tracker.evaluate(candidates)
            order = costs.argsort(dim=1)
            elites = gather(candidates, order[:, : config.num_elites])
            best = elites[:, : max(1, round(config.elite_fraction_kept * config.num_elites))]
            fitted = elites.std(dim=1, correction=0)
            mean = config.momentum * mean + (1 - config.momentum) * elites.mean(dim=1)
            std = config.momentum * std + (1 - config.momentum) * fitted
            std = torch.maximum(std, least)
        return tracker.plan()


def coloured(horizon: int, exponent: float, like: Tensor) -> Tensor:
    """A matrix (H, H) that turns white noise over the horizon into power-law noise of variance 1.

    Args:
        horizon: H.
        exponent: of the power spectrum, f^-exponent; 0 gives the identity.
        like: a tensor of the wanted type and device.
    """
    return _colouring(horizon, exponent, like.dtype, like.device)


@cache
@torch.inference_mode(False)
def _colouring(horizon: int, exponent: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Made once and kept, as `constant` tensors are."""
    frequencies = torch.fft.rfftfreq(horizon, dtype=torch.float64)
    frequencies[0] = 1.0 / horizon  # the slowest wave stands in for the constant
    spectrum = torch.fft.rfft(torch.eye(horizon, dtype=torch.float64), dim=0)
    shaped = spectrum * (frequencies ** (-exponent / 2))[:, None]
    matrix = torch.fft.irfft(shaped, n=horizon, dim=0)
    matrix = matrix / matrix.square().sum(dim=1, keepdim=True).sqrt()
    return matrix.to(device, dtype, non_blocking=True)
