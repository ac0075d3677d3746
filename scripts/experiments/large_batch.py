"""Batches of 16 times the frames by the rule of `base_gpu`: docs/experiments/large-batches.md.

$ python scripts/experiments/large_batch.py --preset positions
$ python scripts/experiments/large_batch.py --preset positions_16    # four times the frames
$ python scripts/experiments/large_batch.py --preset positions_16 --share 0.25    # as many
$ python scripts/experiments/large_batch.py --preset base_gpu --share 0.1 --data 8    # hours

`positions` is `vector` on positions in the fixed layout, which costs seconds. Each is a run of its
own, which goes on where it was interrupted, and writes its row at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import tyro

from jepa_agent import EnvRef, JEPAAgent, Trajectories, train
from jepa_agent.envs import CollectConfig, collect
from jepa_agent.evaluation.diagnostics import diagnose
from jepa_agent.evaluation.episodes import play
from jepa_agent.evaluation.metrics import summarise
from jepa_agent.evaluation.two_rooms import HELD_OUT_DATA, SETTINGS
from jepa_agent.io.serialisation import write_json
from jepa_agent.presets import BASE, BASE_GPU, DATA, VECTOR, in_large_batches
from jepa_agent.training.config import RefinementConfig
from jepa_agent.training.loop import Progress
from jepa_agent.worlds.reference import WrapperRef

POSITIONS = EnvRef(
    "TwoRooms-v0",
    {"layout": "fixed", "obs_type": "state"},
    wrappers=(WrapperRef("jepa_agent.experiments.risk:Position"),),
)
SMALL = replace(
    VECTOR,
    training=replace(
        VECTOR.training,
        steps=800,
        layouts_per_batch=1,
        windows_per_layout=32,
        held_out_share=0.0,
        refinement=RefinementConfig(steps=800, layouts_per_batch=1, windows_per_layout=64),
    ),
)
PRESETS = {
    "base": BASE,
    "base_gpu": BASE_GPU,
    "positions": SMALL,
    "positions_16": in_large_batches(SMALL, layouts=1, windows=16),
}


@dataclass(frozen=True)
class Args:
    """What to train, and for how long."""

    preset: Literal["base", "base_gpu", "positions", "positions_16"] = "positions"
    share: float = 1.0
    """How much of the preset's steps to take, in both stages."""
    rate: float = 1.0
    """Factor of the preset's learning rates."""
    episodes: int = 100
    """Played in test layouts, or in the fixed one."""
    data: int = 24
    """Episodes in each training layout."""
    seed: int = 0
    bfloat16: bool = False
    """For processors that have it."""
    out: Path = Path("runs/large-batch")


def collected(args: Args, held_out: bool) -> Trajectories:
    """Data of the preset's world."""
    if args.preset.startswith("base"):
        layouts = DATA["base"].episodes // DATA["base"].episodes_per_layout
        size = {"episodes": layouts * args.data, "episodes_per_layout": args.data}
        config = replace(DATA["base"], seed=args.seed, **size)
        return Trajectories.from_rollouts(*collect(HELD_OUT_DATA["train"] if held_out else config))
    config = CollectConfig("mixed", "fixed", episodes=2000, seed=args.seed)
    data = Trajectories.from_rollouts(*collect(HELD_OUT_DATA["fixed"] if held_out else config))
    return replace(data, metadata={**data.metadata, **POSITIONS.metadata()})


def show(progress: Progress, _: JEPAAgent) -> None:
    print(progress.step, f"{progress.seconds:.0f} s", progress.losses, flush=True)


def main(args: Args) -> None:
    torch.set_num_threads(1)
    training = PRESETS[args.preset].training
    stages = [
        replace(
            stage,
            steps=max(1, round(args.share * stage.steps)),
            learning_rate=args.rate * stage.learning_rate,
        )
        for stage in (training, training.refinement)
    ]
    preset = replace(
        PRESETS[args.preset],
        training=replace(
            stages[0],
            refinement=stages[1],
            seed=args.seed,
            diagnose_every=10**6,
            bfloat16=args.bfloat16 or None,
        ),
    )
    data = collected(args, held_out=False)
    folder = args.out / f"{args.preset}-{args.share:g}-{args.rate:g}-{args.seed}"
    agent = train(data, preset, "cpu", folder=folder, callbacks=[show])
    found = diagnose(agent, data, collected(args, held_out=True))
    suite = "test-layouts" if args.preset.startswith("base") else "fixed"
    make = partial(agent.env_ref.make, **SETTINGS[suite])
    seeds = range(1_000_000, 1_000_000 + args.episodes)
    scores = summarise("agent", suite, play(agent, make, seeds, parallel=100))
    row = {
        "preset": args.preset, "rate": args.rate, "bfloat16": args.bfloat16,
        "steps": [stage.steps for stage in stages],
        "frames": [
            stage.steps * stage.layouts_per_batch * stage.windows_per_layout * (stage.horizon + 1)
            for stage in stages
        ],
        "seconds": agent.notes["seconds"], "position_error": found.position_error,
        "layout_error": found.layout_error, "rank_correlation": found.rank_correlation,
        "open_loop_error": found.open_loop_error, "success": 100 * scores.success,
        "success_low": 100 * scores.success_low, "success_high": 100 * scores.success_high,
        "end": 100 * scores.success_end, "steps_ratio": scores.steps_ratio,
    }  # fmt: skip
    print(row)
    write_json(folder / "row.json", row)


if __name__ == "__main__":
    main(tyro.cli(Args))
