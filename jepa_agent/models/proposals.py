"""Proposals: action sequences that lead from a latent to a goal, learned by hindsight."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import mlp

SHARED = 0.1
"""The share of the loss that all heads have in common; the rest is the best head's alone."""
BESIDE = 0.1
"""Weight of the cross-entropies that are learned beside the actions."""


@dataclass(frozen=True)
class ProposalsConfig:
    """A network that proposes actions for a goal some chunks ahead.

    Args:
        heads: sequences M that it proposes, each a different way; 0 for no such network.
        horizon: chunks H of a sequence.
        reach: chunks to the farthest goals that it learns from.
        width: hidden units per layer.
        depth: hidden layers.
    """

    heads: int = 0
    horizon: int = 5
    reach: int = 20
    width: int = 512
    depth: int = 2

    def __post_init__(self) -> None:
        for name, least in {"heads": 0, "horizon": 1, "width": 1, "depth": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f"proposals.{name} must be at least {least}, got {getattr(self, name)}"
                )
        if self.reach < self.horizon:
            raise ValueError(
                f"proposals.reach must be at least the horizon {self.horizon}, got {self.reach}; "
                "raise it"
            )

    def build(self, latent_dim: int, chunk_dim: int) -> Proposals:
        """The network, for latents of size D and chunks of K * A numbers."""
        return Proposals(self, latent_dim, chunk_dim)


class Proposals(nn.Module):
    """See `ProposalsConfig`. Shapes: H its horizon, M its heads, K * A a chunk, standardised."""

    def __init__(self, config: ProposalsConfig, latent_dim: int, chunk_dim: int) -> None:
        super().__init__()
        self.config = config
        outputs = config.heads * (config.horizon * chunk_dim + 1)
        self.net = mlp(2 * latent_dim + config.reach, config.width, config.depth, outputs)
        self.when = mlp(2 * latent_dim, config.width // 2, config.depth, config.reach)

    def forward(self, latents: Tensor, goals: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """What each head proposes.

        Args:
            latents: (..., D).
            goals: (..., D).
            ahead: (...), chunks from the latents to the goals, at most `reach`.

        Returns:
            Actions (..., M, H, K * A), those after the goal without meaning, and logits (..., M) of
            the head that does best.
        """
        chunks = torch.arange(1, self.config.reach + 1, device=ahead.device)
        when = ahead.clamp(1, self.config.reach)[..., None] == chunks
        said = self.net(torch.cat([latents, goals, when.to(latents)], dim=-1))
        said = said.unflatten(-1, (self.config.heads, -1))
        return said[..., 1:].unflatten(-1, (self.config.horizon, -1)), said[..., 0]

    def chunks_ahead(self, latents: Tensor, goals: Tensor, share: float) -> Tensor:
        """In how many chunks (...), from 1 to `reach`, a share of the data got to goals.

        Args:
            latents: (..., D).
            goals: (..., D).
            share: of the data that led from there to the goal; 0.5 is the median.
        """
        odds = self.when(torch.cat([latents, goals], dim=-1)).softmax(dim=-1)
        return 1 + (odds.cumsum(dim=-1) < share).sum(dim=-1).clamp_max(self.config.reach - 1)

    def losses(
        self, latents: Tensor, goals: Tensor, actions: Tensor, ahead: Tensor
    ) -> dict[str, Tensor]:
        """Hindsight: what was done is what to propose for what came of it, and when it came.

        Args:
            latents: (B, D).
            goals: (B, D), what was seen `ahead` chunks later.
            actions: (B, H, K * A) from the latents on, standardised.
            ahead: (B,), from 1 to `reach`.
        """
        return {
            "proposals": self.action_loss(latents, goals, actions, ahead),
            "time": self.time_loss(latents, goals, ahead),
        }

    def time_loss(self, latents: Tensor, goals: Tensor, ahead: Tensor) -> Tensor:
        """The cross-entropy of when goals were seen; see `losses`."""
        when = self.when(torch.cat([latents, goals], dim=-1))
        return BESIDE * F.cross_entropy(when.float(), ahead - 1)

    def action_loss(self, latents: Tensor, goals: Tensor, actions: Tensor, ahead: Tensor) -> Tensor:
        """How far proposals are from actions; see `losses`.

        The head that is nearest to it is taught most (multiple choice learning, 1606.07839), so
        that different ways of doing the same do not average; the logits learn which one that is.
        """
        proposed, logits = self(latents, goals, ahead)
        steps = torch.arange(actions.shape[1], device=latents.device)
        counts = (steps < ahead[:, None]).to(proposed.dtype)  # (B, H)
        wrong = (proposed.float() - actions[:, None].float()).square().mean(dim=-1)
        wrong = (wrong * counts[:, None]).sum(dim=-1) / counts.sum(dim=-1)[:, None]  # (B, M)
        return best_taught(wrong, logits)


def best_taught(wrong: Tensor, logits: Tensor) -> Tensor:
    """The loss of heads, given how wrong (B, M) each is: mostly the best head's.

    The logits (B, M) learn which one that is.
    """
    best, which = wrong.min(dim=-1)
    taught = ((1 - SHARED) * best + SHARED * wrong.mean(dim=-1)).mean()
    return taught + BESIDE * F.cross_entropy(logits.float(), which)
