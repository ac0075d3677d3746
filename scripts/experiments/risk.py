"""Failures against steps in a dangerous Two Rooms: the table of docs/experiments/risk.md.

$ python scripts/experiments/risk.py --out runs/risk --seed 0 --episodes 400
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import tyro

import jepa_agent
from jepa_agent import JEPAAgent
from jepa_agent.experiments.risk import PRESET, curve, dangerous_data
from jepa_agent.io.serialisation import write_json
from jepa_agent.training.loop import Progress


@dataclass(frozen=True)
class Args:
    """What to train and to play."""

    out: Path = Path("runs/risk")
    """A folder for the agent and risk.json; an agent that is there is not trained again."""
    seed: int = 0
    episodes: int = 400
    steps: int = PRESET.training.steps


def show(progress: Progress, _: JEPAAgent) -> None:
    print(progress.step, progress.losses, flush=True)


def main(args: Args) -> None:
    began = time.process_time()
    if not (args.out / "config.json").exists():
        training = replace(PRESET.training, seed=args.seed, steps=args.steps)
        data = dangerous_data(args.seed)
        jepa_agent.train(
            data, replace(PRESET, training=training), "cpu", folder=args.out, callbacks=[show]
        )
        print(f"trained in {time.process_time() - began:.0f} s of the processor")
    rows = curve(JEPAAgent.load(args.out, "cpu"), range(1_000_000, 1_000_000 + args.episodes))
    for row in rows:
        print(row, flush=True)
    write_json(args.out / "risk.json", {"arguments": asdict(args) | {"out": ""}, "curve": rows})


if __name__ == "__main__":
    main(tyro.cli(Args))
