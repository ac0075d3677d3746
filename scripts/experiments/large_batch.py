"""`base_gpu` beside `base` at a small share of their steps; see docs/scale.md.

$ python scripts/experiments/large_batch.py --preset base --share 0.04
$ python scripts/experiments/large_batch.py --preset base_gpu --share 0.01   # as many frames
$ python scripts/experiments/large_batch.py --preset base_gpu --share 0.04   # four times as many

Each is a run of its own, which goes on where it was interrupted, and writes its row at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import tyro

from jepa_agent import JEPAAgent, Trajectories, train
from jepa_agent.envs import collect
from jepa_agent.evaluation.diagnostics import diagnose
from jepa_agent.evaluation.episodes import play
from jepa_agent.evaluation.metrics import summarise
from jepa_agent.evaluation.two_rooms import HELD_OUT_DATA, SETTINGS
from jepa_agent.io.serialisation import write_json
from jepa_agent.presets import DATA, PRESETS
from jepa_agent.training.loop import Progress


@dataclass(frozen=True)
class Args:
    """What to train, and for how long."""

    preset: Literal["base", "base_gpu"] = "base"
    share: float = 0.04
    """Of the preset's steps, in both stages."""
    episodes: int = 100
    """Played in test layouts."""
    data: int = 8
    """Episodes in each training layout."""
    seed: int = 0
    out: Path = Path("runs/large-batch")


def show(progress: Progress, _: JEPAAgent) -> None:
    print(progress.step, f"{progress.seconds:.0f} s", progress.losses, flush=True)


def main(args: Args) -> None:
    torch.set_num_threads(1)
    preset, config = PRESETS[args.preset], DATA[args.preset]
    stages = preset.training, preset.training.refinement
    joint, refinement = (max(1, round(args.share * stage.steps)) for stage in stages)
    training = replace(
        preset.training,
        steps=joint,
        refinement=replace(preset.training.refinement, steps=refinement),
        seed=args.seed,
    )
    layouts = config.episodes // config.episodes_per_layout
    config = replace(config, episodes=layouts * args.data, episodes_per_layout=args.data)
    data = Trajectories.from_rollouts(*collect(replace(config, seed=args.seed)))
    folder = args.out / f"{args.preset}-{args.share:g}-{args.seed}"
    agent = train(data, replace(preset, training=training), "cpu", folder=folder, callbacks=[show])
    frames = [
        steps * stage.layouts_per_batch * stage.windows_per_layout * (stage.horizon + 1)
        for steps, stage in zip((joint, refinement), stages, strict=True)
    ]
    found = diagnose(agent, data, Trajectories.from_rollouts(*collect(HELD_OUT_DATA["train"])))
    make = partial(agent.env_ref.make, **SETTINGS["test-layouts"])
    seeds = range(1_000_000, 1_000_000 + args.episodes)
    scores = summarise("agent", "test-layouts", play(agent, make, seeds, parallel=50))
    row = {
        "preset": args.preset, "steps": [joint, refinement], "frames": frames,
        "seconds": agent.notes["seconds"], "position_error": found.position_error,
        "layout_error": found.layout_error, "rank_correlation": found.rank_correlation,
        "open_loop_error": found.open_loop_error, "success": 100 * scores.success,
        "success_low": 100 * scores.success_low, "success_high": 100 * scores.success_high,
    }  # fmt: skip
    print(row)
    write_json(folder / "row.json", row)


if __name__ == "__main__":
    main(tyro.cli(Args))
