"""Patches read by learned queries, wherever they are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..layers import HeadedEncoder, attention_pool, check_patch, cut_patches, grid, make_head
from .base import EncoderConfig


@dataclass(frozen=True)
class PatchPoolConfig(EncoderConfig, kind="patch_pool"):
    """Patches described by an MLP, and learned queries that locate what they look for.

    Every patch passes the same small MLP. Each query then attends to the patches (a softmax over
    places) and reads the attention's mean place and mean values, as in deep spatial autoencoders
    (Finn et al., 1509.06113). No weight belongs to a place, so walls are recognised at places
    where no training layout had one.

    Args:
        patch: side of the patches in pixels; what does not fill a patch at the right and lower
            edge of the image is cropped.
        features: width of the patches' MLP.
        queries: number of queries.
        values: numbers that a query reads besides its mean place.
        hidden: width of the linear layer before the latent.
    """

    patch: int = 5
    features: int = 32
    queries: int = 16
    values: int = 16
    hidden: int = 256

    def __post_init__(self) -> None:
        for name in ("patch", "features", "queries", "values", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def build(self, observation_shape: tuple[int, ...], latent_dim: int) -> PatchPool:
        return PatchPool(self, observation_shape, latent_dim)


class PatchPool(HeadedEncoder):
    """About 1.9 MFLOP per frame of 65 x 65 x 3; see `PatchPoolConfig`."""

    places: Tensor

    def __init__(
        self, config: PatchPoolConfig, observation_shape: tuple[int, ...], latent_dim: int
    ) -> None:
        super().__init__()
        height, width, colours = observation_shape
        check_patch(config.patch, height, width)
        self.config = config
        self.patch_mlp = nn.Sequential(
            nn.Linear(config.patch**2 * colours, config.features),
            nn.ReLU(),
            nn.Linear(config.features, config.features),
            nn.ReLU(),
            nn.Linear(config.features, config.queries + config.values),
        )
        places = grid(height // config.patch, width // config.patch)
        self.register_buffer("places", places, persistent=False)
        read = config.queries * (config.values + 2)
        self.head = make_head(read, config.hidden, latent_dim)

    def forward(self, images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """uint8 images (B, H, W, C), standardised by mean and std (C,), to latents (B, D)."""
        patches = cut_patches(images, self.config.patch, mean, std).flatten(1, 2)  # (B, P, ...)
        return self.head(attention_pool(self.patch_mlp(patches), self.config.queries, self.places))
