"""Train variants of a system with several seeds: one table and one plot.

$ jepa-agent ablate world                # 18 variants x 3 seeds x 12 minutes
$ jepa-agent ablate world --only ours "no contrast" --seeds 0 --minutes 2
$ jepa-agent ablate image
$ jepa-agent ablate video
$ jepa-agent ablate backbones            # when pretraining pays; of two rooms

Resumable: finished runs are not repeated, interrupted ones go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ..experiments import backbones, pretraining_variants, world_variants
from ..experiments.ablations import Budget, ablate, draw, format_table

SYSTEMS = {
    "world": world_variants.SYSTEM,
    "image": pretraining_variants.IMAGE_SYSTEM,
    "video": pretraining_variants.VIDEO_SYSTEM,
    "backbones": backbones.SYSTEM,
}


@dataclass(frozen=True)
class Args:
    """What to run."""

    system: tyro.conf.Positional[Literal["world", "image", "video", "backbones"]]
    only: tuple[str, ...] = ()
    """Variants by name; by default all."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    minutes: float | None = None
    """Minutes of training per run on two cores, converted into steps; equal for all variants."""
    episodes: int = 200
    """Episodes that an agent of `world` or `backbones` plays."""
    data_scale: float = 1.0
    """Share of the trajectories, epochs or clips."""
    out: Path = Path("runs/ablation")
    """Where the runs and their results lie."""
    table: Path | None = None
    """Where to write the table (Markdown); the plot goes beside it as PNG."""


def main(args: Args) -> None:
    system = SYSTEMS[args.system]
    minutes = system.minutes if args.minutes is None else args.minutes
    budget = Budget(minutes, args.episodes, args.data_scale)
    names, results = args.only or tuple(system.variants), {}
    for results in ablate(system, names, args.seeds, budget, args.out / args.system):
        print(format_table(system, results), flush=True)
    if args.table is not None:
        args.table.parent.mkdir(parents=True, exist_ok=True)
        args.table.write_text(format_table(system, results) + "\n")
        draw(args.table.with_suffix(".png"), system, results)
