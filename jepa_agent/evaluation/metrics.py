"""Figures of episodes with their intervals, comparisons, and the report."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich import box
from rich.table import Table

from .. import __version__
from ..agent.agent import JEPAAgent
from ..io.serialisation import from_dict, write_json
from .episodes import Episode, Latency
from .open_loop import OpenLoopStep


@dataclass(frozen=True)
class Row:
    """A policy's figures on a suite; see `summarise`."""

    policy: str
    suite: str
    episodes: int
    success: float
    success_low: float
    success_high: float
    success_end: float
    success_strict: float | None
    strict_low: float | None
    strict_high: float | None
    strict_episodes: int
    steps: float | None
    steps_ratio: float | None
    spl: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_p99_ms: float | None


def summarise(
    policy: str,
    suite: str,
    episodes: Sequence[Episode],
    latency: Latency | None = None,
) -> Row:
    """Pool episodes into a row.

    `success_low` and `success_high` are Wilson 95 % bounds, as `strict_low` and `strict_high` are
    of `success_strict`, the share of the `strict_episodes` whose start does not meet the stricter
    rule; `steps` and `steps_ratio` are means of n and of n / n* over successes; `spl` is the mean
    of success * n* / max(n, n*).
    """
    solved = [e.steps for e in episodes if e.steps is not None]
    ways = [(e.steps, e.optimal_steps) for e in episodes if e.steps and e.optimal_steps]
    strict = [e.success_strict for e in episodes if e.success_strict is not None]
    known = any(e.optimal_steps is not None for e in episodes)
    low, high = wilson(len(solved), len(episodes))
    strict_low, strict_high = wilson(sum(strict), len(strict)) if strict else (None, None)
    return Row(
        policy=policy,
        suite=suite,
        episodes=len(episodes),
        success=len(solved) / len(episodes),
        success_low=low,
        success_high=high,
        success_end=float(np.mean([e.success_end for e in episodes])),
        success_strict=sum(strict) / len(strict) if strict else None,
        strict_low=strict_low,
        strict_high=strict_high,
        strict_episodes=len(strict),
        steps=float(np.mean(solved)) if solved else None,
        steps_ratio=float(np.mean([n / best for n, best in ways])) if ways else None,
        spl=sum(best / max(n, best) for n, best in ways) / len(episodes) if known else None,
        latency_p50_ms=latency.p50 if latency else None,
        latency_p95_ms=latency.p95 if latency else None,
        latency_p99_ms=latency.p99 if latency else None,
    )


