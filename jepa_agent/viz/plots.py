"""Plots of results, by matplotlib (extra `plots`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation.episodes import Episode
from ..evaluation.metrics import by_layout
from ..evaluation.open_loop import OpenLoopStep

try:
    from matplotlib.figure import Figure
except ImportError:
    raise ImportError('plots need matplotlib; run `pip install -e ".[plots]"`') from None


def heat_map(episodes: Sequence[Episode], title: str, names: Sequence[str]) -> Figure:
    """Success by the first two numbers of the layout, whole ones, which have these names."""
    counts = by_layout(episodes)
    across, down = np.array(list(counts), dtype=int).T
    left, top = across.min(), down.min()
    share = np.full((down.max() - top + 1, across.max() - left + 1), np.nan)
    share[down - top, across - left] = [solved / played for played, solved in counts.values()]
    figure = Figure(figsize=(6, 7), layout="constrained")
    axes = figure.subplots()
    extent = (left - 0.5, across.max() + 0.5, down.max() + 0.5, top - 0.5)
    picture = axes.imshow(share, cmap="cividis", vmin=0, vmax=1, extent=extent, aspect="auto")
    axes.set(xlabel=names[0], ylabel=names[1], title=title)
    figure.colorbar(picture, label="success")
    return figure


def open_loop_errors(steps: Sequence[OpenLoopStep], title: str, unit: str) -> Figure:
    """Errors of imagination in a unit, beside two controls."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    across = [each.steps for each in steps]
    for name, style in (("error", "o-"), ("stand_still", "s--"), ("random_actions", "^--")):
        label = {"error": "imagined"}.get(name, name.replace("_", " "))
        axes.plot(across, [getattr(each, name) for each in steps], style, label=label)
    axes.set(
        xlabel="steps imagined",
        ylabel=f"error,{unit}" if unit else "error",
        title=title,
        ylim=(0, None),
    )
    axes.legend()
    return figure


def reliability(forecasts: Mapping[str, Mapping[str, Any]]) -> Figure:
    """How often episodes failed for which a chance of failure was foreseen, by suite.

    Args:
        forecasts: what `jepa-agent calibrate` wrote, by suite; see `evaluation.failures.Forecast`.
            The area of a point grows with its episodes.
    """
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], ":", color="grey", label="as foreseen")
    for suite, found in forecasts.items():
        counts, foreseen, failed = zip(*found["reliability"], strict=True)
        (line,) = axes.plot(foreseen, failed, "-", label=_ranked(suite, found))
        areas = 10 + 300 * np.array(counts) / found["episodes"]
        axes.scatter(foreseen, failed, areas, color=line.get_color())
    axes.set(xlabel="chance of failure foreseen", ylabel="share that failed")
    axes.legend()
    return figure


def _ranked(suite: str, found: Mapping[str, Any]) -> str:
    ranked = "" if found["auroc"] is None else f"AUROC {found['auroc']:.2f}, "
    return f"{suite}: {ranked}calibration error {found['calibration_error']:.3f}"


def training_curves(lines: Sequence[dict[str, Any]]) -> Figure:
    """Losses, and what was measured on held-out layouts, from the lines of `metrics.jsonl`."""
    losses: dict[str, list[tuple[int, float]]] = {}
    measured: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line["losses"].items():
            losses.setdefault(name, []).append((line["step"], value))
        found = dict(line["diagnostics"] or {})
        found |= found.pop("collapse", {})
        found |= {f"rank, {name}": r for name, r in found.pop("rank_correlations", {}).items()}
        found |= {f"R2, {name}": r for name, r in found.pop("state_r2", {}).items()}
        for name, value in found.items():
            if isinstance(value, int | float):
                measured.setdefault(name, []).append((line["step"], value))
    shown = {f"loss: {name}": points for name, points in losses.items()}
    shown |= {name.replace("_", " "): points for name, points in measured.items()}
    rows = max(1, -(-len(shown) // 4))
    figure = Figure(figsize=(11, 2 * rows), layout="constrained")
    grid = figure.subplots(rows, 4, squeeze=False).ravel()
    for axes, (name, points) in zip(grid, shown.items(), strict=False):
        axes.plot(*zip(*points, strict=True), marker="." if len(points) < 20 else None)
        axes.set_title(name, fontsize=9)
    for axes in grid[len(shown) :]:
        axes.axis("off")
    return figure
