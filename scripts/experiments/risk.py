"""Failures against steps in a dangerous Two Rooms: the table of docs/experiments/risk.md.

$ python scripts/experiments/risk.py --out runs/risk
$ python scripts/experiments/risk.py --out runs/risk --true-ends    # the foresight is the truth

Every training and every row is written as it is done, and not done again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tyro

import jepa_agent
from jepa_agent import JEPAAgent
from jepa_agent.experiments.risk import PRESET, WAYS, dangerous_data, draw, measured, pooled
from jepa_agent.io.serialisation import write_json
from jepa_agent.training.loop import Progress


@dataclass(frozen=True)
class Args:
    """What to train and to play."""

    out: Path = Path("runs/risk")
    """A folder for agents, rows.json, table.json and risk.png."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """A training for each."""
    episodes: int = 500
    """How many a row has, the same for all rows."""
    steps: int = PRESET.training.steps
    """How many joint training takes; refinement takes three times as many."""
    alphas: tuple[float, ...] = ()
    """Levels to play; by default all."""
    true_ends: bool = False
    """Play with the world's own chance of an end in the place of the network's."""


def show(progress: Progress, _: JEPAAgent) -> None:
    print(progress.step, progress.losses, flush=True)


def agent_of(args: Args, seed: int, trained: bool) -> JEPAAgent:
    """The agent of a training, which is resumed where it was interrupted."""
    folder = args.out / f"seed{seed}"
    if trained:
        return JEPAAgent.load(folder, "cpu")
    refinement = replace(PRESET.training.refinement, steps=3 * args.steps)
    training = replace(PRESET.training, seed=seed, steps=args.steps, refinement=refinement)
    preset = replace(PRESET, training=training)
    return jepa_agent.train(dangerous_data(seed), preset, "cpu", folder=folder, callbacks=[show])


def main(args: Args) -> None:
    path = args.out / "rows.json"
    found: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    ways = [replace(way, true_ends=args.true_ends) for way in WAYS]
    ways = [way for way in ways if way.alpha in args.alphas or not args.alphas]
    for seed in args.seeds:
        wanted = {way: {"seed": seed, **asdict(way), "episodes": args.episodes} for way in ways}
        left = [
            way
            for way, which in wanted.items()
            if not any(which.items() <= row.items() for row in found)
        ]
        trained = any(row["seed"] == seed for row in found)
        agent = agent_of(args, seed, trained) if left else None
        for way in left:
            assert agent is not None
            seeds = range(1_000_000, 1_000_000 + args.episodes)
            found.append({"seed": seed, **measured(agent, way, seeds)})
            print(pooled(found[-1:]), flush=True)
            write_json(path, found)
    names = dict.fromkeys(row["way"] for row in found)
    table = [pooled([row for row in found if row["way"] == name]) for name in names]
    write_json(args.out / "table.json", table)
    draw(table, args.out / "risk.png")


if __name__ == "__main__":
    main(tyro.cli(Args))
