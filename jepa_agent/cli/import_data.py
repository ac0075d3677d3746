"""Write data of other programs as a trajectory file.

$ jepa-agent import pusht.h5 --out data/pusht.h5 --resize 64
$ jepa-agent import datasets/aloha --out data/aloha.h5 \\
    --observation observation.images.top --resize 96
$ jepa-agent import D4RL/pointmaze/umaze-v2 --out data/umaze.h5
$ jepa-agent import mine.npz --out data/mine.h5 --env my_module:MyWorld-v0
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.progress import Progress

from ..data.formats import Selection, import_data
from .environments import WorldArgs


@dataclass(frozen=True)
class Args:
    """What to import and where to.

    The format is found by looking at the data: HDF5 of stable-worldmodel, Minari, .npz of OGBench,
    LeRobot 3, a folder of videos with an actions.csv, an .npz with the names of
    `Trajectories.from_arrays`, or a trajectory file of this library.
    """

    source: tyro.conf.Positional[str]
    """A file, a folder, or the name of a Minari dataset."""
    out: Path
    """The trajectory file to write; an existing one is replaced once the new one is complete."""
    selection: Annotated[Selection, tyro.conf.OmitArgPrefixes] = field(default_factory=Selection)
    world: Annotated[WorldArgs, tyro.conf.OmitArgPrefixes] = field(default_factory=WorldArgs)


def main(args: Args) -> None:
    with Progress(transient=True) as progress:
        task = progress.add_task("episodes", total=None)

        def on_episode(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        episodes = import_data(args.source, args.out, args.selection, args.world.ref(), on_episode)
    megabytes = args.out.stat().st_size / 1e6
    print(f"{episodes} episodes -> {args.out} ({megabytes:.1f} MB)")
    print(f"next: jepa-agent train PRESET --data {args.out}")
