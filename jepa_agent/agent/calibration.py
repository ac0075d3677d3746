"""From what an agent expects of a plan to the chance that the episode fails."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .outlook import Outlook

FEATURES = ("log disagreement", "arrival", "log odds of an end", "log decision")
LEAST = 1e-6
RIDGE = 1e-3
"""Penalty on squared weights, so that separable data have finite ones."""


@dataclass(frozen=True)
class Calibration:
    """A logistic regression (Platt, 1999) of failure on what plans are expected to bring.

    Args:
        mean, std: of each of `FEATURES` in the episodes that it was fitted to.
        weights: of the standardised features.
        bias: the log odds at their means.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def __post_init__(self) -> None:
        sizes = {len(self.mean), len(self.std), len(self.weights)}
        if sizes != {len(FEATURES)} or min(self.std) <= 0:
            raise ValueError(
                f"a calibration must have a mean, a std > 0 and a weight of {FEATURES}, got "
                f"{self}; calibrate again"
            )

    def chance(self, features: Tensor) -> Tensor:
        """The chance (...) that an episode fails, given features (..., 4)."""
        mean, std, weights = (features.new_tensor(x) for x in (self.mean, self.std, self.weights))
        return (((features - mean) / std) @ weights + self.bias).sigmoid()


def features(outlook: Outlook, decision: Tensor) -> Tensor:
    """What failure is foreseen by (k, 4), given the decisions (k,) made so far in the episodes."""
    ending = outlook.ending.clamp(LEAST, 1 - LEAST)
    found = (
        outlook.disagreement.clamp_min(LEAST).log(),
        outlook.arrival,
        ending.logit(),
        torch.log1p(decision.to(ending)),
    )
    return torch.stack(found, dim=-1)


def fit(features: Tensor, failed: Tensor, weights: Tensor | None = None) -> Calibration:
    """The calibration of the greatest likelihood.

    Args:
        features: (N, 4), of plans.
        failed: (N,), whether their episodes failed.
        weights: (N,) of the plans.

    Raises:
        ValueError: if no episode failed, or every one did.
    """
    if failed.all() or not failed.any():
        raise ValueError(
            f"a calibration needs episodes that failed and others that did not, got {len(failed)} "
            "of one kind; play more of them, or harder ones"
        )
    with torch.enable_grad():
        seen, target = features.double(), failed.double()
        mean, std = seen.mean(dim=0), seen.std(dim=0)
        std = torch.where(std > LEAST, std, torch.ones_like(std))
        seen = (seen - mean) / std
        slope = torch.zeros(seen.shape[1], dtype=torch.float64, requires_grad=True)
        bias = torch.logit(target.mean()).requires_grad_()
        optimizer = torch.optim.LBFGS([slope, bias], max_iter=200, line_search_fn="strong_wolfe")
        share = torch.ones_like(target) if weights is None else weights.double()
        share = share / share.sum()

        def loss() -> Tensor:
            optimizer.zero_grad()
            logits = seen @ slope + bias
            wrong = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
            value = (share * wrong).sum() + RIDGE * slope.square().sum()
            value.backward()
            return value

        optimizer.step(loss)
    centre, unit, weight = (tuple(each.tolist()) for each in (mean, std, slope.detach()))
    return Calibration(centre, unit, weight, bias.item())
