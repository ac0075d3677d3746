"""A quasimetric: the way back may be longer."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..layers import mlp
from .base import DistanceHeadConfig
from .block_norm import BlockNormConfig


@dataclass(frozen=True)
class QuasimetricConfig(DistanceHeadConfig, kind="quasimetric"):
    """A quasimetric: the sum, over the embedding's blocks, of the largest increase of a coordinate.

    This is the asymmetric part of metric residual networks (2208.08133). Every quasimetric d is
    such a sum, even of one block: with d(p, .) as a coordinate for each point p, the largest
    increase from a to b is d(a, b), by the triangle inequality.

    Args:
        width: hidden units per layer.
        depth: hidden layers.
        dim: size of the embedding.
        blocks: equal parts of the embedding.
    """

    width: int = 256
    depth: int = 2
    dim: int = 64
    blocks: int = 8

    def __post_init__(self) -> None:
        BlockNormConfig(**vars(self))  # has the same rules

    def build(self, latent_dim: int) -> Quasimetric:
        return Quasimetric(self, latent_dim)


class Quasimetric(nn.Sequential):
    """See `QuasimetricConfig`."""

    def __init__(self, config: QuasimetricConfig, latent_dim: int) -> None:
        super().__init__(*mlp(latent_dim, config.width, config.depth, config.dim))
        self.dim, self.blocks = config.dim, config.blocks

    def distance(self, start: Tensor, end: Tensor) -> Tensor:
        """Distances (...) from embeddings (..., E) to others."""
        increase = (end - start).unflatten(-1, (self.blocks, -1))
        return increase.relu().amax(dim=-1).sum(dim=-1)
