"""Collect offline trajectories of Two Rooms into one HDF5 file.

python scripts/collect.py --layout fixed --policy mixed --episodes 20000 --out data/fixed.h5
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from jepa_agent.envs import CollectConfig, collect
from rich.progress import Progress

from jepa_agent import Trajectories


@dataclass(frozen=True)
class Args:
    """What to collect and where to."""

    data: Annotated[CollectConfig, tyro.conf.arg(name="")] = field(default_factory=CollectConfig)
    out: Path = Path("data/trajectories.h5")
    """The HDF5 file to write; an existing one is replaced once the new one is complete."""


def main(args: Args) -> None:
    began = time.perf_counter()
    with Progress(transient=True) as progress:
        task = progress.add_task("episodes", total=args.data.episodes)
        rollouts = collect(args.data, lambda done: progress.update(task, completed=done))
    Trajectories.from_rollouts(*rollouts).save(args.out)
    seconds = time.perf_counter() - began
    frames = rollouts.states.shape[0] * rollouts.states.shape[1]
    print(
        f"{args.data.episodes} episodes, {frames} states in {seconds:.1f} s "
        f"({frames / seconds:,.0f}/s) -> {args.out} ({args.out.stat().st_size / 1e6:.0f} MB)"
    )


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
