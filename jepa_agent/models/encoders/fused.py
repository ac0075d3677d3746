"""Observations of several parts: an encoder for each, and one latent of them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...data.resizing import scaled, scaled_shape
from ...worlds.parts import Parts
from .base import EncoderConfig
from .patch_cnn import PatchCNNConfig
from .vector_mlp import VectorMLPConfig

TINY = 16
"""Images of fewer pixels a side, such as the cells of a grid, are not cut into patches."""


@dataclass(frozen=True)
class EncodedPart:
    """One part of an observation.

    Args:
        name: its name.
        shape: (H, W, C) of uint8 images, or (S,) of vectors.
        encoder: its encoder.
    """

    name: str
    shape: tuple[int, ...]
    encoder: EncoderConfig

    def __post_init__(self) -> None:
        if len(self.shape) != self.encoder.observation_ndim:
            raise ValueError(
                f"the encoder of {self.name} must be one of shapes like {self.shape}, got "
                f"{self.encoder.kind}; choose another"
            )


@dataclass(frozen=True)
class FusedConfig(EncoderConfig, kind="fused"):
    """Latents of all parts in a row, brought to one by a linear layer and a LayerNorm.

    Args:
        parts: in the order of their names; see `fused`.
        max_image_size: images whose height or width exceeds it are scaled down to it; 0 for any
            size.
    """

    observation_ndim: ClassVar[int] = 1

    parts: tuple[EncodedPart, ...] = ()
    max_image_size: int = 72

    def __post_init__(self) -> None:
        if self.max_image_size < 0:
            raise ValueError(f"max_image_size must be at least 0, got {self.max_image_size}")

    @property
    def layout(self) -> Parts:
        """Where the parts are in a row of bytes."""
        return Parts({part.name: part.shape for part in self.parts})

    def statistics_size(self, observation_shape: tuple[int, ...]) -> int:
        """The length of the last axes of all parts together."""
        return sum(part.shape[-1] for part in self.parts)

    def build(self, observation_shape: tuple[int, ...], latent_dim: int) -> Fused:
        return Fused(self, observation_shape, latent_dim)


def fused(parts: Parts, encoder: EncoderConfig, max_image_size: int = 72) -> FusedConfig:
    """A config for parts, with an encoder for those that it fits; a default for the others.

    Images of fewer than `TINY` pixels a side are taken pixel by pixel.
    """
    if isinstance(encoder, FusedConfig):
        return encoder
    default = {3: PatchCNNConfig(), 1: VectorMLPConfig(), encoder.observation_ndim: encoder}
    encoded = []
    for name, shape in parts.shapes.items():
        is_tiny = len(shape) == 3 and min(shape[:2]) < TINY
        fitting = PatchCNNConfig(patch=1) if is_tiny else default[len(shape)]
        encoded.append(EncodedPart(name, shape, fitting))
    return FusedConfig(tuple(encoded), max_image_size)


class Fused(nn.Module):
    """See `FusedConfig`."""

    def __init__(
        self, config: FusedConfig, observation_shape: tuple[int, ...], latent_dim: int
    ) -> None:
        super().__init__()
        self.parts = config.layout
        if observation_shape != (self.parts.size,):
            raise ValueError(
                f"the parts {self.parts.shapes} take rows of {self.parts.size} bytes, got "
                f"observations {observation_shape}; name the parts that the data have"
            )
        longest = config.max_image_size
        self.shapes = [scaled_shape(part.shape, longest) for part in config.parts]
        self.encoders = nn.ModuleList(
            part.encoder.build(shape, latent_dim)
            for part, shape in zip(config.parts, self.shapes, strict=True)
        )
        self.channels = [part.shape[-1] for part in config.parts]
        self.mix = nn.Linear(len(config.parts) * latent_dim, latent_dim)
        self.norm = nn.LayerNorm(latent_dim)

    def unpack(self, rows: Tensor) -> list[Tensor]:
        """The parts (..., *shape) of rows of bytes (..., S)."""
        found = []
        for name, place in self.parts.places.items():
            shape, part = self.parts.shapes[name], rows[..., place]
            if len(shape) == 1:  # a copy of its own begins where a float may
                part = part.clone(memory_format=torch.contiguous_format).view(torch.float32)
            found.append(part.reshape(*rows.shape[:-1], *shape))
        return found

    def forward(self, rows: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Rows of bytes (B, S), their parts standardised by mean and std, to latents (B, D)."""
        return self.encode(self.unpack(rows), mean, std)

    def encode(self, parts: list[Tensor], mean: Tensor, std: Tensor) -> Tensor:
        """Parts (B, *shape), standardised by mean and std, to latents (B, D)."""
        means, stds = mean.split(self.channels), std.split(self.channels)
        seen = [
            scaled(part, shape) if len(shape) == 3 else part
            for part, shape in zip(parts, self.shapes, strict=True)
        ]
        latents = [
            encoder(*each) for encoder, *each in zip(self.encoders, seen, means, stds, strict=True)
        ]
        return self.norm(self.mix(torch.cat(latents, dim=-1)))
