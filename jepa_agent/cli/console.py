"""Progress of long runs on the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

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
}
"""Short names of the loss terms, so that a line has at most 80 characters."""


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
        found = progress.diagnostics
        if found is not None:
            correlations = {"rank correlation": found.rank_correlation, **found.rank_correlations}
            ranks = ", ".join(f"{name} {_numbers([r])}" for name, r in correlations.items())
            layout, ahead = _numbers(found.layout_error), _numbers(found.open_loop_error)
            self._say(
                f"held out: position {_numbers([found.position_error])}{self._unit}, layout "
                f"{layout}{self._unit}, {ranks}, open loop {ahead}{self._unit}, "
                f"success {_numbers([found.success])}, rank {found.collapse.rank_me:.0f} of "
                f"{found.collapse.dim}"
            )
            self._say(found.collapse.collapsed)

    def _say(self, line: str) -> None:
        if line:
            self._bar.console.print(line, style="dim", highlight=False)


def _numbers(values: list[float] | list[float | None]) -> str:
    return " / ".join("-" if value is None else f"{value:.3g}" for value in values) or "-"
