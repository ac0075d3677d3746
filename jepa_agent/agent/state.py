"""What an agent remembers between decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..planners import Plan
from .error_memory import ErrorMemory
from .outlook import Outlook

if TYPE_CHECKING:
    from .agent import JEPAAgent


@dataclass(frozen=True)
class AgentState:
    """What the agent remembers of n environments between decisions.

    Args:
        actions: (n, K, A), those of the chunks in execution, as the model sees them.
        plan: (n, H * knots, A), the current plans; the first chunk of each is being executed.
        latents: (n, D), where the current chunks began.
        goals: the goals of the last decisions, (n, *observation_shape) or states (n, S).
        goal_latents: the encoded goals (n, D), or the states.
        elapsed: (n,), steps of the current chunk already played.
        episode: (n,), how many episodes each environment has begun.
        decision: (n,), decisions made in the current episode.
        planned: (n,), whether the last call planned.
        environment: (n,), the number of each environment, by which goals set by hand are given.
        error_memory: outcomes of past chunks, if the cost has a memory.
        search: the last call's search result of the environments that planned, for drawing.
        budget: (n,), chunks left of the budgets of risk, see `risk`; NaN before it is chosen.
        outlook: what the last call expects of its new plans, where the model has several heads or
            foresees ends.
        failure: (n,), the calibrated chance that each episode fails, by its last plan; None before
            the agent was calibrated.
    """

    actions: np.ndarray
    plan: Tensor
    latents: Tensor
    goals: np.ndarray
    goal_latents: Tensor
    elapsed: np.ndarray
    episode: np.ndarray
    decision: np.ndarray
    planned: np.ndarray
    environment: np.ndarray
    error_memory: ErrorMemory | None = None
    search: Plan | None = None
    budget: Tensor | None = None
    outlook: Outlook | None = None
    failure: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> AgentState:
        """The memory of some of the environments (k,), in that order, without the last search."""
        index = torch.as_tensor(rows, device=self.plan.device)
        picked: dict[str, Any] = {
            name: value[rows] if isinstance(value, np.ndarray) else value[index]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray | Tensor)
        }
        memory = None if self.error_memory is None else self.error_memory.select(index)
        return AgentState(**picked, error_memory=memory)


def fresh_state(agent: JEPAAgent, goals: np.ndarray) -> AgentState:
    """What an agent remembers before its first decisions, for n goals."""
    model, chunks, count = agent.model, agent.chunks, len(goals)
    evaluates = getattr(getattr(agent.planner, "config", None), "evaluates", True)
    size = agent.cost.error_memory if evaluates else 0
    zeros = np.zeros(count, dtype=np.int64)
    latents = model.observation_mean.new_zeros(count, model.config.latent_dim)
    units = agent.bounds.units(like=torch.zeros((), device=agent.device))
    unit = units.half_width.repeat(chunks.knots) * chunks.knots**0.5  # the mean, as a sum
    return AgentState(
        actions=np.zeros((count, chunks.steps, len(units.idle)), dtype=np.float32),
        plan=units.idle.repeat(count, agent.planner.horizon * chunks.knots, 1),
        latents=latents,
        goals=goals,
        goal_latents=latents.new_zeros(goals.shape) if agent.seeks_state else latents,
        elapsed=zeros,
        episode=zeros,
        decision=zeros,
        planned=zeros.astype(bool),
        environment=np.arange(count),
        error_memory=ErrorMemory.none(model, count, size, unit) if size else None,
        budget=latents.new_full((count,), torch.nan) if agent.cost.risk == "cvar" else None,
    )
