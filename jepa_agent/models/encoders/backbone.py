"""An encoder on a pretrained backbone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones import Backbone, BackboneConfig, ViTConfig
from ..layers import HeadedEncoder, attention_pool, grid, make_head
from .base import EncoderConfig


@dataclass(frozen=True)
class BackboneEncoderConfig(EncoderConfig, kind="backbone"):
    """A backbone's maps, read by queries as in `PatchPoolConfig`.

    Batch norms keep the statistics of pretraining, frozen or not. `size` and `channels` decide how
    images of other sizes and channels than those of pretraining are adapted; by default they are
    an error.

    Args:
        backbone: its contract and network.
        freeze: keep its weights.
        size: "same" rejects other sizes, "resize" scales images to the backbone's size, "any"
            passes them unscaled to a convolutional backbone.
        channels: "same" rejects other numbers of channels, "mean" passes the mean of all channels
            in each of the backbone's.
        queries, values, hidden: as in `PatchPoolConfig`.
    """

    scales_images: ClassVar[bool] = True

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    freeze: bool = False
    size: Literal["same", "resize", "any"] = "same"
    channels: Literal["same", "mean"] = "same"
    queries: int = 16
    values: int = 16
    hidden: int = 256

    def __post_init__(self) -> None:
        if min(self.queries, self.values, self.hidden) < 1:
            raise ValueError(
                "queries, values and hidden must be positive, got "
                f"{self.queries}, {self.values} and {self.hidden}"
            )

    def build(self, observation_shape: tuple[int, ...], latent_dim: int) -> BackboneEncoder:
        return BackboneEncoder(self, observation_shape, latent_dim)


class BackboneEncoder(HeadedEncoder):
    """See `BackboneEncoderConfig`.

    Raises:
        ValueError: if the backbone does not take these observations and the config does not adapt
            them.
    """

    places: Tensor

    def __init__(
        self, config: BackboneEncoderConfig, observation_shape: tuple[int, ...], latent_dim: int
    ) -> None:
        super().__init__()
        self.config = config
        height, width, colours = config.backbone.image_shape
        if config.size == "same" and observation_shape[:2] != (height, width):
            raise ValueError(
                f"the backbone takes images of {height} x {width}, got observations "
                f"{observation_shape}; set the encoder's size to 'resize' or 'any'"
            )
        if config.channels == "same" and observation_shape[2] != colours:
            raise ValueError(
                f"the backbone takes {colours} channels, got observations {observation_shape}; "
                "set the encoder's channels to 'mean'"
            )
        if config.size == "any" and isinstance(config.backbone.network, ViTConfig):
            raise ValueError(
                "size 'any' is for convolutional backbones, got a ViT; set it to 'resize'"
            )
        self.backbone = Backbone(config.backbone).eval()
        with torch.no_grad():
            seen = torch.zeros(1, *observation_shape, dtype=torch.uint8)
            _, features, rows, columns = self._maps(seen).shape
        self.register_buffer("places", grid(rows, columns), persistent=False)
        self.ask = nn.Linear(features, config.queries + config.values)
        self.head = make_head(config.queries * (config.values + 2), config.hidden, latent_dim)

    def train(self, mode: bool = True) -> BackboneEncoder:
        """Set the mode of the head; the backbone's batch norms keep their pretrained statistics."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """uint8 images (B, H, W, C) to latents (B, D); the backbone standardises them itself."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.config.freeze):
            maps = self._maps(images)
        places = maps.flatten(2).transpose(1, 2)  # (B, P, F)
        return self.head(attention_pool(self.ask(places), self.config.queries, self.places))

    def _maps(self, images: Tensor) -> Tensor:
        height, width, colours = self.config.backbone.image_shape
        seen = images.permute(0, 3, 1, 2).to(self.backbone.mean.dtype) / 255.0
        if self.config.channels == "mean":
            seen = seen.mean(dim=1, keepdim=True).expand(-1, colours, -1, -1)
        if self.config.size == "resize":
            seen = F.interpolate(seen, size=(height, width), mode="bilinear", antialias=True)
        return self.backbone.maps(seen)
