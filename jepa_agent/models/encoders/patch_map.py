"""Patches that keep their places: a latent that is a map."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import ResidualConvolutions, channels_of_map, check_patch, cut_patches
from .base import EncoderConfig


@dataclass(frozen=True)
class PatchMapConfig(EncoderConfig, kind="patch_map"):
    """A latent of a few channels for every patch of the image.

    The same small convolutions read every place, so what is learned of a wall at one place holds at
    all others, and layouts never seen are made of pieces that were. The latent's size must be a
    multiple of the number of patches; the multiple is the number of channels.

    Args:
        patch: side of the patches in pixels; what does not fill a patch at the right and lower
            edge of the image is cropped.
        width: channels of the convolutions.
        depth: 3x3 convolutions.
    """

    patch: int = 4
    width: int = 32
    depth: int = 2

    def __post_init__(self) -> None:
        if min(self.patch, self.width) < 1 or self.depth < 0:
            raise ValueError(
                "patch and width must be positive and depth not negative, got "
                f"{self.patch}, {self.width} and {self.depth}"
            )

    def build(self, observation_shape: tuple[int, ...], latent_dim: int) -> PatchMap:
        return PatchMap(self, observation_shape, latent_dim)


class PatchMap(nn.Module):
    """See `PatchMapConfig`.

    Raises:
        ValueError: if the latent's size is no multiple of the number of patches.
    """

    def __init__(
        self, config: PatchMapConfig, observation_shape: tuple[int, ...], latent_dim: int
    ) -> None:
        super().__init__()
        self.config = config
        height, width, colours = observation_shape
        check_patch(config.patch, height, width)
        rows, columns = height // config.patch, width // config.patch
        channels = channels_of_map(latent_dim, rows, columns)
        self.num_places = rows * columns
        self.embedding = nn.Linear(config.patch**2 * colours, config.width)
        self.convolutions = ResidualConvolutions(config.width, config.depth)
        self.out = nn.Linear(config.width, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """uint8 images (B, H, W, C), standardised by mean and std (C,), to latents (B, D)."""
        tokens = self.embedding(cut_patches(images, self.config.patch, mean, std))
        return self.norm(self.out(F.relu(self.convolutions(tokens)))).flatten(1)
