"""Compare planners on one checkpoint, over budgets, and against pytorch-mppi.

$ jepa-agent compare planners table --episodes 300
$ jepa-agent compare planners budget --episodes 64 --plot budget.png
$ jepa-agent compare planners public --episodes 30   # pip install pytorch-mppi
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from ..evaluation.metrics import Row
from ..experiments import planner_comparison
from ..experiments.planner_comparison import Setup


@dataclass(frozen=True, kw_only=True)
class Args(Setup):
    """What to compare."""

    what: tyro.conf.Positional[Literal["table", "budget", "public"]]
    """Every planner, CEM over budgets, or pytorch-mppi on the true physics."""
    only: tuple[str, ...] = ()
    """Planners of the `table`, by default all."""
    plot: Path | None = None
    """Where `budget` draws its figure (extra `plots`)."""


def main(args: Args) -> None:
    {"table": table, "budget": budget, "public": public}[args.what](args)


def table(args: Args) -> None:
    print("| planner | sequences | success | end | strict | steps ratio | SPL | ms p50 / p95 |")
    print("|---|---|---|---|---|---|---|---|")
    for sequences, row in planner_comparison.with_defaults(args, args.only):
        strict = "-" if row.success_strict is None else f"{100 * row.success_strict:.1f}"
        print(
            f"| {row.policy} | {sequences} | {success(row)} | {100 * row.success_end:.1f} | "
            f"{strict} | {row.steps_ratio or float('nan'):.2f} | "
            f"{row.spl:.2f} | {row.latency_p50_ms:.1f} / {row.latency_p95_ms:.1f} |",
            flush=True,
        )


def budget(args: Args) -> None:
    print("| candidates x iterations | success | SPL | ms per decision |\n|---|---|---|---|")
    rows = []
    for found in planner_comparison.over_budgets(args):
        rows.append(found)
        row = found[1]
        print(
            f"| {row.policy} | {success(row)} | {row.spl:.3f} | {row.latency_p50_ms:.1f} |",
            flush=True,
        )
    if args.plot is not None:
        planner_comparison.draw(args.plot, rows)


def public(args: Args) -> None:
    print("| planner | path left, mean px | goal reached in the plan | ms per plan |")
    print("|---|---|---|---|")
    for name, left, reached, milliseconds in planner_comparison.on_true_physics(args):
        print(f"| {name} | {left:.2f} | {100 * reached:.0f} % | {milliseconds:.0f} |", flush=True)


def success(row: Row) -> str:
    low, high = 100 * row.success_low, 100 * row.success_high
    return f"{100 * row.success:.1f} ({low:.1f}-{high:.1f})"
