"""Planning costs: how far imagined futures are from the goal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.world_model import WorldModel
from ..planners import ActionUnits
from .chunks import Chunks
from .error_memory import ErrorMemory
from .goals import state_cost

DISTANCES = ("learned", "latent")
REDUCTIONS = ("sum", "last", "discounted", "deadline", "arrival")
TIMED = ("deadline", "arrival")
"""Those that look at one moment, which may come nearer."""
NEAR = 0.1
"""The mean squared difference of latents at which half of `near_weight` is added."""


@dataclass(frozen=True)
class CostConfig:
    """What a planner minimises.

    Args:
        distance: "learned", the learned path length, or "latent", the mean squared difference
            of latents (EB-JEPA's energy).
        near_weight: how many chunks a second term adds at most to the learned length, which
            hardly distinguishes near states: `near_weight * m / (m + NEAR)`, for the mean squared
            difference m of latents.
        reduction: "sum" over the horizon, "last" chunk only, "discounted" sum, or "deadline": the
            distance at a fixed time, which lies a horizon ahead at first, comes nearer by a chunk
            with every decision, and is set anew when it is reached. A detour costs nothing then,
            and arriving is not put off. "arrival" looks when the model's proposals expect to be at
            the goal, at most a horizon ahead; it needs a model that has them, and where goals are
            states it is a deadline.
        discount: per chunk, where `reduction` is "discounted".
        action_cost: weight of the mean squared difference of actions from the idle one, in half
            widths of their box, summed over components.
        error_memory: past chunks of the episode whose outcomes correct the predictions; see
            `ErrorMemory`.
    """

    distance: str = "learned"
    near_weight: float = 0.0
    reduction: str = "sum"
    discount: float = 0.9
    action_cost: float = 0.0
    error_memory: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("distance", DISTANCES), ("reduction", REDUCTIONS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        if not 0 < self.discount <= 1:
            raise ValueError(f"discount must be in (0, 1], got {self.discount}")
        for name in ("near_weight", "action_cost", "error_memory"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        if self.near_weight and self.distance == "latent":
            raise ValueError(
                "near_weight adds to the learned distance, got "
                f"{self.near_weight} with distance 'latent'; leave it out"
            )


class PlanningCost:
    """The cost function of B problems; the current frames and the goals are encoded already.

    Args:
        model: predicts latents and their distance to the goal.
        latents: (B, D) of the current observations.
        goals: (B, D) of the goals.
        config: what to minimise.
        error_memory: past outcomes of the B episodes, which correct the predictions.
        units: what actions are measured in; None for their own.
        chunks: how actions fill chunks; None holds one for each.
        of_state: the goals are states (B, S) in the place of latents; see `state_cost`.
        left: (B,), chunks to the deadline or the arrival; by default, the whole horizon.
    """

    def __init__(
        self,
        model: WorldModel,
        latents: Tensor,
        goals: Tensor,
        config: CostConfig,
        error_memory: ErrorMemory | None = None,
        units: ActionUnits | None = None,
        chunks: Chunks | None = None,
        of_state: bool = False,
        left: Tensor | None = None,
    ) -> None:
        self._model, self._latents, self._config = model, latents, config
        self._distance = "state" if of_state else config.distance
        self._error_memory, self._units, self._chunks = error_memory, units, chunks
        self._left = left
        self._goals = goals[:, None, None]
        if self._distance == "learned":
            self._embedded_goals = model.distance_embedding(goals)[:, None, None]

    def __call__(self, candidates: Tensor) -> Tensor:
        """Costs (B, N) of candidates (B, N, H * knots, A), differentiable."""
        config = self._config
        imagined, embedding = imagine(
            self._model, self._latents, candidates, self._error_memory, self._chunks
        )
        if self._distance == "state":
            distance = state_cost(self._model, imagined, self._goals)
        elif self._distance == "learned":
            distance = self._model.embedding_distance(
                self._model.distance_embedding(imagined) if embedding is None else embedding,
                self._embedded_goals,
            )
            if config.near_weight:
                apart = self._apart(imagined)
                distance = distance + config.near_weight * apart / (apart + NEAR)
        else:
            distance = self._apart(imagined)
        if config.reduction in TIMED and self._left is not None:
            last = (self._left - 1)[:, None, None].expand(-1, distance.shape[1], 1)
            cost = distance.gather(-1, last)[..., 0]
        elif config.reduction in ("last", *TIMED):
            cost = distance[..., -1]
        elif config.reduction == "discounted":
            chunks = torch.arange(distance.shape[-1], device=distance.device)
            cost = (distance * config.discount**chunks).sum(dim=-1)
        else:
            cost = distance.sum(dim=-1)
        if config.action_cost:
            effort = candidates
            if self._units is not None:
                effort = (effort - self._units.idle) / self._units.half_width
            cost = cost + config.action_cost * effort.square().sum(dim=-1).mean(dim=-1)
        return cost

    def _apart(self, imagined: Tensor) -> Tensor:
        """The mean squared difference (B, N, H) of latents from the goals."""
        return (imagined - self._goals).square().mean(dim=-1)


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
    imagined, embedded, latents = [], [], latents[:, None]
    embedding = model.distance_embedding(latents)
    for knots, actions in zip(planned.unbind(dim=2), filled.unbind(dim=2), strict=True):
        start = latents.expand(-1, actions.shape[1], -1)
        latents = model.predict(start, actions)
        latents = latents + error_memory.correction(model, embedding, knots.flatten(-2))
        embedding = model.distance_embedding(latents)
        imagined.append(latents)
        embedded.append(embedding)
    return torch.stack(imagined, dim=2), torch.stack(embedded, dim=2)
