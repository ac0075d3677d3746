"""A metric: distances are the same both ways."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..layers import mlp
from .base import DistanceHeadConfig


@dataclass(frozen=True)
class BlockNormConfig(DistanceHeadConfig, kind="block_norm"):
    """A metric: the sum of the Euclidean distances of the embedding's blocks.

    One block represents only Euclidean spaces; several also represent trees, such as rooms joined
    by passages.

    Args:
        width: hidden units per layer.
        depth: hidden layers.
        dim: size of the embedding.
        blocks: equal parts of the embedding.
    """

    width: int = 256
    depth: int = 1
    dim: int = 64
    blocks: int = 16

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.dim, self.blocks) < 1:
            raise ValueError(
                f"width, depth, dim and blocks must be positive, got {self.width}, {self.depth}, "
                f"{self.dim} and {self.blocks}"
            )
        if self.dim % self.blocks:
            raise ValueError(f"dim must be a multiple of blocks, got {self.dim} and {self.blocks}")

    def build(self, latent_dim: int) -> BlockNorm:
        return BlockNorm(self, latent_dim)


class BlockNorm(nn.Sequential):
    """See `BlockNormConfig`."""

    def __init__(self, config: BlockNormConfig, latent_dim: int) -> None:
        super().__init__(*mlp(latent_dim, config.width, config.depth, config.dim))
        self.dim, self.blocks = config.dim, config.blocks

    def distance(self, start: Tensor, end: Tensor) -> Tensor:
        """Distances (...) between embeddings (..., E)."""
        return block_norm(start - end, self.blocks)


def block_norm(difference: Tensor, blocks: int) -> Tensor:
    """The sum (...) of the Euclidean lengths of the blocks of differences (..., E)."""
    return difference.unflatten(-1, (blocks, -1)).norm(dim=-1).sum(dim=-1)
