"""Planning costs: how far imagined futures are from the goal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..models.world_model import WorldModel
from ..planners import ActionUnits
from .chunks import Chunks
from .error_memory import ErrorMemory
from .goals import state_cost
from .imagination import imagine_heads
from .risk import tail

DISTANCES = ("learned", "latent")
REDUCTIONS = ("sum", "last", "discounted", "deadline", "arrival")
RISKS = ("neutral", "cvar")
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
        risk: "neutral", the mean over outcomes, or "cvar", half of it and half the mean of the
            worst outcomes, with a budget that is carried along the episode; see `risk`. Outcomes
            are those of the predictor's heads, each of which may end as the model foresees.
        alpha: the share of the worst outcomes; 1 is neutral.
        failure: chunks that an episode counts which ends elsewhere than at its goal.
        slack: how much longer than the first plan's worst outcomes the budget allows, as a share.
        arrival: when to arrive by proposals: when this share of the data was at such a goal. 0.5 is
            the median; who plans for it dallies where the data do. 0.1 is when the quickest were
            there; it is too short where these were lucky, and where a sum wants a whole horizon.
        search_heads: how many of the predictor's heads imagine what a search tries; 0 for all. All
            of them imagine the plan that is found, so with 1 a decision costs about what it costs
            without an ensemble, and what heads disagree about is still known.
    """

    distance: str = "learned"
    near_weight: float = 0.0
    reduction: str = "sum"
    discount: float = 0.9
    action_cost: float = 0.0
    error_memory: int = 0
    risk: str = "neutral"
    alpha: float = 0.2
    failure: float = 40.0
    slack: float = 0.5
    arrival: float = 0.5
    search_heads: int = 0

    def __post_init__(self) -> None:
        choices_of = {"distance": DISTANCES, "reduction": REDUCTIONS, "risk": RISKS}
        for name, choices in choices_of.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        for name in ("arrival", "discount", "alpha"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], got {getattr(self, name)}")
        for name in (
            "near_weight", "action_cost", "error_memory", "failure", "slack", "search_heads"
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        if self.near_weight and self.distance == "latent":
            raise ValueError(
                "near_weight adds to the learned distance, got "
                f"{self.near_weight} with distance 'latent'; leave it out"
            )
        if self.risk == "cvar" and self.search_heads:
            raise ValueError(
                "risk 'cvar' weighs the outcomes of all heads, got search_heads "
                f"{self.search_heads}; set it to 0"
            )
        if self.risk == "cvar" and self.distance == "latent":
            raise ValueError(
                "risk 'cvar' is measured in chunks to the goal, got distance 'latent'; take "
                "distance 'learned'"
            )


class Foresight(NamedTuple):
    """What each head expects of N candidates for B problems."""

    imagined: Tensor
    """(B, heads, N, H, D): latents."""
    arrival: Tensor
    """(B, heads, N): chunks until the goal is reached."""
    ending: Tensor
    """(B, heads, N, H): the chance that the episode ends in a chunk, if it has not before."""

    @property
    def alive(self) -> Tensor:
        """The chance (B, heads, N) that the episode has not ended after the horizon."""
        return (1 - self.ending).prod(dim=-1)

    def outcomes(self, failure: float) -> tuple[Tensor, Tensor]:
        """Costs in chunks and chances (B, N, 2 * heads): each head arrives, or the episode ends."""
        arrival, alive = self.arrival.movedim(1, -1), self.alive.movedim(1, -1)
        costs = torch.cat([arrival, torch.full_like(arrival, failure)], dim=-1)
        return costs, torch.cat([alive, 1 - alive], dim=-1) / arrival.shape[-1]


def disagreement(model: WorldModel, latents: Tensor) -> Tensor:
    """The mean learned path length (B,) from the mean of latents (B, heads, D) to each of them."""
    middle = model.distance_embedding(latents.mean(dim=1, keepdim=True))
    return model.embedding_distance(middle, model.distance_embedding(latents)).mean(dim=1)


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
        budget: (B,), chunks that are left of the episodes' budgets of risk, NaN at their first
            decisions; by default, all are first ones.
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
        budget: Tensor | None = None,
    ) -> None:
        self._model, self._latents, self._config = model, latents, config
        self._distance = "state" if of_state else config.distance
        self._error_memory, self._units, self._chunks = error_memory, units, chunks
        self._left, self._budget = left, budget
        if config.risk == "cvar" and of_state:
            raise ValueError(
                "risk 'cvar' is measured in chunks to the goal, got a goal that is a state; set "
                "an observation as the goal, or cost.risk to 'neutral'"
            )
        self._in_chunks = self._distance == "learned" and (
            config.risk == "cvar" or model.ending is not None
        )
        self._goals = goals[:, None, None]
        self._to_goals: Callable[[Tensor], Tensor] | None = None

    def __call__(self, candidates: Tensor) -> Tensor:
        """Costs (B, N) of candidates (B, N, H * knots, A), differentiable."""
        config = self._config
        heads = min(config.search_heads or self._model.num_heads, self._model.num_heads)
        if self._in_chunks:
            cost = self._risk(self.foresee(candidates, heads))
        else:
            cost = self._reduced(self._distances(*self._imagined(candidates, heads)))
            if heads > 1:
                cost = cost.unflatten(1, (heads, -1)).mean(dim=1)
        if config.action_cost:
            effort = candidates
            if self._units is not None:
                effort = (effort - self._units.idle) / self._units.half_width
            cost = cost + config.action_cost * effort.square().sum(dim=-1).mean(dim=-1)
        return cost

    def foresee(self, candidates: Tensor, heads: int = 0) -> Foresight:
        """What every head, or the first ones, expect of candidates (B, N, H * knots, A)."""
        model, heads = self._model, heads or self._model.num_heads
        imagined, embedding = self._imagined(candidates, heads)
        distance = self._distances(imagined, embedding)  # (B, heads * N, H)
        distance = distance * (model.config.learned_chunk / model.config.chunk)
        chunk = 1.0 + torch.arange(distance.shape[-1], device=distance.device)
        arrival = self._reduced(distance + chunk) / self._reduced(torch.ones_like(distance))
        ending = torch.zeros_like(distance)
        if model.ending is not None:
            chunks = self._chunks or Chunks(model.config.chunk)
            filled = chunks.fill(chunks.split(candidates)).repeat(1, heads, 1, 1)
            first = self._latents[:, None, None].expand(-1, imagined.shape[1], -1, -1)
            starts = torch.cat([first, imagined[:, :, :-1]], dim=2)
            ending = model.chance_of_ending(starts, filled)
            if self._config.reduction in TIMED and self._left is not None:
                ending = ending * (chunk <= self._left[:, None, None])
        found = (imagined, arrival, ending)
        return Foresight(*(each.unflatten(1, (heads, -1)) for each in found))

    def disagreement(self, plans: Tensor) -> Tensor:
        """How far apart (B,) the heads are at the end of plans (B, H * knots, A); see below."""
        heads = self._model.num_heads
        ends = self._imagined(plans[:, None])[0][:, :, -1]  # (B, heads, D)
        return disagreement(self._model, ends) if heads > 1 else ends.new_zeros(len(ends))

    def _risk(self, seen: Foresight) -> Tensor:
        """The cost (B, N) of what is foreseen, in the units of the reduction."""
        config, (costs, chances) = self._config, seen.outcomes(self._config.failure)
        cost = (chances * costs).sum(dim=-1)
        if config.risk == "cvar":
            budget = self._budget
            if budget is None:
                budget = torch.full_like(cost[:, 0], torch.nan)
            left = budget[:, None].expand_as(cost)
            cost = 0.5 * (cost + tail(costs, chances, config.alpha, left))
        return cost * self._reduced(torch.ones_like(seen.ending[:, 0]))

    def _imagined(self, candidates: Tensor, heads: int = 0) -> tuple[Tensor, Tensor | None]:
        """See `imagine_heads`."""
        return imagine_heads(
            self._model, self._latents, candidates, self._error_memory, self._chunks, heads
        )

    def _distances(self, imagined: Tensor, embedding: Tensor | None) -> Tensor:
        """Distances (B, heads * N, H) of imagined latents from the goals."""
        if self._distance == "state":
            return state_cost(self._model, imagined, self._goals)
        if self._distance == "latent":
            return self._apart(imagined)
        if self._to_goals is None:  # a planner may never ask
            goals = self._model.distance_embedding(self._goals)
            self._to_goals = self._model.distance_towards(goals)
        distance = self._to_goals(
            self._model.distance_embedding(imagined) if embedding is None else embedding
        )
        if self._config.near_weight:
            apart = self._apart(imagined)
            distance = distance + self._config.near_weight * apart / (apart + NEAR)
        return distance

    def _reduced(self, distance: Tensor) -> Tensor:
        """What is minimised (B, M) of distances (B, M, H)."""
        config = self._config
        if config.reduction in TIMED and self._left is not None:
            last = (self._left - 1)[:, None, None].expand(-1, distance.shape[1], 1)
            return distance.gather(-1, last)[..., 0]
        if config.reduction in ("last", *TIMED):
            return distance[..., -1]
        if config.reduction == "discounted":
            chunks = torch.arange(distance.shape[-1], device=distance.device)
            return (distance * config.discount**chunks).sum(dim=-1)
        return distance.sum(dim=-1)

    def _apart(self, imagined: Tensor) -> Tensor:
        """The mean squared difference (B, N, H) of latents from the goals."""
        return (imagined - self._goals).square().mean(dim=-1)
