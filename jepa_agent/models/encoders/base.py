"""What an encoder is."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from ...registry import Registered


@dataclass(frozen=True)
class EncoderConfig(Registered):
    """The settings of an encoder, a kind of which is a subclass."""

    observation_ndim: ClassVar[int] = 3
    """3 for images (H, W, C), 1 for vectors (S,)."""
    scales_images: ClassVar[bool] = False
    """Whether it takes images of any size, so that none are scaled before it."""

    def statistics_size(self, observation_shape: tuple[int, ...]) -> int:
        """How many means and standard deviations standardise observations: one a channel."""
        return observation_shape[-1]

    @abstractmethod
    def build(self, observation_shape: tuple[int, ...], latent_dim: int) -> nn.Module:
        """The encoder: a module that is called with `(observations, mean, std)`.

        The observations are uint8 images (B, H, W, C) or vectors (B, S); mean and std are those of
        their last axis in the data. It returns latents (B, D). An encoder whose latents are maps
        has a `num_places`; what keeps latents from collapsing then sees one place each.
        """
