"""Mazes never seen, from one image: what the distance knows of them, and how far plans reach.

python scripts/experiments/mazes.py --out runs/mazes

Each step writes its file into the folder and is left out where that is there: data of wanderers in
train mazes, a world model per distance and seed, ranks of its distance, episodes by path length.
With --truth, no model is trained: planners see the true physics and the straight distance.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from torch import Tensor

from jepa_agent import JEPAAgent, Preset, Trajectories, train
from jepa_agent.agent.costs import CostConfig
from jepa_agent.cli.errors import errors_in_one_line
from jepa_agent.envs import physics
from jepa_agent.envs.maze_episodes import MazeEpisodes
from jepa_agent.envs.mazes import MazesConfig, MazesEnv
from jepa_agent.envs.tiles import TileWalls
from jepa_agent.evaluation.diagnostics import spearman
from jepa_agent.evaluation.episodes import play
from jepa_agent.evaluation.metrics import summarise, wilson
from jepa_agent.io.serialisation import write_json
from jepa_agent.models.distances import BlockNormConfig, DistanceHeadConfig
from jepa_agent.models.encoders import PatchCNNConfig
from jepa_agent.planners import ActionBounds, CEMConfig, MPPIConfig, Noise, Subgoals, SubgoalsConfig
from jepa_agent.presets import BASE
from jepa_agent.training.config import RefinementConfig

PATHS = ((1, 4), (5, 8), (9, 12), (13, 16))
"""Fewest and most cells on the way from start to goal."""
DISTANCES: dict[str, DistanceHeadConfig] = {"plain": BlockNormConfig(width=512, depth=2)}
STEP, DISC = 2.45, ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)
LIMIT = 250
"""Steps of an episode."""


@dataclass(frozen=True)
class Args:
    """The size of the experiment."""

    distances: tuple[str, ...] = tuple(DISTANCES)
    seeds: tuple[int, ...] = (0,)
    cells: tuple[int, int] = (4, 6)
    """Fewest and most cells along a side."""
    layouts: int = 1000
    """Train mazes."""
    per_layout: int = 16
    """Episodes of 90 steps in each."""
    steps: int = 1000
    """Steps of joint training; refinement has twice as many."""
    evaluated: int = 50
    """Episodes per path length."""
    paths: tuple[tuple[int, int], ...] = PATHS
    truth: bool = False
    """Plan with the true physics, and a distance that knows no walls."""
    out: Path = Path("runs/mazes")


def main(args: Args) -> None:
    if args.truth:
        rows = []
        for row in truth(args):
            print(row, flush=True)
            rows.append(row)
            write_json(args.out / "truth.json", rows)
        return
    data = once(args.out / "data.h5", partial(wander, args))
    data = Trajectories.load(data)
    for name in args.distances:
        for seed in args.seeds:
            folder = args.out / f"{name}-{seed}"
            once(folder / "agent" / "config.json", partial(learn, args, data, name, seed))
            agent = JEPAAgent.load(folder / "agent", "cpu")
            for title, rows in (("ranks", ranks), ("episodes", episodes)):
                path = once(folder / f"{title}.json", partial(collected, rows, args, agent))
                for row in json.loads(path.read_text()):
                    print(name, seed, row, flush=True)


def once(path: Path, make: Callable[[Path], None]) -> Path:
    """A file, made unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        make(path)
        print(f"{path} after {time.perf_counter() - began:.0f} s", flush=True)
    return path


def collected(rows: Callable[..., Iterator[dict]], args: Args, agent: JEPAAgent, to: Path) -> None:
    write_json(to, list(rows(args, agent)))


