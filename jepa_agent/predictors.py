"""Predictors: a latent and a chunk of actions to the next latent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


def mlp(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    """A multilayer perceptron with `depth` hidden layers of `width` GELU units."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.GELU(approximate="tanh")]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


@dataclass(frozen=True)
class ResidualMLPConfig:
    """An MLP that predicts the change of the latent.

    Args:
        width: hidden units per layer.
        depth: hidden layers.
    """

    width: int = 256
    depth: int = 2

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 1:
            raise ValueError(
                f"width and depth must be positive, got {self.width} and {self.depth}; raise them"
            )


class ResidualMLP(nn.Module):
    """z' = LayerNorm(z + MLP(z, actions)); see `ResidualMLPConfig`."""

    def __init__(self, config: ResidualMLPConfig, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        self.change = mlp(latent_dim + action_dim, config.width, config.depth, latent_dim)
        self.norm = nn.LayerNorm(latent_dim)

    def forward(self, latent: Tensor, actions: Tensor) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D)."""
        return self.norm(latent + self.change(torch.cat([latent, actions], dim=-1)))
