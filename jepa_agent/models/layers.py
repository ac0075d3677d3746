"""How encoders end: places asked by learned queries, and a head that makes the latent."""

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
    """What queries read off all places, as deep spatial autoencoders do (1509.06113).

    Args:
        said: (B, P, Q + V): of every place, how well it answers each of Q queries, and V values.
        queries: Q.
        places: (P, 2).

    Returns:
        (B, Q * (V + 2)): each query's mean values and mean place, weighted by its softmax.
    """
    scores, values = said.split([queries, said.shape[-1] - queries], dim=-1)
    attention = scores.transpose(1, 2).softmax(dim=-1)  # (B, Q, P)
    places = places.to(values.dtype).expand(len(said), -1, -1)
    return (attention @ torch.cat([values, places], dim=-1)).flatten(1)
