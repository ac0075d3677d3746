"""What an agent learns within an episode: where imagination erred, and corrections near there."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..models.world_model import WorldModel

NEAR_WAY, NEAR_ACTION = 1.0, 1.0
"""How far corrections reach: chunks of way, and the norm of a difference of actions."""


class ErrorMemory(NamedTuple):
    """The last M chunks of n episodes, and how far imagination was from what came of them.

    An agent whose model lets it through a wall plans the same again as long as it stands there.
    So every outcome that was not foreseen is added to what is imagined nearby: a kernel
    regression of the model's errors, empty at the start of an episode.
    """

    latent: Tensor
    """(n, D): where the current chunk began."""
    expected: Tensor
    """(n, D): where the model alone sees it end."""
    starts: Tensor
    """(n, M, E): value embeddings of where past chunks began."""
    actions: Tensor
    """(n, M, A): the actions held in them."""
    errors: Tensor
    """(n, M, D): the latent that they ended in, less the one imagined."""
    known: Tensor
    """(n, M): 1 where there is such a chunk, 0 where not."""

    @classmethod
    def none(cls, model: WorldModel, count: int, size: int) -> ErrorMemory:
        """That of `count` episodes that have not begun, with room for `size` chunks."""
        config, like = model.config, model.observation_mean
        shapes = (
            (config.latent_dim,),
            (config.latent_dim,),
            (size, model.distance_head.dim),
            (size, config.action_dim),
            (size, config.latent_dim),
            (size,),
        )
        return cls(*(like.new_zeros(count, *shape) for shape in shapes))

    def select(self, rows: Tensor) -> ErrorMemory:
        """That of some of the episodes (k,), in that order."""
        return ErrorMemory(*(each[rows] for each in self))

    def replaced(self, rows: Tensor, others: ErrorMemory) -> ErrorMemory:
        """A copy in which some of the episodes (k,) have another error_memory."""
        pairs = zip(self, others, strict=True)
        return ErrorMemory(*(mine.index_copy(0, rows, other) for mine, other in pairs))

    def observe_outcome(
        self, model: WorldModel, latents: Tensor, actions: Tensor, fresh: Tensor
    ) -> ErrorMemory:
        """With the chunk that has just ended.

        Args:
            model: the world model.
            latents: (n, D), where the agent is.
            actions: (n, A), what it held in the chunk.
            fresh: (n,) boolean, whose episode has just begun: they know nothing.
        """
        new = (
            model.distance_embedding(self.latent),
            actions,
            latents - self.expected,
            torch.ones_like(fresh),
        )
        old = (self.starts, self.actions, self.errors, self.known)
        starts, past, errors, known = (
            torch.cat([before[:, 1:], now[:, None].to(before.dtype)], dim=1)
            for before, now in zip(old, new, strict=True)
        )
        return ErrorMemory(latents, latents, starts, past, errors, known * ~fresh[:, None])

    def expect(self, model: WorldModel, actions: Tensor) -> ErrorMemory:
        """With what the model expects of the chunk that begins, under held actions (n, A)."""
        held = actions.repeat(1, model.config.chunk)
        return self._replace(expected=model.predict(self.latent, held))

    def correction(self, model: WorldModel, embedding: Tensor, actions: Tensor) -> Tensor:
        """What to add to the model's predictions.

        Args:
            model: the world model.
            embedding: (n, N, E), value embeddings of where N candidate chunks begin, or (n, 1, E).
            actions: (n, N, A), held in them.

        Returns:
            (n, N, D): errors weighted by their nearness in way and action; the sum of weights is
            at most 1, so far from all that is known nothing is added.
        """
        way = model.embedding_distance(embedding[:, :, None], self.starts[:, None])  # (n, N, M)
        turn = (actions[:, :, None] - self.actions[:, None]).square().sum(dim=-1)
        near = torch.exp(-(way / NEAR_WAY).square() - turn / NEAR_ACTION**2) * self.known[:, None]
        return near / near.sum(dim=-1, keepdim=True).clamp_min(1.0) @ self.errors
