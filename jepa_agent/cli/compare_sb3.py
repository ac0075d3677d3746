"""Our agent beside Stable-Baselines3's, and beside cheap imitators of the same offline data.

$ jepa-agent compare                                # fixed layout, every row
$ jepa-agent compare --only jepa ppo-state sac-her-state --seeds 0
$ jepa-agent compare --layout train --table sb3-train.md
$ jepa-agent compare --only sac-her-pixels --budget 50000
$ jepa-agent compare --recorded --table sb3-fixed.md    # trains nothing

Resumable: finished rows are not trained or played again; interrupted ones go on from their last
checkpoint and, on the CPU, end with the same bits as without the interruption. Needs the extra
`sb3`; the plot needs `plots`, TensorBoard logs `tensorboard`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..experiments.comparison import ROWS, Comparison, Results, compare
from ..experiments.comparison_page import format_table, write_page


@dataclass(frozen=True)
class Args(Comparison):
    """What to compare."""

    only: tuple[str, ...] = ()
    """Rows by name; by default all."""
    table: Path | None = None
    """Where to write the table with its explanation (Markdown) and the learning curves."""


def main(args: Args) -> None:
    results: Results = {}
    for results in compare(args, args.only or ROWS):
        if not args.recorded:
            print(format_table(results), flush=True)
    if args.recorded:
        print(format_table(results))
    if args.table is not None:
        write_page(args, args.table, results)
