"""Two Rooms with a distractor in its pictures: train on the fixed layout, and evaluate.

python scripts/experiments/distractors.py --world blobs --out runs/blobs

The table of docs/experiments/distractors.md is made of what it prints.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from jepa_agent import train
from jepa_agent.cli.console import TrainingDisplay, resumable
from jepa_agent.cli.errors import errors_in_one_line
from jepa_agent.envs import CollectConfig
from jepa_agent.evaluation.diagnostics import diagnose
from jepa_agent.evaluation.episodes import play
from jepa_agent.evaluation.metrics import summarise
from jepa_agent.experiments.distractors import DISTRACTED, distracted
from jepa_agent.presets import QUICK


@dataclass(frozen=True)
class Args:
    """What is trained, and where to."""

    world: Literal["none", "noise", "blobs"] = "blobs"
    preset: Literal["quick", "distracted"] = "distracted"
    steps: int = DISTRACTED.training.steps
    windows: int = DISTRACTED.training.windows_per_layout
    episodes: int = 4000
    """Episodes to learn from."""
    evaluated: int = 64
    seed: int = 0
    out: Path = Path("runs/distractors")


def main(args: Args) -> None:
    preset = {"quick": QUICK, "distracted": DISTRACTED}[args.preset]
    training = replace(
        preset.training, steps=args.steps, windows_per_layout=args.windows, seed=args.seed,
        diagnose_episodes=0,
    )  # fmt: skip
    data = distracted(CollectConfig("mixed", "fixed", episodes=args.episodes), args.world)
    held_out = distracted(CollectConfig("mixed", "fixed", 64, 60, seed=10_000), args.world)
    with resumable(args.out), TrainingDisplay(" px") as display:
        agent = train(
            data, replace(preset, training=training), folder=args.out, held_out=held_out,
            callbacks=[display],
        )  # fmt: skip
    found = diagnose(agent, data, held_out)
    seeds = range(1_000_000, 1_000_000 + args.evaluated)
    episodes = play(agent, lambda: agent.env_ref.make(terminate_on_success=False), seeds)
    print({name: round(found.state_r2[name], 3) for name in ("x", "y")}, found.rank_correlations)
    print(summarise("agent", args.world, episodes))


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.cli(Args, description=__doc__))