def wander(args: Args, path: Path) -> None:
    """Persistent random walks in train mazes, which turn where walls stop them."""
    settings: dict[str, Any] = {"layout": "train", "cells": args.cells, "layouts": args.layouts}
    count, steps = args.layouts * args.per_layout, 90
    world = MazeEpisodes(MazesConfig(obs_type="state", **settings), count)
    rngs = [np.random.default_rng((0, row)) for row in range(count)]
    world.begin(np.arange(count), rngs, None)
    rng = np.random.default_rng(1)
    turn = np.exp(rng.uniform(np.log(0.1), np.log(0.7), count))  # radians
    hold = np.where(rng.random(count) < 0.5, 5, 1)
    heading, length = rng.uniform(-np.pi, np.pi, count), np.ones(count)
    states, actions = [world.place.copy()], []
    for step in range(steps):
        moved = np.linalg.norm(states[-1] - states[max(step - 1, 0)], axis=-1)
        stopped = (moved < 0.3 * 2.45 * length) | (rng.random(count) < 0.03)
        anywhere = rng.uniform(-np.pi, np.pi, count)
        due = step % hold == 0
        bent = np.where(stopped, anywhere, heading + turn * rng.standard_normal(count))
        heading = np.where(due, bent, heading)
        length = np.where(due, np.minimum(1.25 * rng.random(count), 1.0), length)
        action = length[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        actions.append(action.astype(np.float32))
        world.advance(actions[-1], rngs)
        states.append(world.place.copy())
    about = {"env_id": "Mazes-v0", "env_kwargs": settings, "policy": "wander"}
    walks = (np.stack(each, axis=1) for each in (states, actions))
    Trajectories.from_rollouts(*walks, world.layout, about).save(path)


def learn(args: Args, data: Trajectories, name: str, seed: int, path: Path) -> None:
    """Train a world model and save its agent."""
    agent = train(data, preset(args, name, seed), "cpu")
    agent.save(path.parent)


def preset(args: Args, name: str, seed: int) -> Preset:
    """`base` with an encoder that keeps places apart, since walls may be anywhere."""
    encoder = PatchCNNConfig(patch=5, channels=(32, 64), hidden=384)
    return replace(
        BASE,
        model=replace(BASE.model, encoder=encoder, distance_head=DISTANCES[name]),
        training=replace(
            BASE.training,
            steps=args.steps,
            seed=seed,
            diagnose_episodes=0,
            refinement=RefinementConfig(
                steps=2 * args.steps, layouts_per_batch=64, windows_per_layout=16
            ),
        ),
    )


@torch.no_grad()
def ranks(args: Args, agent: JEPAAgent, mazes: int = 40, pairs: int = 64) -> Iterator[dict]:
    """Rank correlation of distances with the exact ones, learned and straight, by path length."""
    for split in ("train", "test"):
        config = MazesConfig(layout=split, cells=args.cells, layouts=args.layouts)
        world, rng = MazesEnv(**asdict(config)), np.random.default_rng(0)
        found: dict[str, list[np.ndarray]] = {"exact": [], "learned": [], "straight": []}
        for number in range(mazes):
            world.reset(seed=number, options={"layout": config.maze(number).layout})
            places = np.stack([world.any_place(rng) for _ in range(2 * pairs)]).astype(np.float32)
            images = world.render_states(places, np.broadcast_to(world.layout, (2 * pairs, 168)))
            latents = agent.model.encode(torch.as_tensor(images))
            starts, goals = places[:pairs], places[pairs:]
            layouts = np.broadcast_to(world.layout, (pairs, 168))
            found["exact"].append(world.shortest_path(starts, goals, layouts))
            found["straight"].append(np.linalg.norm(starts - goals, axis=-1))
            found["learned"].append(agent.model.distance(*latents.chunk(2)).numpy())
        every = {key: np.concatenate(value) for key, value in found.items()}
        groups = {"all": np.ones(len(every["exact"]), bool)}
        for low, high in ((0, 28), (28, 56), (56, 112), (112, 1000)):
            groups[f"{low} to {high} px"] = (every["exact"] >= low) & (every["exact"] < high)
        for group, rows in groups.items():
            yield {"mazes": split, "paths": group, "pairs": int(rows.sum())} | {
                key: round(spearman(every["exact"][rows], every[key][rows]) or 0.0, 3)
                for key in ("learned", "straight")
            }


def planners(agent: JEPAAgent) -> Iterator[tuple[str, JEPAAgent]]:
    """The agent with one planner after the other."""
    for name, planner in (
        ("MPPI 2", MPPIConfig(horizon=2, num_samples=128)),
        ("CEM 4", CEMConfig(horizon=4, num_samples=64)),
        ("subgoals, MPPI 2", SubgoalsConfig(MPPIConfig(horizon=2, num_samples=128))),
    ):
        agent.planner, agent.cost = planner.build(), CostConfig(error_memory=8)
        yield name, agent


def episodes(args: Args, agent: JEPAAgent) -> Iterator[dict]:
    """Success in test mazes by path length, the same tasks for all planners."""
    seeds = range(1_000_000, 1_000_000 + args.evaluated)
    for path in args.paths:
        kwargs = {"layout": "test", "cells": args.cells, "path": path}
        make = partial(agent.env_ref.make, max_episode_steps=LIMIT, **kwargs)
        for name, player in planners(agent):
            row = asdict(
                summarise(name, f"paths of {path[0]} to {path[1]}", play(player, make, seeds))
            )
            print(row, flush=True)
            yield row


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


def truth(args: Args) -> Iterator[dict]:
    """Success in test mazes with the true physics and a straight distance, by path length."""
    lower = MPPIConfig(horizon=2, num_samples=32)
    above = SubgoalsConfig(lower, rounds=20, width=6, branch=6, sure=0.1, near=0.5, doubt=100)
    for path in args.paths:
        world = MazesEnv(layout="test", obs_type="state", cells=args.cells, path=path)
        tasks = []
        for seed in range(args.evaluated):
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


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.cli(Args, description=__doc__))
