"""Train a world model on offline trajectories and save it as an agent.

python scripts/train.py quick --out runs/quick
python scripts/train.py quick --data data/fixed.h5 --training.steps 2000
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch
import tyro

from jepa_agent import JEPAAgent, Preset, TrainingConfig, Trajectories, WorldModelConfig, train
from jepa_agent.agent import default_device
from jepa_agent.console import TrainingDisplay, errors_in_one_line
from jepa_agent.envs import CollectConfig, collect
from jepa_agent.planners import CEMConfig
from jepa_agent.training import Progress


@dataclass(frozen=True)
class Args:
    """What to train on, what to train, and where to."""

    collect: CollectConfig
    """The data to collect first, unless --data names a file."""
    model: WorldModelConfig = field(default_factory=WorldModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    planner: CEMConfig = field(default_factory=CEMConfig)
    data: Path | None = None
    """A trajectory file of scripts/collect.py."""
    out: Path = Path("runs/quick")
    """The run's folder: a checkpoint, and metrics.jsonl."""
    device: Literal["auto", "cpu", "cuda"] = "auto"


PRESETS = {
    "quick": (
        "The fixed layout, in under 6 minutes on two cores.",
        Args(
            collect=CollectConfig(policy="mixed", layout="fixed", episodes=8_000),
            training=TrainingConfig(steps=600),
        ),
    ),
}


def main(args: Args) -> None:
    began = time.perf_counter()
    device = default_device() if args.device == "auto" else torch.device(args.device)
    if args.data is not None:
        trajectories = Trajectories.load(args.data)
    else:
        trajectories = Trajectories.from_rollouts(*collect(args.collect))
    preset = Preset(args.model, args.training, args.planner)
    args.out.mkdir(parents=True, exist_ok=True)
    with (args.out / "metrics.jsonl").open("w") as log, TrainingDisplay() as display:

        def on_progress(progress: Progress, agent: JEPAAgent) -> None:
            display.show(progress)
            print(json.dumps(asdict(progress)), file=log, flush=True)
            agent.save(args.out)

        try:
            agent = train(trajectories, preset, device, on_progress)
        except KeyboardInterrupt:
            if log.tell():
                print(f"interrupted; the last checkpoint is in {args.out}")
            else:
                print("interrupted before the first checkpoint")
            raise SystemExit(130) from None
    agent.save(args.out)
    print(f"trained in {time.perf_counter() - began:.0f} s, checkpoint and metrics in {args.out}")
    print(f"next: python scripts/evaluate.py --checkpoint {args.out}")


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.extras.overridable_config_cli(PRESETS, description=__doc__))
