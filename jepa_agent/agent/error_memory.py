"""Learning within an episode: the model's past errors correct similar predictions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..models.world_model import WorldModel

NEAR_DISTANCE, NEAR_ACTION = 1.0, 1.0
"""How far corrections reach: path length in chunks, and norm of the actions' difference in half
widths of their box."""


class ErrorMemory(NamedTuple):
    """The last M chunks of n episodes, and the errors of the model's predictions for them.

    An agent whose model predicts a path through a wall would plan that path again and again. So
    the model's errors are added to similar predictions, by a kernel regression that is empty at
    the start of an episode.
    """

    latent: Tensor
    """(n, D): where the current chunk began."""
    expected: Tensor
    """(n, D): the model's own prediction of where it ends."""
    starts: Tensor
    """(n, M, E): distance embeddings of where past chunks began."""
    actions: Tensor
    """(n, M, A): their actions, all knots of a chunk in a row."""
    errors: Tensor
    """(n, M, D): the latent that they ended in, minus the predicted one."""
    known: Tensor
    """(n, M): 1 where there is a past chunk, 0 where there is none yet."""
    half_width: Tensor
    """(n, A): the unit of actions."""

    @classmethod
    def none(cls, model: WorldModel, count: int, size: int, half_width: Tensor) -> ErrorMemory:
        """An empty memory for `count` new episodes.

        Args:
            model: the world model.
            count: n.
            size: room for M chunks.
            half_width: (A,), the unit of each number of a chunk's actions.
        """
        config, like = model.config, model.observation_mean
        shapes = (
            (config.latent_dim,),
            (config.latent_dim,),
            (size, model.distance_head.dim),
            (size, len(half_width)),
            (size, config.latent_dim),
            (size,),
        )
        empty = [like.new_zeros(count, *shape) for shape in shapes]
        return cls(*[*empty, half_width.to(like).expand(count, -1)])

    def select(self, rows: Tensor) -> ErrorMemory:
        """The memory of some of the episodes (k,), in that order."""
        return ErrorMemory(*(each[rows] for each in self))

    def replaced(self, rows: Tensor, others: ErrorMemory) -> ErrorMemory:
        """A copy in which the memory of some of the episodes (k,) is replaced."""
        pairs = zip(self, others, strict=True)
        return ErrorMemory(*(mine.index_copy(0, rows, other) for mine, other in pairs))

    def observe_outcome(
        self, model: WorldModel, latents: Tensor, actions: Tensor, fresh: Tensor
    ) -> ErrorMemory:
        """A copy with the chunk that has just ended.

        Args:
            model: the world model.
            latents: (n, D), the current latents.
            actions: (n, A), the chunk's actions.
            fresh: (n,) boolean, whether an episode has just begun; its memory is empty.
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
        known = known * ~fresh[:, None]
        return ErrorMemory(latents, latents, starts, past, errors, known, self.half_width)

    def expect(self, model: WorldModel, chunk: Tensor) -> ErrorMemory:
        """A copy with the model's prediction for the next chunk, of all its actions (n, K * A)."""
        return self._replace(expected=model.predict(self.latent, chunk))

    def correction(self, model: WorldModel, embedding: Tensor, actions: Tensor) -> Tensor:
        """What to add to the model's predictions.

        Args:
            model: the world model.
            embedding: (n, N, E) or (n, 1, E), distance embeddings of where N chunks begin.
            actions: (n, N, A), the actions of these chunks.

        Returns:
            (n, N, D): errors weighted by nearness in distance and action; the weights sum to at
            most 1, and to about 0 far from all past chunks.
        """
        here, there = embedding[:, :, None], self.starts[:, None]
        distance = torch.maximum(  # near both ways: a one-way passage parts what it joins
            model.near_distance(here, there), model.near_distance(there, here)
        )  # (n, N, M)
        turn = (actions[:, :, None] - self.actions[:, None]) / self.half_width[:, None, None]
        near = (
            torch.exp(
                -(distance / NEAR_DISTANCE).square() - turn.square().sum(dim=-1) / NEAR_ACTION**2
            )
            * self.known[:, None]
        )
        return near / near.sum(dim=-1, keepdim=True).clamp_min(1.0) @ self.errors
