"""Reports as tables and lines for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from .episodes import Episode
from .metrics import Report, mcnemar, summarise, table
from .open_loop import OpenLoopStep

Remarks = Callable[[str, Sequence[Episode]], Iterator[str]]
"""What a world has to say of a suite by its name, and of an agent's episodes in it."""


def report_tables(report: Report, remarks: Remarks) -> Iterator[Table | str]:
    """The rows of every suite, remarks, and the errors of imagination."""
    for suite in report.suites:
        yield table([row for row in report.rows if row.suite == suite])
        if suite in report.config.get("goals", {}):
            goals = report.config["goals"][suite]
            yield f"{suite}: " + ", ".join(f"{value} {name}" for name, value in goals.items())
        yield from remarks(suite, report.episodes.get(f"agent/{suite}", []))
        if suite in report.open_loop:
            yield open_loop_table(suite, report.open_loop[suite])


def open_loop_table(suite: str, steps: Sequence[OpenLoopStep]) -> Table:
    """Errors of imagination."""
    printed = Table(title=f"{suite}: open-loop error in pixels", box=box.SIMPLE)
    for heading in ("steps", "imagined", "stand still", "random actions", "in walls"):
        printed.add_column(heading, justify="right")
    for each in steps:
        errors = (each.error, each.stand_still, each.random_actions)
        walls = "-" if each.violations is None else f"{100 * each.violations:.1f} %"
        printed.add_row(str(each.steps), *(f"{value:.2f}" for value in errors), walls)
    return printed


def compared(first: Path, second: Path) -> Iterator[str]:
    """Compare the agents of two reports on the same seeds, by McNemar's test."""
    reports = Report.load(first), Report.load(second)
    for name in sorted(set(reports[0].episodes) & set(reports[1].episodes)):
        if name.startswith("agent/"):
            pair = [report.episodes[name] for report in reports]
            one, two, p = mcnemar(*pair)
            solved = [sum(episode.success for episode in episodes) for episodes in pair]
            yield (
                f"{name}: {solved[0]} and {solved[1]} of {len(pair[0])} solved; only {first}: "
                f"{one}, only {second}: {two}, p = {p:.3g}"
            )


def pooled(paths: Sequence[Path], remarks: Remarks) -> Iterator[Table | str]:
    """The agents of several reports, and their pooled episodes."""
    reports = [Report.load(path) for path in paths]
    for suite in sorted({suite for report in reports for suite in report.suites}):
        parts = {
            str(path.parent): report.episodes[f"agent/{suite}"]
            for path, report in zip(paths, reports, strict=True)
            if suite in report.suites
        }
        together = [episode for episodes in parts.values() for episode in episodes]
        rows = [summarise(name, suite, episodes) for name, episodes in parts.items()]
        yield table([*rows, summarise("pooled", suite, together)])
        yield from remarks(suite, together)
