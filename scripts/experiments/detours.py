"""Which part of the shipped agent walks detours: the table of docs/experiments/decisions.md.

Tasks of the training layouts are played with one part of the agent swapped for the truth, or with
another way to plan; every row plays the same tasks, so that differences to the first are paired.

$ python scripts/experiments/detours.py --out runs/detours --rows shipped true-both break-off
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import tyro
from torch import Tensor

from jepa_agent import JEPAAgent
from jepa_agent.agent.error_memory import ErrorMemory
from jepa_agent.agent.imagination import imagine
from jepa_agent.agent.replanning import mixed
from jepa_agent.envs import physics, rewards
from jepa_agent.envs.physics import Layout
from jepa_agent.envs.rendering import render
from jepa_agent.envs.tasks import TwoRoomsConfig, sample_tasks
from jepa_agent.io.serialisation import write_json
from jepa_agent.planners import Noise

WORLD = TwoRoomsConfig(layout="train")
NEAR_BORDER = 16
"""Pixels from the middle: these doors are within 6 of the ends of their range."""
LIMIT = 100
"""Steps until a task has failed."""


@dataclass(frozen=True)
class Way:
    """What differs from the shipped agent.

    Args:
        true_physics: plans are imagined by the world's physics, without its noise.
        true_distance: the distance is the shortest path's length; where latents are imagined, it
            begins at the position that the probe reads off them.
        settings: of the planner.
        break_off: a running chunk is broken off that misses its end by more than so many chunks.
        hurried: a held action is played at full speed for as long as it takes, then none.
        every: steps after which it plans anew; before a chunk's end, from the same plan. 0 is at
            the end of a chunk.
    """

    true_physics: bool = False
    true_distance: bool = False
    settings: tuple[tuple[str, float], ...] = ()
    break_off: float | None = None
    every: int = 0
    hurried: bool = False


TRUE = Way(true_physics=True, true_distance=True)
WAYS = {
    "shipped": Way(),
    "true-physics": Way(true_physics=True),
    "true-distance": Way(true_distance=True),
    "true-both": TRUE,
    "true-both-free-actions": replace(TRUE, settings=(("knots", 2),)),
    "true-both-samples-512": replace(TRUE, settings=(("num_samples", 512),)),
    "true-both-every-step": replace(TRUE, every=1),
    "samples-512": Way(settings=(("num_samples", 512),)),
    "break-off": Way(break_off=0.3),
    "every-step": Way(every=1),
    "hurried": Way(hurried=True),
    "true-both-hurried": replace(TRUE, hurried=True),
}


@dataclass(frozen=True)
class Args:
    """What to play."""

    out: Path = Path("runs/detours")
    tasks: int = 200
    seed: int = 7
    rows: tuple[str, ...] = tuple(WAYS)


class Tasks(NamedTuple):
    """Where n tasks stand."""

    layout: np.ndarray
    """(n, 3): wall_x, door_y, door_halfwidth."""
    position: np.ndarray
    """(n, 2) pixels."""
    goal: np.ndarray
    """(n, 2) pixels."""
    latent: Tensor
    """(n, D), of the positions."""
    wanted: Tensor
    """(n, D), of the goals."""

    def rows(self, rows: np.ndarray) -> Tasks:
        return Tasks(*(each[rows] for each in self))


def encoded(agent: JEPAAgent, places: np.ndarray, layouts: np.ndarray) -> Tensor:
    """Latents (..., D) of places (..., 2) in layouts (..., 3)."""
    return agent.model.encode(torch.as_tensor(render(places, Layout.from_array(layouts))))


@torch.no_grad()
def steps_of(way: Way, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps (n,) to the goals, the fewest, and boolean, whether a door is near a border."""
    agent, random = JEPAAgent.load(device="cpu"), np.random.default_rng(seed)
    config: Any = getattr(agent.planner, "config", None)
    agent.planner = replace(config, **dict(way.settings)).build()
    model, chunks, units = agent.model, agent.chunks, agent.bounds.units(like=torch.zeros(()))
    layouts, position, goal = sample_tasks(random.random((count, 6)), WORLD.layout_groups())
    paths = physics.shortest_path(position, goal, Layout.from_array(layouts)).tolist()
    radius, length = WORLD.success_radius, WORLD.step_length
    fewest = np.array([rewards.fewest_steps(path, radius, length) for path in paths])
    near = abs(layouts[:, 1] - physics.CENTRE) >= NEAR_BORDER
    wanted = encoded(agent, goal, layouts)
    tasks = Tasks(layouts, position, goal, torch.zeros_like(wanted), wanted)

    every = way.every or chunks.steps
    steps, elapsed = np.full(count, LIMIT), np.full(count, chunks.steps)
    decision = np.zeros(count, dtype=int)
    plan = units.idle.repeat(count, agent.planner.horizon * chunks.knots, 1)
    actions = torch.zeros(count, chunks.steps, 2)
    width = units.half_width.repeat(chunks.knots) * chunks.knots**0.5
    memory = ErrorMemory.none(model, count, agent.cost.error_memory, width)
    for step in range(LIMIT):
        running = np.flatnonzero(steps == LIMIT)
        if not len(running):
            break
        due = running[elapsed[running] >= every]
        seen = due if way.break_off is None else running
        if len(seen):
            tasks.latent[seen] = encoded(agent, position[seen], layouts[seen])
        if way.break_off is not None:
            missing = model.distance(tasks.latent, memory.expected).numpy()
            missing *= model.config.learned_chunk / chunks.steps  # distances count those
            broken = missing > 1 - elapsed / chunks.steps + way.break_off
            due = running[(elapsed >= every)[running] | broken[running]]
        if len(due):
            rows, knots = torch.as_tensor(due), chunks.knots
            mine, last = tasks.rows(due), plan[due]
            errors = memory.select(rows).observe_outcome(
                model, mine.latent, last[:, :knots].flatten(1), torch.as_tensor(decision[due] == 0)
            )
            cost = cost_of(way, agent, mine, errors)
            noise = Noise([mixed(0, int(row), int(decision[row])) for row in due])
            shift = knots if every == chunks.steps else 0
            warm_start = torch.cat([last[:, shift:], last[:, -1:].expand(-1, shift, -1)], dim=1)
            found = agent.planner.plan(cost, agent.bounds, noise, warm_start).actions
            plan[due] = found
            chunk = chunks.fill(plan[due][:, :knots])
            if way.hurried:
                chunk = hurried(chunk, chunks.steps)
            memory = memory.replaced(rows, errors.expect(model, chunk))
            actions[due] = chunk.unflatten(-1, (chunks.steps, -1))
            elapsed[due] = 0
            decision[due] += 1
        move = actions.numpy()[running, elapsed[running]] * WORLD.step_length
        bounce = WORLD.bounce_noise * random.standard_normal((count, 2))[running]
        walls = Layout.from_array(layouts[running])
        position[running] = physics.step(position[running], move, walls, bounce)
        elapsed[running] += 1
        there = np.linalg.norm(position - goal, axis=-1) <= WORLD.success_radius
        steps[there & (steps == LIMIT)] = step + 1
    return steps, fewest, near


