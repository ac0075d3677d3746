"""The search compiled as a whole, with plans that stay what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..device import check_compiler
from ..planners import DrawnNoise, Noise, Plan, Trace, check_costs
from .error_memory import ErrorMemory
from .search import search

if TYPE_CHECKING:
    from .agent import JEPAAgent


class NotedNoise(Noise):
    """Numbers of another source, and a note of what was asked of it."""

    def __init__(self, source: Noise) -> None:
        self._source = source
        self.shapes: list[tuple[int, ...]] = []

    def __len__(self) -> int:
        return len(self._source)

    def normal(self, *shape: int, like: Tensor) -> Tensor:
        """See `Noise`."""
        self.shapes.append(shape)
        return self._source.normal(*shape, like=like)


class CompiledSearch:
    """An agent's search, faster from its third call with tensors of the same shapes on.

    Random numbers are drawn before it and costs checked after it, so that the search itself is one
    graph; its first call with other shapes notes which numbers it needs. Plans are copied, so that
    they can be kept. On a GPU, `Replayed` launches its kernels as a whole.

    Args:
        agent: the agent, with any planner.

    Raises:
        ValueError: if this machine has no compiler.
    """

    def __init__(self, agent: JEPAAgent) -> None:
        check_compiler(agent.device)
        self._agent, self._planner = agent, agent.planner
        self._fast = torch.compile(self._whole, dynamic=False)
        self._shapes: dict[torch.Size, list[tuple[int, ...]]] = {}

    def __call__(
        self,
        latents: Tensor,
        goals: Tensor,
        warm_start: Tensor,
        noise: Noise,
        left: Tensor,
        memory: ErrorMemory | None = None,
        budget: Tensor | None = None,
    ) -> Plan:
        """Plan; see `search`."""
        if self._planner is not self._agent.planner:
            self._planner = self._agent.planner
            self._shapes.clear()
        if warm_start.shape not in self._shapes:
            noted = NotedNoise(noise)
            plan = search(self._agent, latents, goals, warm_start, noted, left, memory, budget)
            self._shapes[warm_start.shape] = noted.shapes
            return plan
        shapes = self._shapes[warm_start.shape]
        numbers = [noise.normal(*shape, like=warm_start) for shape in shapes]
        given = (latents, goals, warm_start, numbers, left, memory, budget)
        actions, cost, trace = self._fast(*given)
        check_costs(trace.costs)
        copies = (tuple(each.clone() for each in found) for found in trace)
        return Plan(actions.clone(), cost.clone(), Trace(*copies))

    def _whole(
        self,
        latents: Tensor,
        goals: Tensor,
        warm_start: Tensor,
        numbers: list[Tensor],
        left: Tensor,
        memory: ErrorMemory | None,
        budget: Tensor | None,
    ) -> Plan:
        noise = DrawnNoise(numbers, len(warm_start))
        return search(self._agent, latents, goals, warm_start, noise, left, memory, budget)
