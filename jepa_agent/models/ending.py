"""The chance that an episode ends for good, elsewhere than at its goal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import mlp


@dataclass(frozen=True)
class EndingConfig:
    """A network that foresees terminal states; see `Trajectories.terminal`.

    Args:
        width: hidden units per layer; 0 for no such network.
        depth: hidden layers.
    """

    width: int = 0
    depth: int = 2

    def __post_init__(self) -> None:
        if self.width < 0 or self.depth < 1:
            raise ValueError(
                f"ending.width must be at least 0 and ending.depth at least 1, got {self.width} "
                f"and {self.depth}"
            )

    def build(self, latent_dim: int, chunk_dim: int) -> Ending:
        """The network, for latents of size D and chunks of K * A numbers."""
        return Ending(self, latent_dim, chunk_dim)


class Ending(nn.Module):
    """See `EndingConfig`. In a noisy world the chance is one of outcomes, not of ignorance."""

    def __init__(self, config: EndingConfig, latent_dim: int, chunk_dim: int) -> None:
        super().__init__()
        self.net = mlp(latent_dim + chunk_dim, config.width, config.depth, 1, nn.ReLU())

    def forward(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Logits (...) of the chance that the episode ends within the chunk.

        Args:
            latents: (..., D), where the chunk begins.
            actions: (..., K * A), standardised.
        """
        return self.net(torch.cat([latents, actions], dim=-1))[..., 0]

    def loss(self, latents: Tensor, actions: Tensor, terminal: Tensor) -> Tensor:
        """Cross-entropy, over the chunks whose episodes had not ended before.

        Args:
            latents: (..., H + 1, D).
            actions: (..., H, K * A), standardised.
            terminal: boolean (..., H + 1).
        """
        logits = self(latents[..., :-1, :], actions).float()
        alive = (~terminal[..., :-1]).to(logits.dtype)
        each = F.binary_cross_entropy_with_logits(
            logits, terminal[..., 1:].to(logits.dtype), weight=alive, reduction="sum"
        )
        return each / alive.sum().clamp_min(1.0)
