"""A multilayer perceptron for vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..layers import mlp
from .base import EncoderConfig


@dataclass(frozen=True)
class VectorMLPConfig(EncoderConfig, kind="vector_mlp"):
    """An MLP for observations that are vectors.

    Args:
        features: hidden units per layer.
        layers: hidden layers.
    """

    observation_ndim: ClassVar[int] = 1

    features: int = 256
    layers: int = 2

    def __post_init__(self) -> None:
        if min(self.features, self.layers) < 1:
            raise ValueError(
                f"features and layers must be positive, got {self.features} and {self.layers}"
            )

    def build(self, observation_shape: tuple[int, ...], latent_dim: int) -> VectorMLP:
        return VectorMLP(self, observation_shape, latent_dim)


class VectorMLP(nn.Module):
    """See `VectorMLPConfig`."""

    def __init__(
        self, config: VectorMLPConfig, observation_shape: tuple[int, ...], latent_dim: int
    ) -> None:
        super().__init__()
        self.body = mlp(observation_shape[0], config.features, config.layers, latent_dim)
        self.norm = nn.LayerNorm(latent_dim)

    def forward(self, vectors: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Vectors (B, S), standardised by mean and std (S,), to latents (B, D)."""
        return self.norm(self.body((vectors.to(mean.dtype) - mean) / std))
