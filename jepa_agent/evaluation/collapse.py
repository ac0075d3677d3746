"""Detecting collapsed features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

COLLAPSED = 0.05
"""Spread, or effective rank over dimensions, below which features count as collapsed."""


@dataclass(frozen=True)
class CollapseStats:
    """Measures of how much features vary.

    Args:
        spread: mean standard deviation of the features over the batch, relative to their root
            mean square; 0 is one point for all inputs.
        rank_me: effective rank (RankMe, 2210.02885), of `dim` dimensions.
        dim: size of the features.
    """

    spread: float
    rank_me: float
    dim: int

    @property
    def collapsed(self) -> str:
        """A description of the collapse; empty if there is none."""
        if self.spread < COLLAPSED:
            return (
                f"collapsed: all inputs have nearly the same features (spread {self.spread:.3f}); "
                "raise the weight of variance or sigreg"
            )
        if self.rank_me < max(2.0, COLLAPSED * self.dim):
            return (
                f"collapsed: the features fill {self.rank_me:.1f} of {self.dim} dimensions; raise "
                "the weight of covariance or sigreg"
            )
        return ""


def collapse_stats(features: Tensor) -> CollapseStats:
    """Measure features (N, F)."""
    features = features.float()
    size = features.square().mean().sqrt().clamp_min(1e-12)
    spread = features.std(dim=0).mean() / size
    centred = features - features.mean(dim=0)
    return CollapseStats(spread.item(), rank_me(centred), features.shape[1])


def rank_me(latents: Tensor) -> float:
    """The exponential of the entropy of the normalised singular values of latents (N, D)."""
    values = torch.linalg.svdvals(latents.float())
    share = values / values.sum().clamp_min(1e-12)
    return float(torch.exp(-(share * (share + 1e-12).log()).sum()))
