"""Progress of long runs on the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..evaluation.diagnostics import Diagnostics
from ..training import distributed
from ..training import loop as training

SHORT = {
    "prediction": "pred",
    "variance": "var",
    "covariance": "cov",
    "temporal_similarity": "sim",
    "inverse_dynamics": "idm",
    "distance": "dist",
    "contrast": "contr",
    "window_contrast": "wcontr",
}
"""Short names of the loss terms, so that a line has at most 80 characters."""
SHOWN = 8
"""Numbers of the state whose R2 a line shows."""


@contextlib.contextmanager
def resumable(folder: Path | None) -> Iterator[None]:
    """Print how to resume the run when Ctrl-C ends it."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None and distributed.is_main_process():
            print(f"interrupted; the same command goes on from the last state in {folder}")
        raise SystemExit(130) from None


class TrainingDisplay:
    """A bar with throughput and time left, and a line of loss terms now and then.

    Args:
        unit: unit of the environment's state, after a space.
    """

    def __init__(self, unit: str = "") -> None:
        self._unit = unit
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            console=Console(quiet=not distributed.is_main_process()),
        )
        self._task = self._bar.add_task("training", total=None, rate="")

    def __enter__(self) -> TrainingDisplay:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def __call__(self, progress: training.Progress, trained: Any) -> None:
        """Update the bar and print the loss terms."""
        rate = f"{progress.frames_per_second:,.0f} frames/s"
        self._bar.update(self._task, completed=progress.step, total=progress.steps, rate=rate)
        parts = [f"step {progress.step:5d}"]
        if progress.probe_error is not None:
            parts.append(f"probe {progress.probe_error:.2f}{self._unit}")
        if progress.accuracy is not None:
            parts.append(f"probe {100 * progress.accuracy:.1f} %")
        if progress.collapse is not None:
            parts.append(f"rank {progress.collapse.rank_me:.0f} of {progress.collapse.dim}")
        terms = (item for item in progress.losses.items() if item[0] != "probe")
        parts += [f"{SHORT.get(name, name)} {value:.4f}" for name, value in terms]
        self._say("  ".join(parts))
        if progress.collapse is not None:
            self._say(progress.collapse.collapsed)
        if progress.diagnostics is not None:
            self._say(held_out_line(progress.diagnostics, self._unit))
            for warning in progress.diagnostics.warnings:
                self._say(f"warning: {warning}")

    def _say(self, line: str) -> None:
        if line:
            self._bar.console.print(line, style="dim", highlight=False)


def held_out_line(found: Diagnostics, unit: str) -> str:
    """What is known of a model's errors on held-out data."""
    parts = [_read_off(found.state_r2)]
    if found.position_error is not None and unit:
        parts.append(f"position {found.position_error:.3g}{unit}")
    if found.layout_error:
        parts.append(f"layout {_numbers(found.layout_error)}{unit}")
    correlations = {"rank correlation": found.rank_correlation, **found.rank_correlations}
    parts += [f"{name} {r:.3g}" for name, r in correlations.items() if r is not None]
    if found.open_loop_error and unit:
        parts.append(f"open loop {_numbers(found.open_loop_error)}{unit}")
    steps, ratios = "/".join(found.standing_still), _numbers([*found.standing_still.values()])
    parts.append(f"error after {steps} steps {ratios} of standing still's")
    known = "success unknown" if found.success is None else f"success {found.success:.3g}"
    parts.append(known + (f" ({found.success_unknown})" if found.success_unknown else ""))
    parts.append(f"rank {found.collapse.rank_me:.0f} of {found.collapse.dim}")
    return "held out: " + ", ".join(filter(None, parts))


def _read_off(state_r2: dict[str, float]) -> str:
    """R2 of all numbers of a state, or of the worst where they are many."""
    if not state_r2:
        return ""
    shown = sorted(state_r2.items(), key=lambda item: item[1])[:SHOWN]
    named = " ".join(f"{name} {state_r2[name]:.2f}" for name in state_r2 if name in dict(shown))
    more = len(state_r2) - len(shown)
    return f"R2 {named}" + (f" and {more} better" if more else "")


def _numbers(values: list[float]) -> str:
    return " / ".join(f"{value:.3g}" for value in values)
