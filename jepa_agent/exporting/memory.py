"""What an agent remembers of an episode, as a row of numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..agent.agent import JEPAAgent
from ..agent.error_memory import ErrorMemory
from ..agent.state import fresh_state


class Memory(NamedTuple):
    """What B episodes remember between decisions; rows of zeros are new episodes."""

    decisions: Tensor
    """(B,), decisions made."""
    plan: Tensor
    """(B, H * knots, A), the last plans."""
    errors: ErrorMemory | None
    """Outcomes of past chunks, if the cost has a memory."""
    budget: Tensor | None
    """(B,), chunks left of the budgets of risk, if the cost has some."""

    @property
    def fresh(self) -> Tensor:
        """(B,) boolean, whether the episode has just begun."""
        return self.decisions == 0


class MemoryLayout:
    """Where everything lies in a row of an agent's memory.

    Args:
        agent: whose memory it is.
    """

    def __init__(self, agent: JEPAAgent) -> None:
        state = fresh_state(agent, np.zeros((1, 1)))
        self._plan, self._empty = state.plan.shape[1:], state.error_memory
        self._errors = [each.shape[1:] for each in (self._empty or ())[:-1]]
        self._has_budget = state.budget is not None
        errors = (shape.numel() for shape in self._errors)
        self._sizes = [1, self._plan.numel(), *errors, int(self._has_budget)]

    @property
    def size(self) -> int:
        """Numbers of a row."""
        return sum(self._sizes)

    def read(self, rows: Tensor) -> Memory:
        """The memory of rows (B, size)."""
        decisions, plan, *rest, budget = rows.split(self._sizes, dim=1)
        errors = None
        if self._empty is not None:
            pairs = zip(rest, self._errors, strict=True)
            parts = [part.reshape(len(rows), *shape) for part, shape in pairs]
            errors = ErrorMemory(*[*parts, self._empty.half_width.expand(len(rows), -1)])
        plan = plan.reshape(len(rows), *self._plan)
        return Memory(decisions[:, 0], plan, errors, budget[:, 0] if self._has_budget else None)

    def write(self, memory: Memory) -> Tensor:
        """Rows (B, size)."""
        parts = [memory.decisions[:, None], memory.plan]
        if memory.errors is not None:
            parts += memory.errors[:-1]  # the last is the unit of actions, which is always the same
        if memory.budget is not None:
            parts.append(memory.budget[:, None])
        return torch.cat([part.flatten(1).to(memory.plan) for part in parts], dim=1)
