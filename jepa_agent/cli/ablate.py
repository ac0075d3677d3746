"""Train variants of a system with several seeds: one table and one plot.

$ jepa-agent ablate world                # 18 variants x 3 seeds x 12 minutes
$ jepa-agent ablate world --only ours "no contrast" --seeds 0 --minutes 2
$ jepa-agent ablate world --launcher local --jobs 4
$ jepa-agent ablate world --launcher slurm --resources slurm_partition=cpu
$ jepa-agent ablate world --launcher none --table table.md     # what there is
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
from ..experiments.ablations import draw, format_table
from ..experiments.launchers import Inline, Submitit
from ..experiments.sweep import Launcher, plan, sweep
from ..experiments.systems import Budget
from ..worlds.arguments import parse

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
    bfloat16: bool = False
    """Train `world` in bfloat16 on a CPU too, which pays where it has instructions for it."""
    out: Path = Path("runs/ablation")
    """Where the runs and their results lie."""
    table: Path | None = None
    """Where to write the table (Markdown); the plot goes beside it as PNG."""
    launcher: Literal["inline", "local", "slurm", "none"] = "inline"
    """Where each run is computed: here, in a process or SLURM job of its own (extra `sweeps`), or
    nowhere, for a table of what there is. Jobs go on without this command; given again, it takes
    their results."""
    jobs: int | None = None
    """Jobs at a time; by default one of `local`, and all of `slurm`."""
    resources: tuple[str, ...] = ()
    """What a job gets, as key=value of submitit: timeout_min, gpus_per_node, cpus_per_task, mem_gb,
    slurm_partition, slurm_account, ..."""
    retry: bool = False
    """Run those again that failed; they go on from their last state."""


def main(args: Args) -> int:
    system, out = SYSTEMS[args.system], args.out.absolute() / args.system
    minutes = system.minutes if args.minutes is None else args.minutes
    budget = Budget(minutes, args.episodes, args.data_scale, args.bfloat16)
    runs = plan(system, args.only or tuple(system.variants), args.seeds, budget, out)
    for status in sweep(runs, launcher(args, out, len(runs)), args.retry):
        if any(status.results.values()):
            print(format_table(system, status.results))
        print(status, flush=True)
    for run in status.failed:
        failure = run.failure() or {}
        print(f"failed: {run}: {failure['error']}; its log is {failure['log']}")
    if args.table is not None:
        args.table.parent.mkdir(parents=True, exist_ok=True)
        args.table.write_text(format_table(system, status.results) + "\n")
        draw(args.table.with_suffix(".png"), system, status.results)
    if status.failed:
        print("--retry runs them again")
    return 1 if status.failed else 0


def launcher(args: Args, out: Path, runs: int) -> Launcher | None:
    """Where the runs are computed."""
    if args.launcher in ("local", "slurm"):
        at_once = {"local": 1, "slurm": runs}[args.launcher] if args.jobs is None else args.jobs
        return Submitit(args.launcher, out / "jobs", at_once, parse(args.resources))
    if args.jobs is not None or args.resources:
        raise ValueError(
            f"--jobs and --resources are of the launchers local and slurm, got --launcher "
            f"{args.launcher}; leave them out"
        )
    return Inline() if args.launcher == "inline" else None
