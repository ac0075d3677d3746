"""Layers that encoders and predictors share."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class HeadedEncoder(nn.Module):
    """An encoder that ends in a head of `make_head`."""

    head: nn.Sequential

    @property
    def norm(self) -> nn.Module:
        """The LayerNorm that every latent has passed."""
        return self.head[-1]


def make_head(features: int, hidden: int, latent_dim: int) -> nn.Sequential:
    """Features (B, F) to latents (B, D): two linear layers and a LayerNorm."""
    return nn.Sequential(
        nn.Linear(features, hidden),
        nn.ReLU(),
        nn.Linear(hidden, latent_dim),
        nn.LayerNorm(latent_dim),
    )


def grid(rows: int, columns: int) -> Tensor:
    """The places (P, 2) of a grid, row by row, as (right, down) from -1 to 1."""
    down, right = torch.linspace(-1.0, 1.0, rows), torch.linspace(-1.0, 1.0, columns)
    return torch.stack(torch.meshgrid(right, down, indexing="xy"), dim=-1).reshape(-1, 2)


def attention_pool(said: Tensor, queries: int, places: Tensor) -> Tensor:
    """Attention of queries to all places, as in deep spatial autoencoders (1509.06113).

    Args:
        said: (B, P, Q + V): for every place, its scores for Q queries, and V values.
        queries: the number Q of queries.
        places: (P, 2), coordinates of the places.

    Returns:
        (B, Q * (V + 2)): each query's mean values and mean place, weighted by its softmax.
    """
    scores, values = said.split([queries, said.shape[-1] - queries], dim=-1)
    attention = scores.transpose(1, 2).softmax(dim=-1)  # (B, Q, P)
    places = places.to(values.dtype).expand(len(said), -1, -1)
    return (attention @ torch.cat([values, places], dim=-1)).flatten(1)


def mlp(
    inputs: int, width: int, depth: int, outputs: int, activation: nn.Module | None = None
) -> nn.Sequential:
    """A multilayer perceptron with `depth` hidden layers of `width` units, by default GELU."""
    activation = activation or nn.GELU(approximate="tanh")
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), activation]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


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


def check_patch(patch: int, height: int, width: int) -> None:
    """Raise ValueError unless a patch fits into the image."""
    if patch > min(height, width):
        raise ValueError(f"patch must be at most the image's size {height} x {width}, got {patch}")


def channels_of_map(latent_dim: int, rows: int, columns: int) -> int:
    """The numbers that a latent which is a map has for each of its places.

    Raises:
        ValueError: if the latent's size is no multiple of the number of places.
    """
    places = rows * columns
    if latent_dim % places:
        raise ValueError(
            f"latent_dim must be a multiple of the map's {rows} x {columns} places, got "
            f"{latent_dim}; take {8 * places}, or other rows and columns"
        )
    return latent_dim // places


class ResidualConvolutions(nn.Module):
    """3x3 convolutions of maps (B, rows, columns, channels), each added to its input."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(depth)
        )

    def forward(self, maps: Tensor, gates: Tensor | None = None) -> Tensor:
        """Maps of the same shape; `gates` (B, depth, channels) scale what each convolution sees."""
        x = maps.permute(0, 3, 1, 2)
        for number, layer in enumerate(self.layers):
            seen = x.relu() if gates is None else x.relu() * gates[:, number, :, None, None]
            x = x + layer(seen)
        return x.permute(0, 2, 3, 1)
