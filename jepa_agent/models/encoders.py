"""Encoders: observations to latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbone_encoder import BackboneEncoder, BackboneEncoderConfig
from .layers import HeadedEncoder, attention_pool, grid, make_head
from .predictors import mlp


@dataclass(frozen=True)
class PatchCNNConfig:
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
                f"{self.patch}, {self.channels} and {self.hidden}; raise them"
            )


class PatchCNN(HeadedEncoder):
    """About 3 MFLOP per frame of 65 x 65 x 3; see `PatchCNNConfig`."""

    def __init__(
        self, config: PatchCNNConfig, observation_shape: tuple[int, ...], latent_dim: int
    ) -> None:
        super().__init__()
        self.patch = config.patch
        height, width, colours = observation_shape
        _check_patch(self.patch, height, width)
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


def cut_patches(images: Tensor, size: int, mean: Tensor, std: Tensor) -> Tensor:
    """Standardised patches (B, rows, columns, size * size * C) of uint8 images (B, H, W, C)."""
    batch, height, width, colours = images.shape
    rows, columns = height // size, width // size
    # Patches are cut while the pixels are bytes: a quarter of the memory traffic.
    images = images[:, : rows * size, : columns * size].reshape(
        batch, rows, size, columns, size, colours
    )
    patches = images.transpose(2, 3).reshape(batch, rows, columns, -1).to(mean.dtype)
    scale, shift = 1.0 / std, -mean / std
    return patches.mul_(scale.repeat(size * size)).add_(shift.repeat(size * size))


@dataclass(frozen=True)
class PatchPoolConfig:
    """Patches that say what they hold, and learned queries that ask where it is.

    Every patch passes the same small MLP. Each query then attends to the patches (a softmax over
    places) and reads off the mean place and the mean value of what it attends to, as in deep
    spatial autoencoders (Finn et al., 1509.06113). No weight belongs to a place, so what was
    learnt of a wall at one place holds at another, where no layout had one.

    Args:
        patch: side of the patches in pixels; what does not fill a patch at the right and lower
            edge of the image is cropped.
        features: width of the patches' MLP.
        queries: how many.
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
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}; raise it")


class PatchPool(HeadedEncoder):
    """About 1.9 MFLOP per frame of 65 x 65 x 3; see `PatchPoolConfig`."""

    places: Tensor

    def __init__(
        self, config: PatchPoolConfig, observation_shape: tuple[int, ...], latent_dim: int
    ) -> None:
        super().__init__()
        height, width, colours = observation_shape
        _check_patch(config.patch, height, width)
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


def _check_patch(patch: int, height: int, width: int) -> None:
    if patch > min(height, width):
        raise ValueError(
            f"patch must be at most the image's size {height} x {width}, got {patch}; lower it"
        )


@dataclass(frozen=True)
class ImpalaConfig:
    """The residual CNN of IMPALA (Espeholt et al., 1802.01561), as EB-JEPA uses it.

    Args:
        stacks: channels of each stack, which halves the image and has two residual blocks.
    """

    stacks: tuple[int, ...] = (16, 32, 32)

    def __post_init__(self) -> None:
        if not self.stacks or min(self.stacks) < 1:
            raise ValueError(f"stacks must be positive channels, got {self.stacks}; raise them")


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


@dataclass(frozen=True)
class VectorMLPConfig:
    """An MLP for observations that are vectors.

    Args:
        features: hidden units per layer.
        layers: hidden layers.
    """

    features: int = 256
    layers: int = 2

    def __post_init__(self) -> None:
        if min(self.features, self.layers) < 1:
            raise ValueError(
                f"features and layers must be positive, got {self.features} and {self.layers}; "
                "raise them"
            )


class VectorMLP(nn.Module):
    """See `VectorMLPConfig`."""

    def __init__(
        self, config: VectorMLPConfig, observation_shape: tuple[int, ...], latent_dim: int
    ) -> None:
        super().__init__()
        self.body = mlp(observation_shape[0], config.features, config.layers, latent_dim)
        self.norm = nn.LayerNorm(latent_dim)

    def forward(self, vectors: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Vectors (B, S), standardised by mean and std (S,), to latents (B, D)."""
        return self.norm(self.body((vectors.to(mean.dtype) - mean) / std))


EncoderConfig = (
    PatchCNNConfig | PatchPoolConfig | ImpalaConfig | VectorMLPConfig | BackboneEncoderConfig
)


def make_encoder(
    config: EncoderConfig, observation_shape: tuple[int, ...], latent_dim: int
) -> PatchCNN | PatchPool | Impala | VectorMLP | BackboneEncoder:
    """The encoder of a config, for images (H, W, C) or vectors (S,).

    Raises:
        ValueError: if it is not made for such observations.
    """
    dimensions = 1 if isinstance(config, VectorMLPConfig) else 3
    if len(observation_shape) != dimensions:
        kind = "vectors (S,)" if dimensions == 1 else "images (H, W, C)"
        raise ValueError(
            f"{type(config).__name__} encodes {kind}, got observations {observation_shape}; "
            "choose another encoder"
        )
    if isinstance(config, VectorMLPConfig):
        return VectorMLP(config, observation_shape, latent_dim)
    if isinstance(config, PatchPoolConfig):
        return PatchPool(config, observation_shape, latent_dim)
    if isinstance(config, BackboneEncoderConfig):
        return BackboneEncoder(config, observation_shape, latent_dim)
    if isinstance(config, ImpalaConfig):
        return Impala(config, observation_shape, latent_dim)
    return PatchCNN(config, observation_shape, latent_dim)