def wilson(successes: int, episodes: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson 95 % interval of a share."""
    share = successes / episodes
    centre = share + z * z / (2 * episodes)
    half = z * math.sqrt(share * (1 - share) / episodes + z * z / (4 * episodes**2))
    scale = 1 + z * z / episodes
    # rounding may put the share outside of its interval
    return max(0.0, (centre - half) / scale), max(share, min(1.0, (centre + half) / scale))


def table(rows: Sequence[Row]) -> Table:
    """The rows of one suite as a table for the terminal, 80 columns wide, without empty columns."""
    counts = " to ".join(map(str, sorted({row.episodes for row in rows})))
    printed = Table(
        title=f"{rows[0].suite}: % of {counts} episodes (Wilson 95 %)",
        box=box.SIMPLE,
        collapse_padding=True,
        pad_edge=False,
        caption=(
            "success: goal entered at any time; end: there at the last step; strict: by the "
            "stricter rule; ratio: steps to optimal steps; ms: a decision, median and 99th "
            "percentile"
        ),
    )
    cells = [_cells(row) for row in rows]
    shown = [heading for heading in cells[0] if any(each[heading] != "-" for each in cells)]
    for heading in shown:
        justify: Literal["left", "right"] = "left" if heading == "policy" else "right"
        printed.add_column(heading, justify=justify, no_wrap=True)
    for each in cells:
        printed.add_row(*(each[heading] for heading in shown))
    return printed


def _cells(row: Row) -> dict[str, str]:
    """What the terminal shows of a row, by column; what is known of few worlds takes little."""
    strict = _share(row.success_strict, row.strict_low, row.strict_high)
    return {
        "policy": row.policy,
        "success": _share(row.success, row.success_low, row.success_high),
        "end": f"{100 * row.success_end:.1f}",
        "strict": strict if row.spl is None else strict.partition(" ")[0],
        "ratio": _number(row.steps_ratio, 2),
        "SPL": _number(row.spl, 2),
        "ms": f"{_number(row.latency_p50_ms, 1)} / {_number(row.latency_p99_ms, 1)}",
    }


def _share(share: float | None, low: float | None, high: float | None) -> str:
    if share is None or low is None or high is None:
        return "-"
    return f"{100 * share:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def mcnemar(first: Sequence[Episode], second: Sequence[Episode]) -> tuple[int, int, float]:
    """A paired comparison of two agents on the same seeds.

    Returns:
        How many seeds only the first solved, how many only the second, and the exact two-sided
        p-value of McNemar's test: the chance of a split at least this uneven between equals.

    Raises:
        ValueError: if the seeds differ.
    """
    if [episode.seed for episode in first] != [episode.seed for episode in second]:
        raise ValueError(
            "a paired comparison needs the same seeds in the same order, got different ones; "
            "evaluate both with equal --suite, --seed and --episodes"
        )
    pairs = [(a.success, b.success) for a, b in zip(first, second, strict=True)]
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    return only_first, only_second, sign_test(only_first, only_second)


def sign_test(first: int, second: int) -> float:
    """The exact two-sided chance of a split at least as uneven as this one between equals."""
    disagreements, fewer = first + second, min(first, second)
    tail = sum(math.comb(disagreements, k) for k in range(fewer + 1)) / 2**disagreements
    return min(1.0, 2 * tail)


def by_layout(episodes: Sequence[Episode]) -> dict[tuple[float, ...], tuple[int, int]]:
    """Episodes and successes by the first two numbers of their layout."""
    counts: dict[tuple[float, ...], tuple[int, int]] = {}
    for episode in episodes:
        if episode.layout is not None:
            played, solved = counts.get(episode.layout[:2], (0, 0))
            counts[episode.layout[:2]] = (played + 1, solved + episode.success)
    return dict(sorted(counts.items()))


@dataclass(frozen=True)
class Report:
    """The contents of `report.json`.

    Args:
        rows: one per policy and suite.
        config: settings of the evaluation.
        episodes: every episode, by "policy/suite".
        open_loop: errors of imagination by suite; empty for a model without a probe.
    """

    rows: list[Row]
    config: dict[str, Any]
    episodes: dict[str, list[Episode]]
    open_loop: dict[str, list[OpenLoopStep]]

    @property
    def suites(self) -> list[str]:
        """The suites that the agent was evaluated on."""
        return [name.removeprefix("agent/") for name in self.episodes if name.startswith("agent/")]

    def save(self, directory: str | Path) -> Path:
        """Write `report.json` into a directory and return its path."""
        path = Path(directory).expanduser() / "report.json"
        write_json(path, asdict(self))
        return path

    @classmethod
    def load(cls, path: str | Path) -> Report:
        """Read a report.

        Raises:
            ValueError: if the file is missing or no report.
        """
        try:
            document = json.loads(Path(path).expanduser().read_text())
            return from_dict(cls, document, str(path))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path} must be a report.json of `jepa-agent evaluate`, got {error}; "
                "give the path of one"
            ) from None


def measured_with(agent: JEPAAgent, seeds: range, parallel: int, checkpoint: str) -> dict[str, Any]:
    """The settings behind the figures, for `report.json`."""
    return {
        "checkpoint": checkpoint,
        "planner": repr(getattr(agent.planner, "config", agent.planner)),
        "seed": seeds.start,
        "parallel": parallel,
        "jepa_agent": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
    }
