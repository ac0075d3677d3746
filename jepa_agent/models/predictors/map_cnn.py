"""Convolutions over a latent that is a map."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import ResidualConvolutions, channels_of_map, mlp
from .base import PredictorConfig


@dataclass(frozen=True)
class MapCNNConfig(PredictorConfig, kind="map_cnn"):
    """A chunk predicted at every place of a map from the places around it.

    Physics are the same everywhere, and so are these weights. Actions scale what each convolution
    sees, since where something moves is a product of what is there and of what is done. In a chunk,
    nothing can move by more than `depth` places.

    Args:
        rows: of the map.
        columns: of the map.
        width: channels of the convolutions.
        depth: 3x3 convolutions.
    """

    rows: int = 16
    columns: int = 16
    width: int = 32
    depth: int = 4

    def __post_init__(self) -> None:
        if min(self.rows, self.columns, self.width, self.depth) < 1:
            raise ValueError(
                "rows, columns, width and depth must be positive, got "
                f"{self.rows}, {self.columns}, {self.width} and {self.depth}"
            )

    def build(self, latent_dim: int, action_dim: int, chunk: int) -> MapCNN:
        return MapCNN(self, latent_dim, action_dim, chunk)


class MapCNN(nn.Module):
    """z' = LayerNorm(z + Out(h)) at every place, h residual convolutions of In(z) and the actions.

    Raises:
        ValueError: if the latent's size is no multiple of the number of places.
    """

    def __init__(self, config: MapCNNConfig, latent_dim: int, action_dim: int, chunk: int) -> None:
        super().__init__()
        self.shape, self.depth = (config.rows, config.columns), config.depth
        channels = channels_of_map(latent_dim, *self.shape)
        self.read = nn.Linear(channels, config.width)
        self.act = mlp(
            chunk * action_dim, 2 * config.width, 1, config.depth * config.width, nn.ReLU()
        )
        self.convolutions = ResidualConvolutions(config.width, config.depth)
        self.write = nn.Linear(config.width, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, latent: Tensor, actions: Tensor) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D)."""
        maps = latent.reshape(-1, *self.shape, self.write.out_features)
        gates = self.act(actions.reshape(len(maps), -1)).unflatten(1, (self.depth, -1))
        changed = self.convolutions(self.read(maps), gates)
        return self.norm(maps + self.write(F.relu(changed))).reshape(latent.shape)
