"""Ablations: variants of a system, their runs, and the table and plot of their results.

The systems are in `world_variants`, `pretraining_variants` and `backbones`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.metrics import wilson
from ..io.serialisation import write_json

Figures = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """Settings that all variants of a table share."""

    minutes: float
    episodes: int
    data_scale: float


@dataclass(frozen=True)
class Variant:
    """A change of a system's preset.

    Args:
        changes: new values by dotted name.
        same_model_as: the variant whose trained model it uses, where only planning differs.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    same_model_as: str = ""


@dataclass(frozen=True)
class System:
    """Something to take apart.

    Args:
        variants: by name.
        run: trains (or goes on with) one variant of a seed in a folder, and measures it.
        minutes: default minutes per run.
        score: the plot's axis.
        rate: that figure over several runs, with its interval.
        columns: other figures of the table, over several runs.
    """

    variants: dict[str, Variant]
    run: Callable[[Path, Budget, str, int], Figures]
    minutes: float
    score: str
    rate: Callable[[list[Figures]], tuple[float, float, float]]
    columns: dict[str, Callable[[list[Figures]], str]]


def with_value(config: Any, key: str, value: Any) -> Any:
    """A copy of nested frozen dataclasses with one field changed, given by its dotted name."""
    name, _, rest = key.partition(".")
    if name not in {item.name for item in fields(config)}:
        raise ValueError(f"{type(config).__name__} has no field {name!r}")
    inner = with_value(getattr(config, name), rest, value) if rest else value
    return replace(config, **{name: inner})


def with_values(config: Any, values: dict[str, Any]) -> Any:
    """Like `with_value`, for several fields."""
    for key, value in values.items():
        config = with_value(config, key, value)
    return config


def folder_name(variant: str, seed: int) -> str:
    """Name of the folder of a variant's run."""
    return f"{re.sub(r'[^a-zA-Z0-9.]+', '-', variant).strip('-')}-{seed}"


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


def ablate(
    system: System, names: Sequence[str], seeds: Sequence[int], budget: Budget, out: Path
) -> Iterator[dict[str, list[Figures]]]:
    """Run variants with every seed: all results so far by variant, after each run."""
    for name in names:
        if name not in system.variants:
            raise ValueError(f"variants must be among {list(system.variants)}, got {name!r}")
    results: dict[str, list[Figures]] = {name: [] for name in names}
    for seed in seeds:
        for name in names:
            results[name].append(result(system, out, budget, name, seed))
            yield results


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
