"""Rank checkpoints by measures that need held-out data alone, without planning.

$ jepa-agent rank runs/a runs/b --data data/held-out.h5
$ jepa-agent rank runs/base --data data/held-out.h5 --out rank.json
$ jepa-agent rank runs/* --data data/held-out.h5 --by effective_rank

All agents in the folders are ranked, a run's `step-N` too. By default the first is
the one with the least open-loop prediction error, normalised by standing still; how
well this or any other measure predicts planning is not settled. Evaluate the best.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro
from rich.progress import Progress

from ..data.formats import read as read_data
from ..evaluation.label_free import MEASURES
from ..experiments.ranking import HeldOut, format_ranking, names_of, ranked
from ..io.serialisation import write_json


@dataclass(frozen=True)
class Args:
    """What to rank, and by what."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Folders of checkpoints."""
    data: tuple[Path, ...]
    """Trajectory files that none of them was trained on."""
    by: Literal[tuple(MEASURES)] = "prediction_error"  # type: ignore[valid-type]
    """The measure that ranks."""
    steps: int = 50
    """Horizon of imagination in environment steps, shorter where most episodes are."""
    windows: int = 512
    """Windows of the data that are measured."""
    seed: int = 0
    """Seed of their choice."""
    out: Path | None = None
    """A JSON file for all measures."""
    device: str = "auto"
    allow_code: bool = False
    """Import the modules of encoders, predictors and the like that checkpoints name; they run."""


def main(args: Args) -> int:
    found = names_of(args.runs)
    if not found:
        raise ValueError("there must be a run to rank, got none; name the folders of some")
    held_out = HeldOut(read_data(args.data), args.steps, args.windows, args.seed)
    with Progress(transient=True) as progress:
        rows = {
            name: held_out.measure(path, args.device, args.allow_code)
            for name, path in progress.track(found.items(), description="measuring")
        }
    print(format_ranking(rows, args.by))
    better = MEASURES[args.by].better
    print(f"\nranked by {args.by} ({better} is better): {MEASURES[args.by].meaning}")
    if args.out is not None:
        order = ranked(rows, args.by)
        write_json(
            args.out,
            {
                "by": args.by, "steps": args.steps, "windows": args.windows, "seed": args.seed,
                "data": list(map(str, args.data)),
                "measures": {name: asdict(each) for name, each in MEASURES.items()},
                "checkpoints": [{"checkpoint": name, **rows[name]} for name in order],
            },
        )  # fmt: skip
        print("wrote", args.out)
    return 0