def cost_of(
    way: Way, agent: JEPAAgent, tasks: Tasks, errors: ErrorMemory
) -> Callable[[Tensor], Tensor]:
    """Costs (B, N) in chunks of candidates (B, N, H * knots, 2), some parts of them true."""
    model, chunks = agent.model, agent.chunks
    layout, goal = torch.as_tensor(tasks.layout), torch.as_tensor(tasks.goal)
    ends = model.distance_embedding(tasks.wanted)[:, None, None]

    def walked(candidates: Tensor) -> Tensor:
        """Positions (B, N, H, 2) after every chunk."""
        place = torch.as_tensor(tasks.position)[:, None].expand(-1, candidates.shape[1], -1)
        walls, places = Layout.from_array(layout[:, None]), []
        for chunk in chunks.fill(chunks.split(candidates)).unbind(dim=2):
            for action in chunk.unflatten(-1, (chunks.steps, -1)).unbind(dim=2):
                move = WORLD.step_length * action
                place = physics.step(place, move, walls, torch.zeros_like(place))
            places.append(place)
        return torch.stack(places, dim=2)

    def cost(candidates: Tensor) -> Tensor:
        if way.true_physics:
            places = walked(candidates)
        else:
            latents = imagine(model, tasks.latent, candidates, errors, chunks)[0]
        if way.true_distance:
            places = places if way.true_physics else model.locate(latents).to(goal)
            walls = Layout.from_array(layout[:, None, None])
            paths = physics.shortest_path(places, goal[:, None, None], walls)
            unit = WORLD.step_length * model.config.learned_chunk  # as learned distances count
            return (paths / unit).sum(dim=-1).float()
        if way.true_physics:
            wide = layout[:, None, None].expand(*places.shape[:-1], -1)
            latents = encoded(agent, places.numpy(), wide.numpy())
        return model.embedding_distance(model.distance_embedding(latents), ends).sum(dim=-1)

    return cost


def hurried(chunk: Tensor, steps: int) -> Tensor:
    """Chunks (B, K * 2) of the same sum, at full speed from the start."""
    actions = chunk.unflatten(-1, (steps, -1))
    total = actions.sum(dim=1, keepdim=True)
    length = total.norm(dim=-1, keepdim=True)
    speed = (length - torch.arange(steps)[:, None]).clamp(0, 1)
    return (speed * total / length.clamp_min(1e-6)).flatten(1)


def with_error(values: np.ndarray) -> list[float]:
    """The mean and its standard error."""
    return [float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)]


def main(args: Args) -> None:
    found: dict[str, dict[str, Any]] = {}
    first: np.ndarray | None = None
    for name in args.rows:
        steps, fewest, near = steps_of(WAYS[name], args.tasks, args.seed)
        ratio = steps / fewest
        first = ratio if first is None else first
        found[name] = {
            "arrived": float((steps < LIMIT).mean()),
            "steps_ratio": with_error(ratio),
            "near_border": with_error(ratio[near]),
            "elsewhere": with_error(ratio[~near]),
            "less_the_first": with_error(ratio - first),
        }
        print(name, found[name], flush=True)
        found[name]["steps"] = steps.tolist()
        write_json(args.out / "detours.json", {"tasks": args.tasks, "seed": args.seed, **found})


if __name__ == "__main__":
    main(tyro.cli(Args))
