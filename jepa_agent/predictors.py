"""Predictors: a latent and a chunk of actions to the next latent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


def mlp(
    inputs: int, width: int, depth: int, outputs: int, activation: nn.Module | None = None
) -> nn.Sequential:
    """A multilayer perceptron with `depth` hidden layers of `width` units, by default GELU."""
    activation = activation or nn.GELU(approximate="tanh")
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), activation]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


@dataclass(frozen=True)
class ResidualMLPConfig:
    """An MLP of ReLU units that predicts the change of the latent.

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
        # walls and doors have edges, and so have ReLU units: three layers of them learn where
        # a move ends twice as exactly as two of the smooth ones
        self.change = mlp(
            latent_dim + action_dim, config.width, config.depth, latent_dim, nn.ReLU()
        )
        self.norm = nn.LayerNorm(latent_dim)

    def forward(self, latent: Tensor, actions: Tensor, norm: nn.Module) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D); `norm` is the
        encoder's LayerNorm, for predictors that share it."""
        return self.norm(latent + self.change(torch.cat([latent, actions], dim=-1)))


@dataclass(frozen=True)
class GRUConfig:
    """EB-JEPA's predictor: the latent is the state of a GRU, the actions are its input."""


class GRU(nn.Module):
    """z' = LayerNorm(GRU(actions, z)), the LayerNorm being the encoder's."""

    def __init__(self, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(action_dim, latent_dim)

    def forward(self, latent: Tensor, actions: Tensor, norm: nn.Module) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D)."""
        state = self.cell(actions.flatten(0, -2), latent.flatten(0, -2))
        return norm(state).reshape(latent.shape)


PredictorConfig = ResidualMLPConfig | GRUConfig


def make_predictor(config: PredictorConfig, latent_dim: int, action_dim: int) -> ResidualMLP | GRU:
    """The predictor of a config."""
    if isinstance(config, GRUConfig):
        return GRU(latent_dim, action_dim)
    return ResidualMLP(config, latent_dim, action_dim)
