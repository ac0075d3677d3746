"""Plots of results, by matplotlib (extra `plots`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..evaluation.episodes import Episode
from ..evaluation.metrics import by_layout
from ..evaluation.open_loop import OpenLoopStep

try:
    from matplotlib.figure import Figure
except ImportError:
    raise ImportError('plots need matplotlib; run `pip install -e ".[plots]"`') from None


def heat_map(episodes: Sequence[Episode], title: str) -> Figure:
    """Success in every layout."""
    counts = by_layout(episodes)
    walls = range(min(wall for wall, _ in counts), max(wall for wall, _ in counts) + 1)
    doors = range(min(door for _, door in counts), max(door for _, door in counts) + 1)
    share = np.full((len(doors), len(walls)), np.nan)
    for (wall, door), (played, solved) in counts.items():
        share[door - doors.start, wall - walls.start] = solved / played
    figure = Figure(figsize=(6, 7), layout="constrained")
    axes = figure.subplots()
    extent = (walls.start - 0.5, walls.stop - 0.5, doors.stop - 0.5, doors.start - 0.5)
    picture = axes.imshow(share, cmap="cividis", vmin=0, vmax=1, extent=extent, aspect="auto")
    axes.set(xlabel="wall_x", ylabel="door_y", title=title)
    figure.colorbar(picture, label="success")
    return figure


def open_loop_errors(steps: Sequence[OpenLoopStep], title: str) -> Figure:
    """Errors of imagination beside two controls."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    across = [each.steps for each in steps]
    for name, style in (("error", "o-"), ("stand_still", "s--"), ("random_actions", "^--")):
        label = {"error": "imagined"}.get(name, name.replace("_", " "))
        axes.plot(across, [getattr(each, name) for each in steps], style, label=label)
    axes.set(xlabel="steps imagined", ylabel="error, pixels", title=title, ylim=(0, None))
    axes.legend()
    return figure


def training_curves(lines: Sequence[dict[str, Any]]) -> Figure:
    """Losses, and what was measured on held-out layouts, from the lines of `metrics.jsonl`."""
    losses: dict[str, list[tuple[int, float]]] = {}
    measured: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line["losses"].items():
            losses.setdefault(name, []).append((line["step"], value))
        found = dict(line["diagnostics"] or {})
        found |= found.pop("collapse", {})
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
