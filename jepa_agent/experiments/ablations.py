"""Ablations: figures over seeds, and their table and plot.

The systems are in `world_variants`, `pretraining_variants` and `backbones`; `sweep` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..evaluation.metrics import wilson
from .paired_tests import compared
from .systems import Figures, System


def over_seeds(key: str) -> Callable[[list[Figures]], tuple[float, float, float]]:
    """A figure's mean over seeds, the lowest and the highest."""

    def rate(runs: list[Figures]) -> tuple[float, float, float]:
        values = [run[key] for run in runs]
        return float(np.mean(values)), min(values), max(values)

    return rate


def shown(key: str, form: str, scale: float = 1.0) -> Callable[[list[Figures]], str]:
    """A figure's mean over seeds, formatted; it may have several numbers."""

    def text(runs: list[Figures]) -> str:
        values = [[np.nan if v is None else v for v in np.atleast_1d(run[key])] for run in runs]
        return " / ".join(format(scale * v, form) for v in np.mean(values, axis=0))

    return text


def pooled_success(runs: list[Figures]) -> tuple[float, float, float]:
    """Success over the episodes of all seeds, with its Wilson interval."""
    episodes = sum(run["episodes"] for run in runs)
    solved = sum(round(run["success"] * run["episodes"]) for run in runs)
    return solved / episodes, *wilson(solved, episodes)


def format_table(system: System, results: dict[str, list[Figures]]) -> str:
    """The table in Markdown; the score with its interval, means over seeds of the rest.

    Where runs list what they solved, the last column has each variant's difference from the
    reference, tested on the same episodes of the same training seeds (see `paired_tests`).
    """
    tests = compared(results, system.reference) if system.reference else {}
    headings = ["variant", "seeds", system.score, *system.columns]
    headings += [f"minus {system.reference}, points (p)"] if tests else []
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for name, runs in results.items():
        if runs:
            rate, low, high = (100 * figure for figure in system.rate(runs))
            cells = [name, str(len(runs)), f"{rate:.1f} ({low:.1f}-{high:.1f})"]
            cells += [text(runs) for text in system.columns.values()]
            cells += [str(tests.get(name, ""))] if tests else []
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
