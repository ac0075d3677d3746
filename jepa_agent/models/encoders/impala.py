"""IMPALA's residual network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from .base import EncoderConfig


@dataclass(frozen=True)
class ImpalaConfig(EncoderConfig, kind="impala"):
    """The residual CNN of IMPALA (Espeholt et al., 1802.01561), as EB-JEPA uses it.

    Args:
        stacks: channels of each stack, which halves the image and has two residual blocks.
    """

    stacks: tuple[int, ...] = (16, 32, 32)

    def __post_init__(self) -> None:
        if not self.stacks or min(self.stacks) < 1:
            raise ValueError(f"stacks must be positive channels, got {self.stacks}")

    def build(self, observation_shape: tuple[int, ...], latent_dim: int) -> Impala:
        return Impala(self, observation_shape, latent_dim)


class Impala(nn.Module):
    """About 90 MFLOP per frame of 65 x 65 x 3; see `ImpalaConfig`."""

    def __init__(
        self, config: ImpalaConfig, observation_shape: tuple[int, ...], latent_dim: int
    ) -> None:
        super().__init__()
        height, width, channels = observation_shape
        layers: list[nn.Module] = []
        for outputs in config.stacks:
            layers += [
                nn.Conv2d(channels, outputs, 3, padding=1),
                nn.MaxPool2d(3, stride=2, padding=1),
                ResidualBlock(outputs),
                ResidualBlock(outputs),
            ]
            channels, height, width = outputs, (height + 1) // 2, (width + 1) // 2
        self.convolutions = nn.Sequential(*layers, nn.ReLU())
        self.linear = nn.Linear(channels * height * width, latent_dim)
        self.norm = nn.LayerNorm(latent_dim)

    def forward(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """uint8 images (B, H, W, C) to latents (B, D).

        Each image's channels are scaled to their full range, then standardised by mean and std.
        """
        frames = images.permute(0, 3, 1, 2).to(mean.dtype)
        low, high = frames.amin(dim=(2, 3), keepdim=True), frames.amax(dim=(2, 3), keepdim=True)
        frames = 255.0 * (frames - low) / (high - low).clamp_min(1.0)
        frames = (frames - mean[:, None, None]) / std[:, None, None]
        return self.norm(self.linear(self.convolutions(frames).flatten(1)))


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C, H, W) to features of the same shape."""
        return features + self.change(features)
