"""Ablations: train variants of a system with several seeds, and print one table and one plot.

python scripts/ablate.py world                                  # 18 variants x 3 seeds x 12 min
python scripts/ablate.py world --only ours "no layout" --seeds 0 --minutes 2
python scripts/ablate.py image
python scripts/ablate.py video
python scripts/ablate.py backbones    # when pretraining pays; of two rooms

Resumable: what has finished is not run again, what was interrupted goes on.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from ..experiments import transfer
from ..experiments.ablations import SYSTEMS, Budget, Figures, System, folder_name
from ..io.serialisation import write_json


@dataclass(frozen=True)
class Args:
    """What to run."""

    system: tyro.conf.Positional[Literal["world", "image", "video", "backbones"]]
    only: tuple[str, ...] = ()
    """Variants by name; by default all."""
    seeds: tuple[int, ...] = (0, 1, 2)
    minutes: float | None = None
    """Training per run, as steps that take so long on two cores; the same for every variant."""
    episodes: int = 200
    """Of `world` and `backbones`: played per run."""
    data_scale: float = 1.0
    """Share of the trajectories, epochs or clips."""
    out: Path = Path("runs/ablation")
    table: Path | None = None
    """Where to write the table (Markdown); the plot goes beside it as PNG."""


def main(args: Args) -> None:
    system = {**SYSTEMS, "backbones": transfer.SYSTEM}[args.system]
    names = args.only or tuple(system.variants)
    for name in names:
        if name not in system.variants:
            raise ValueError(
                f"--only must be of {list(system.variants)}, got {name!r}; choose of them"
            )
    minutes = system.minutes if args.minutes is None else args.minutes
    budget = Budget(minutes, args.episodes, args.data_scale)
    results: dict[str, list[Figures]] = {name: [] for name in names}
    for seed in args.seeds:
        for name in names:
            results[name].append(result(system, args.out / args.system, budget, name, seed))
            print(format_table(system, results), flush=True)
    if args.table is not None:
        args.table.parent.mkdir(parents=True, exist_ok=True)
        args.table.write_text(format_table(system, results) + "\n")
        draw(args.table.with_suffix(".png"), system, results)


def result(system: System, out: Path, budget: Budget, name: str, seed: int) -> Figures:
    """Figures of one run, from its `result.json` where that exists."""
    path = out / folder_name(name, seed) / "result.json"
    wanted = asdict(budget)
    if path.exists():
        found = json.loads(path.read_text())
        if {key: found[key] for key in wanted} == wanted:
            return found
    print(f"{name}, seed {seed}", flush=True)
    began = time.perf_counter()
    figures = {**wanted, **system.run(out, budget, name, seed)}
    figures["seconds"] = time.perf_counter() - began
    write_json(path, figures)
    return figures


def format_table(system: System, results: dict[str, list[Figures]]) -> str:
    """The table in Markdown; the score with its interval, means over seeds of the rest."""
    headings = ["variant", "seeds", system.score, *system.columns]
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for name, runs in results.items():
        if runs:
            rate, low, high = (100 * figure for figure in system.rate(runs))
            cells = [name, str(len(runs)), f"{rate:.1f} ({low:.1f}-{high:.1f})"]
            cells += [text(runs) for text in system.columns.values()]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(path: Path, system: System, results: dict[str, list[Figures]]) -> None:
    """The score of every variant with its interval (extra `plots`)."""
    from matplotlib.figure import Figure

    rates = {name: system.rate(runs) for name, runs in results.items() if runs}
    middle = [rate for rate, _, _ in rates.values()]
    errors = [
        [rate - low for rate, low, _ in rates.values()],
        [high - rate for rate, _, high in rates.values()],
    ]
    figure = Figure(figsize=(7, 0.4 * len(rates) + 1), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(rates), middle, xerr=errors, color="#0072b2", ecolor="0.3")
    axes.set(xlabel=system.score, xlim=(0, 1))
    axes.invert_yaxis()
    figure.savefig(path, dpi=120)
