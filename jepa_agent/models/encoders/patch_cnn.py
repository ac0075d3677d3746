"""Patches embedded linearly, then strided convolutions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import HeadedEncoder, check_patch, cut_patches, make_head
from .base import EncoderConfig


@dataclass(frozen=True)
class PatchCNNConfig(EncoderConfig, kind="patch_cnn"):
    """A lean CNN for CPUs: patches embedded linearly, strided convolutions, two linear layers.

    Args:
        patch: side of the patches in pixels; what does not fill a patch at the right and lower
            edge of the image is cropped.
        channels: of the patch embedding, then of each 3x3 convolution of stride 2.
        hidden: width of the linear layer before the latent.
    """

    patch: int = 8
    channels: tuple[int, ...] = (64, 64)
    hidden: int = 256

    def __post_init__(self) -> None:
        if not self.channels or min(*self.channels, self.hidden, self.patch) < 1:
            raise ValueError(
                "patch, channels and hidden must be positive, got "
                f"{self.patch}, {self.channels} and {self.hidden}"
            )

    def build(self, observation_shape: tuple[int, ...], latent_dim: int) -> PatchCNN:
        return PatchCNN(self, observation_shape, latent_dim)


class PatchCNN(HeadedEncoder):
    """About 3 MFLOP per frame of 65 x 65 x 3; see `PatchCNNConfig`."""

    def __init__(
        self, config: PatchCNNConfig, observation_shape: tuple[int, ...], latent_dim: int
    ) -> None:
        super().__init__()
        self.patch = config.patch
        height, width, colours = observation_shape
        check_patch(self.patch, height, width)
        first, *rest = config.channels
        self.embedding = nn.Linear(self.patch**2 * colours, first)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(config.channels, rest, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        with torch.no_grad():
            grid = torch.zeros(1, first, height // self.patch, width // self.patch)
            features = self.convolutions(grid).numel()
        self.head = make_head(features, config.hidden, latent_dim)

    def forward(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """uint8 images (B, H, W, C), standardised by mean and std (C,), to latents (B, D)."""
        tokens = F.relu(self.embedding(cut_patches(images, self.patch, mean, std)))
        return self.head(self.convolutions(tokens.permute(0, 3, 1, 2)).flatten(1))
