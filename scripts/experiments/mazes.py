"""Mazes never seen, from one image: what the distance knows of them, and how far plans reach.

python scripts/experiments/mazes.py --out runs/mazes

Each step writes its file into the folder and is left out where that is there: data of wanderers in
train mazes, a world model per kind and seed, ranks of its distance, episodes by path length.
With --truth, no model is trained: planners see the true physics and the straight distance.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from mazes import sac
from mazes.files import once, show
from mazes.truth import truth

from jepa_agent import JEPAAgent, Preset, Trajectories, train
from jepa_agent.agent.costs import CostConfig
from jepa_agent.cli.errors import errors_in_one_line
from jepa_agent.envs.maze_episodes import MazeEpisodes
from jepa_agent.envs.mazes import MazesConfig, MazesEnv
from jepa_agent.evaluation.diagnostics import spearman
from jepa_agent.evaluation.episodes import Policy, measure_latency, play
from jepa_agent.evaluation.metrics import summarise
from jepa_agent.io.serialisation import write_json
from jepa_agent.models.encoders import PatchCNNConfig
from jepa_agent.models.proposals import ProposalsConfig
from jepa_agent.planners import CEMConfig, MPPIConfig, PlannerConfig, ReactiveConfig, SubgoalsConfig
from jepa_agent.presets import BASE, MAPS

PATHS = ((5, 8), (9, 12), (13, 16))
"""Fewest and most cells on the way from start to goal."""
SIDES = ((4, 6), (7, 8))
"""Fewest and most cells along a side of test mazes."""
PLAIN = replace(
    BASE,
    model=replace(BASE.model, encoder=PatchCNNConfig(patch=5, channels=(32, 64), hidden=384)),
)
"""`base` with an encoder that keeps places apart, since walls may be anywhere."""
CONTROLLED = replace(MAPS, model=replace(MAPS.model, proposals=ProposalsConfig(heads=1)))
"""`maps` with an inverse model on its frozen latents (GC-IDM, 2605.08732), played as a control."""
MODELS = {"maps": CONTROLLED, "plain": PLAIN}
FAR_SIGHTED = MPPIConfig(horizon=2, num_samples=128)
PLAYERS: dict[str, dict[str, tuple[PlannerConfig, CostConfig]]] = {
    "maps": {
        "MPPI 1": (MAPS.planner, MAPS.cost),
        "GC-IDM": (ReactiveConfig(horizon=1), MAPS.cost),
    },
    "plain": {
        "MPPI 2": (FAR_SIGHTED, BASE.cost),
        "CEM 4": (CEMConfig(horizon=4, num_samples=64), BASE.cost),
        "subgoals, MPPI 2": (SubgoalsConfig(FAR_SIGHTED), BASE.cost),
    },
}
"""By model, who plays: planners and costs."""
SAC = "sac_her"
"""In place of a model: a policy that learns in train mazes, and is told states and walls."""
LIMIT = 250
"""Steps of an episode."""


@dataclass(frozen=True)
class Args:
    """The size of the experiment."""

    models: tuple[str, ...] = tuple(MODELS)
    seeds: tuple[int, ...] = (0,)
    cells: tuple[int, int] = (4, 8)
    """Fewest and most cells along a side."""
    layouts: int = 1000
    """Train mazes."""
    per_layout: int = 4
    """Episodes of 90 steps in each."""
    steps: int = MAPS.training.steps
    """Steps of joint training."""
    refinement: int = MAPS.training.refinement.steps
    """Steps of refinement."""
    interaction: int = 200_000
    """Steps in mazes of SAC+HER."""
    bfloat16: bool = False
    """Train in bfloat16 on a CPU too, which pays where it has instructions for it."""
    evaluated: int = 50
    """Episodes per path length."""
    paths: tuple[tuple[int, int], ...] = PATHS
    truth: bool = False
    """Plan with the true physics, and a distance that knows no walls."""
    out: Path = Path("runs/mazes")


def main(args: Args) -> None:
    if args.truth:
        rows = []
        for row in truth(args.paths, args.cells, args.evaluated):
            print(row, flush=True)
            rows.append(row)
            write_json(args.out / "truth.json", rows)
        return
    data = Trajectories.load(once(args.out / "data.h5", partial(wander, args)))
    for seed, name in itertools.product(args.seeds, args.models):
        folder = args.out / f"{name}-{seed}"
        if name == SAC:
            train_mazes = {"layout": "train", "cells": args.cells, "layouts": args.layouts}
            policy = sac.learned(train_mazes, args.interaction, seed, folder / "policy")
            play_suites(args, folder, "SAC+HER", policy, sac.make)
            continue
        once(folder / "agent" / "done", partial(learn, args, data, name, seed))
        agent = JEPAAgent.load(folder / "agent", "cpu")
        show(once(folder / "ranks.json", partial(write_ranks, args, agent)))
        for player, (planner, cost) in PLAYERS[name].items():
            agent.planner, agent.cost = planner.build(), cost
            play_suites(args, folder, player, agent, agent.env_ref.make)


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
    states, actions = [world.position.copy()], []
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
        states.append(world.position.copy())
    about = {"env_id": "Mazes-v0", "env_kwargs": settings, "policy": "wander"}
    walks = (np.stack(each, axis=1) for each in (states, actions))
    Trajectories.from_rollouts(*walks, world.layout, about).save(path)


def learn(args: Args, data: Trajectories, name: str, seed: int, path: Path) -> None:
    """Train a world model and save its agent; a training that was interrupted goes on."""
    train(data, preset(args, name, seed), "cpu", folder=path.parent)
    path.touch()


def preset(args: Args, name: str, seed: int) -> Preset:
    """What a model learns by, in as many steps as asked for."""
    training = MODELS[name].training
    return replace(
        MODELS[name],
        training=replace(
            training,
            steps=args.steps,
            seed=seed,
            bfloat16=args.bfloat16 or None,
            diagnose_episodes=0,
            refinement=replace(training.refinement, steps=args.refinement),
        ),
    )


@torch.no_grad()
def ranks(args: Args, agent: JEPAAgent, mazes: int = 40, pairs: int = 64) -> list[dict]:
    """Rank correlation of distances with the exact ones, learned and straight, by path length."""
    rows = []
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
        for group, chosen in groups.items():
            rows.append(
                {"mazes": split, "paths": group, "pairs": int(chosen.sum())}
                | {
                    key: round(spearman(every["exact"][chosen], every[key][chosen]) or 0.0, 3)
                    for key in ("learned", "straight")
                }
            )
    return rows


def write_ranks(args: Args, agent: JEPAAgent, to: Path) -> None:
    write_json(to, ranks(args, agent))


def suites(args: Args) -> dict[str, dict[str, Any]]:
    """Settings of the worlds that are played, none of whose mazes was learned from."""
    return {
        f"{side[0]} to {side[1]} a side, paths of {path[0]} to {path[1]}": {
            "layout": "test", "cells": side, "path": path,
        }
        for side, path in itertools.product(SIDES, args.paths)
    } | {"larger or thinner": {"layout": "ood"}}  # fmt: skip


def play_suites(
    args: Args, folder: Path, player: str, policy: Policy, make: Callable[..., gym.Env]
) -> None:
    """Play the suites that the folder has no file of."""
    for suite, settings in suites(args).items():
        path = folder / f"{player}, {suite}.json".replace(" ", "-")
        world = partial(make, **settings, max_episode_steps=LIMIT, terminate_on_success=True)
        show(once(path, partial(play_suite, args, policy, player, suite, world)))


def play_suite(
    args: Args, policy: Policy, player: str, suite: str, make: Callable[[], gym.Env], to: Path
) -> None:
    """Success in a suite, the same tasks for all players, and milliseconds a decision."""
    played = play(policy, make, range(1_000_000, 1_000_000 + args.evaluated))
    write_json(to, [asdict(summarise(player, suite, played, measure_latency(policy, make)))])


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.cli(Args, description=__doc__))
