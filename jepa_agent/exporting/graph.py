"""An agent's whole decision as one module of tensors alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..agent.agent import JEPAAgent
from ..agent.compiled import NotedNoise
from ..agent.search import decide
from ..models.encoders import Fused
from ..planners import ActionBounds, DrawnNoise, Noise, PlannerConfig
from .memory import Memory, MemoryLayout


class DecisionGraph(nn.Module):
    """Encoder, proposals, dynamics, distance and search of an agent, for B environments.

    It is called with the tensors of `inputs`, in that order, and returns those of `outputs`:
    the actions of the next K steps, as the environments take them, and the next memory. Noise is
    an input where the planner samples: standard normal numbers, fresh ones for every decision.

    Args:
        agent: in float32 and on the CPU; it is not changed.
        batch: B, environments that decide together.

    Raises:
        ValueError: if there is nothing to decide for, or the planner is no graph.
    """

    outputs = ("actions", "next_memory")

    def __init__(self, agent: JEPAAgent, batch: int = 1) -> None:
        super().__init__()
        if batch < 1:
            raise ValueError(f"batch must be at least 1, got {batch}; give how many decide at once")
        if agent.seeks_state:
            raise ValueError(
                "goals of an exported agent must be observations, got a state; call "
                "agent.set_goal(None) first"
            )
        config = getattr(agent.planner, "config", None)
        if isinstance(config, PlannerConfig) and config.differentiates:
            raise ValueError(
                "an exported planner must do without gradients, got the planner "
                f"{config.kind}; choose another one, such as --planner mppi"
            )
        self.model, self.agent, self._layout = agent.model, agent, MemoryLayout(agent)
        encoder = agent.model.encoder
        self._fused = encoder if isinstance(encoder, Fused) else None
        shapes = {"": agent.model.config.observation_shape}
        if self._fused is not None:
            shapes = {f"_{name}": shape for name, shape in self._fused.parts.shapes.items()}
        self.inputs: dict[str, Tensor] = {}
        """An example of each input by its name: zeros, but for noise."""
        for role in ("observation", "goal"):
            for name, shape in shapes.items():
                dtype = torch.uint8 if len(shape) == 3 else torch.float32
                self.inputs[role + name] = torch.zeros(batch, *shape, dtype=dtype)
        self._parts = len(shapes)
        self.inputs["memory"] = torch.zeros(batch, self._layout.size)
        asked = NotedNoise(Noise(range(batch)))
        self._decide(tuple(self.inputs.values()), asked)
        for index, shape in enumerate(asked.shapes):
            self.inputs[f"noise_{index}" if index else "noise"] = torch.randn(batch, *shape)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Actions (B, K, ...) and the next memory, see above."""
        known = 2 * self._parts + 1
        noise = DrawnNoise(inputs[known:], len(inputs[0]))
        return self._decide(inputs[:known], noise)

    @torch.no_grad()
    def _decide(self, inputs: tuple[Tensor, ...], noise: Noise) -> tuple[Tensor, Tensor]:
        agent, parts = self.agent, self._parts
        latents, goals = self._encoded(inputs[:parts], inputs[parts : 2 * parts])
        memory = self._layout.read(inputs[-1])
        horizon = agent.planner.horizon
        left = horizon - memory.decisions.long() % horizon
        chunk, found, errors, budget, _ = decide(
            agent, latents, goals, memory.plan, memory.fresh, noise, left, memory.errors,
            budget=memory.budget,
        )  # fmt: skip
        following = Memory(memory.decisions + 1, found.actions, errors, budget)
        steps = chunk.unflatten(-1, (agent.chunks.steps, -1))  # (B, K, A)
        return as_taken(agent.bounds, steps), self._layout.write(following)

    def _encoded(self, seen: tuple[Tensor, ...], goals: tuple[Tensor, ...]) -> Tensor:
        """Latents (2, B, D) of observations and goals, each of one part or of several."""
        both = [torch.stack(pair) for pair in zip(seen, goals, strict=True)]
        if self._fused is None:
            return self.model.encode(both[0])
        flat = [part.flatten(0, 1) for part in both]
        mean, std = self.model.observation_mean, self.model.observation_std
        return self._fused.encode(flat, mean, std).unflatten(0, both[0].shape[:2])


def as_taken(bounds: ActionBounds, rows: Tensor) -> Tensor:
    """Actions (..., *shape) as an environment takes them, of rows (..., A); see `from_rows`."""
    if bounds.categories:
        groups = [group.argmax(dim=-1) for group in rows.split(bounds.categories, dim=-1)]
        rows = torch.stack(groups, dim=-1)
        if bounds.start:
            rows = rows + torch.tensor(bounds.start)
    elif bounds.dtype is not None:
        exact = (rows.round() if bounds.is_whole else rows).double()
        low, high = (torch.tensor(limit, dtype=exact.dtype) for limit in (bounds.low, bounds.high))
        exact = torch.minimum(torch.maximum(exact, low), high)
        rows = exact.to(getattr(torch, bounds.dtype))
    return rows if bounds.shape is None else rows.reshape(*rows.shape[:-1], *bounds.shape)
