"""Subgoals with the true physics, and a distance that knows no walls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from jepa_agent.envs import physics
from jepa_agent.envs.mazes import MazesEnv
from jepa_agent.envs.tiles import TileWalls
from jepa_agent.evaluation.metrics import wilson
from jepa_agent.planners import ActionBounds, MPPIConfig, Noise, Subgoals, SubgoalsConfig

STEP, DISC = 2.45, ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)


class Walk:
    """Points among walls as a model: latents are places, and the distance is straight."""

    def __init__(self, layouts: np.ndarray) -> None:
        self._walls = TileWalls.from_array(torch.as_tensor(layouts)[:, None])

    def step(self, latents: Tensor, actions: Tensor) -> Tensor:
        """See `Imagination`."""
        for _ in range(5):
            still = torch.zeros_like(latents)
            latents = physics.step(latents, STEP * actions, self._walls, still)
        return latents

    def embed(self, latents: Tensor) -> Tensor:
        """See `Imagination`."""
        return latents / (5 * STEP)

    def distance(self, start: Tensor, end: Tensor) -> Tensor:
        """See `Imagination`."""
        return (start - end).norm(dim=-1)

    near = distance

    def cost(self, here: Tensor, aims: Tensor) -> Callable[[Tensor], Tensor]:
        """Chunks to the aims, summed over the horizon."""

        def cost(candidates: Tensor) -> Tensor:
            points = here[:, None].expand(-1, candidates.shape[1], -1)
            total = torch.zeros(candidates.shape[:2])
            for chunk in candidates.unbind(dim=2):
                points = self.step(points, chunk)
                total = total + self.distance(self.embed(points), self.embed(aims)[:, None])
            return total

        return cost


def truth(
    paths: Sequence[tuple[int, int]], cells: tuple[int, int], episodes: int
) -> Iterator[dict]:
    """Success in test mazes of so many cells a side, by path length in cells."""
    lower = MPPIConfig(horizon=2, num_samples=32)
    above = SubgoalsConfig(lower, rounds=20, width=6, branch=6, sure=0.1, near=0.5, doubt=100)
    for path in paths:
        world = MazesEnv(layout="test", obs_type="state", cells=cells, path=path)
        tasks = []
        for seed in range(episodes):
            info = world.reset(seed=1_000_000 + seed)[1]
            tasks.append((info["state"], info["goal"], world.layout, world.fewest_steps()))
        starts, goals, layouts, fewest = (np.stack(each) for each in zip(*tasks, strict=True))
        chunks = int(np.ceil(fewest.max() / 5 * 1.6)) + 3
        for name, config in (("MPPI 2", lower), ("subgoals, MPPI 2", above)):
            planner, walk = config.build(), Walk(layouts)
            here, wanted = torch.as_tensor(starts), torch.as_tensor(goals)
            plan, arrived = torch.zeros(len(here), 2, 2), torch.zeros(len(here), dtype=torch.bool)
            for decision in range(chunks):
                noise = Noise([1000 * row + decision for row in range(len(here))])
                aims = wanted
                if isinstance(planner, Subgoals):
                    aims = planner.aim(walk, here, wanted, DISC, noise)
                plan = planner.plan(walk.cost(here, aims), DISC, noise, plan).actions
                here = walk.step(here[:, None], plan[:, :1])[:, 0]
                arrived |= (here - wanted).norm(dim=-1) <= 2.0
            low, high = wilson(int(arrived.sum()), len(arrived))
            yield {
                "paths": f"{path[0]} to {path[1]}",
                "planner": name,
                "episodes": len(arrived),
                "decisions": chunks,
                "success": float(arrived.float().mean()),
                "low": low,
                "high": high,
            }
