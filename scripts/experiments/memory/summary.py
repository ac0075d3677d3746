"""The tables and the plot of docs/experiments/memory.md from rows of single trainings."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from jepa_agent.evaluation.metrics import wilson

from .learning import AGO, AHEAD
from .predictors import KINDS
from .worlds import WORLDS

Row = dict[str, Any]
RECALLED = {
    "number": "the number, said",
    "wall": "wall and door, by ridge regression",
    "hidden": "own place, by ridge regression",
}
"""By world, what is recalled."""


def tables(every: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Columns and rows of each table, over the seeds."""
    rows = of_equal_size(every)
    ahead = {f"{each} ahead": f"{{after{each}}}" for each in AHEAD}
    ago = {f"N = {each}": f"{{ago{each}}}" for each in AGO}
    success = {f"{world}, %": f"{{{world}}}" for world in WORLDS}
    return {
        "errors": {
            "columns": {"world": "{world}", "predictor": "{kind}", **ahead},
            "rows": [*over_keys(rows, "errors", "after", WORLDS, 2)],
        },
        "recall": {
            "columns": {"what": "{world}", "predictor": "{kind}", **ago},
            "rows": [
                row | {"world": RECALLED[row["world"]]}
                for row in over_keys(rows, "recall", "ago", RECALLED, 2)
            ],
        },
        "planning": {
            "columns": {
                "predictor": "{kind}", "parameters": "{parameters:,}",
                "multiplications a step": "{multiplications:,}",
                "ms to imagine 3,200 steps": "{ms}", "s to train": "{trained}", **success,
            },
            "rows": [*planning(rows)],
        },
        "time": {
            "columns": {
                "predictor": "{kind}", "parameters": "{parameters:,}",
                "ms to imagine 3,200 steps": "{ms}",
                **{f"{world}, 16 steps ahead, px": f"{{{world}_px}}" for world in WORLDS},
                **success,
            },
            "rows": [*at_equal_time(every)],
        },
    }  # fmt: skip


def of_equal_size(rows: Sequence[Row]) -> list[Row]:
    """The rows of predictors with equally many parameters, and those without any."""
    return [row for row in rows if row.get("equal") != "time"]


def at_equal_time(rows: Sequence[Row]) -> Iterator[Row]:
    """A row per kind at sizes of equal time, which a GRU of depth 1 has among the others."""
    same = [row for row in rows if row.get("equal") == "time"]
    seeds = {row["seed"] for row in same}
    beside = (row for row in of_equal_size(rows) if row["kind"] == "GRU, depth 1")
    same += [row for row in beside if row["seed"] in seeds]
    for found in planning(same):
        for world in WORLDS:
            far = [
                row["errors"]["16"] for row in same
                if (row["world"], row["kind"]) == (world, found["kind"])
            ]  # fmt: skip
            found |= {f"{world}_px": mean_and_error(far)} if far else {}
        yield found


def over_keys(
    rows: Sequence[Row], name: str, prefix: str, worlds: Sequence[str] | dict, digits: int
) -> Iterator[Row]:
    """A row per world and kind: means over seeds and their standard errors."""
    for world in worlds:
        for kind in KINDS:
            same = [row[name] for row in rows if (row["world"], row["kind"]) == (world, kind)]
            if same:
                cells = {
                    f"{prefix}{key}": mean_and_error([row[key] for row in same], digits)
                    for key in same[0]
                }
                yield {"world": world, "kind": kind, **cells}


def mean_and_error(values: Sequence[float], digits: int = 2) -> str:
    """Such as "1.20 ± 0.05": a mean over seeds and its standard error."""
    error = np.std(values, ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    mean = round(float(np.mean(values)), digits) + 0.0  # no minus before 0
    return f"{mean:.{digits}f}" + (f" ± {error:.{digits}f}" if np.isfinite(error) else "")


def planning(rows: Sequence[Row]) -> Iterator[Row]:
    """A row per kind, and for random actions and the true physics: success over all tasks."""
    played = [row for row in rows if "solved" in row]
    for kind in dict.fromkeys((*KINDS, *(row["kind"] for row in played))):
        same = [row for row in played if row["kind"] == kind]
        cost = {}
        if same and "ms" in same[0]:
            cost = {key: same[0][key] for key in ("parameters", "multiplications")}
            cost["ms"] = f"{min(row['ms'] for row in same):.1f}"
            cost["trained"] = f"{np.mean([row['trained_s'] for row in same]):.0f}"
        shares = {}
        for world in WORLDS:
            counts = [(row["solved"], row["tasks"]) for row in same if row["world"] == world]
            if counts:
                shares[world] = share(*map(sum, zip(*counts, strict=True)))
        if shares:
            yield {"kind": kind, **cost, **shares}


def share(solved: int, of: int) -> str:
    """Such as "50 (40-60)": percents, with Wilson's interval."""
    low, high = wilson(solved, of)
    return f"{100 * solved / of:.0f} ({100 * low:.0f}-{100 * high:.0f})"


def draw(every: Sequence[Row], path: Path) -> None:
    """Errors by horizon in each world, and recall by the steps since then."""
    rows = of_equal_size(every)
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    panels = [*((world, "errors") for world in WORLDS), *((world, "recall") for world in RECALLED)]
    colours = ["#bbbbbb", "#888888", "#444444", "#9ecae1", "#6baed6", "#3182bd", "#08519c",
               "#fdae6b", "#e6550d"]  # fmt: skip
    for axes, (world, name) in zip(figure.subplots(2, 3).flat, panels, strict=True):
        for colour, kind in zip(colours, KINDS, strict=True):
            same = [row[name] for row in rows if (row["world"], row["kind"]) == (world, kind)]
            if not same:
                continue
            keys = list(same[0])
            values = np.array([[row[key] for key in keys] for row in same])
            error = values.std(0, ddof=1) / len(same) ** 0.5 if len(same) > 1 else None
            axes.errorbar(
                list(map(int, keys)), values.mean(0), error, color=colour, label=kind, marker=".",
                linestyle="-" if kind[:3] in ("MLP", "GRU") else "--",
            )  # fmt: skip
        axes.set_xscale("log", base=2)
        axes.set_xticks(list(map(int, keys)), keys)
        if name == "errors":
            axes.set(title=world, xlabel="steps ahead", ylabel="error, pixels", yscale="log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
            axes.set_yticks([0.2, 0.5, 1, 2, 5, 10, 20])
        else:
            axes.set(title=RECALLED[world], xlabel="steps ago", ylabel="R2", ylim=(-0.1, 1.05))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=90)
    Image.open(picture).convert("RGB").quantize(32).save(path, optimize=True)
