"""What an agent imagines: latents under plans, corrected by what the episode has shown."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..models.world_model import WorldModel
from .chunks import Chunks
from .error_memory import ErrorMemory


def imagine(
    model: WorldModel,
    latents: Tensor,
    candidates: Tensor,
    error_memory: ErrorMemory | None = None,
    chunks: Chunks | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Latents (B, N, H, D) imagined from (B, D) under actions (B, N, H * knots, A).

    The error memory of the B episodes, if given, corrects every chunk by the outcomes of similar
    ones; the distance embeddings (B, N, H, E) computed for that are returned too. Actions fill
    chunks as `chunks` says; by default, one is held for each.
    """
    chunks = chunks or Chunks(model.config.chunk)
    planned = chunks.split(candidates)  # (B, N, H, knots, A)
    filled = chunks.fill(planned)  # (B, N, H, K * A)
    if error_memory is None:
        start = latents[:, None].expand(-1, candidates.shape[1], -1)
        return model.rollout(start, filled), None
    return _walk(model, latents, planned, filled, error_memory, model.predict)


def imagine_heads(
    model: WorldModel,
    latents: Tensor,
    candidates: Tensor,
    error_memory: ErrorMemory | None = None,
    chunks: Chunks | None = None,
    heads: int = 0,
) -> tuple[Tensor, Tensor | None]:
    """What `imagine` does, for every head by itself: (B, heads * N, H, D), the heads outside.

    All heads imagine, or the first ones, if their number is given.
    """
    heads = heads or model.num_heads
    if model.num_heads == 1:
        return imagine(model, latents, candidates, error_memory, chunks)
    chunks = chunks or Chunks(model.config.chunk)
    planned = chunks.split(candidates)
    filled = chunks.fill(planned)

    def predict(latents: Tensor, actions: Tensor) -> Tensor:
        apart = latents.unflatten(1, (heads, -1)).movedim(1, 0)  # (heads, B, N, D)
        alike = actions.unflatten(1, (heads, -1))[:, 0]  # (B, N, K * A)
        return model.predict_heads(apart, alike).movedim(0, 1).flatten(1, 2)

    planned, filled = (each.repeat(1, heads, *(1,) * (each.ndim - 2)) for each in (planned, filled))
    return _walk(model, latents, planned, filled, error_memory, predict)


def _walk(
    model: WorldModel,
    latents: Tensor,
    planned: Tensor,
    filled: Tensor,
    error_memory: ErrorMemory | None,
    predict: Callable[[Tensor, Tensor], Tensor],
) -> tuple[Tensor, Tensor | None]:
    """Chunk after chunk from latents (B, D): latents (B, M, H, D), and their embeddings.

    Args:
        model: embeds latents.
        latents: where the episodes are.
        planned: (B, M, H, knots, A).
        filled: (B, M, H, K * A), the same actions step by step.
        error_memory: corrects every chunk; without it, no embeddings are computed.
        predict: latents (B, M, D) and chunks (B, M, K * A) to the next latents.
    """
    imagined, embedded, latents = [], [], latents[:, None]
    embedding = None if error_memory is None else model.distance_embedding(latents)
    for knots, actions in zip(planned.unbind(dim=2), filled.unbind(dim=2), strict=True):
        latents = predict(latents.expand(-1, actions.shape[1], -1), actions)
        if error_memory is not None and embedding is not None:
            latents = latents + error_memory.correction(model, embedding, knots.flatten(-2))
            embedding = model.distance_embedding(latents)
            embedded.append(embedding)
        imagined.append(latents)
    return torch.stack(imagined, dim=2), torch.stack(embedded, dim=2) if embedded else None


class Imagined:
    """What B problems imagine for one chunk after another, for planners that need more than costs.

    Args:
        model: predicts latents and embeds them.
        error_memory: past outcomes of the B episodes, which correct the predictions.
        chunks: how actions fill chunks.
    """

    def __init__(self, model: WorldModel, error_memory: ErrorMemory | None, chunks: Chunks) -> None:
        self._model, self._error_memory, self._chunks = model, error_memory, chunks

    def step(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Latents (B, N, D) after a chunk in which actions (B, N, A) are held."""
        knots = actions[..., None, :].expand(-1, -1, self._chunks.knots, -1)
        ends = self._model.predict(latents, self._chunks.fill(knots))
        if self._error_memory is None:
            return ends
        embedding = self._model.distance_embedding(latents)
        return ends + self._error_memory.correction(self._model, embedding, knots.flatten(-2))

    def embed(self, latents: Tensor) -> Tensor:
        """Distance embeddings (..., E) of latents (..., D)."""
        return self._model.distance_embedding(latents)

    def distance(self, start: Tensor, end: Tensor) -> Tensor:
        """Learned path lengths (...) in chunks from embeddings (..., E) to others."""
        return self._model.embedding_distance(start, end)

    def near(self, start: Tensor, end: Tensor) -> Tensor:
        """As `distance`, but at little cost, and right within a chunk or so alone."""
        return self._model.near_distance(start, end)
