"""What long runs show on the terminal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import gymnasium as gym
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..pretraining import pretrainer
from ..training import distributed
from ..training import trainer as training

SHORT = {
    "prediction": "pred",
    "variance": "var",
    "covariance": "cov",
    "temporal_similarity": "sim",
    "inverse_dynamics": "idm",
    "distance": "dist",
    "contrast": "contr",
}
"""Names of the loss terms that fit a line of 80 characters."""


@contextlib.contextmanager
def errors_in_one_line(debug: bool = False) -> Iterator[None]:
    """What users can mend ends a command with one line; with `debug`, with a traceback."""
    try:
        yield
    except (ValueError, OSError, ImportError, FloatingPointError, gym.error.Error) as error:
        if debug:
            raise
        raise SystemExit(f"error: {error}") from None


@contextlib.contextmanager
def resumable(folder: Path | None) -> Iterator[None]:
    """What Ctrl-C ends says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        if folder is not None and distributed.is_main_process():
            print(f"interrupted; the same command goes on from the last state in {folder}")
        raise SystemExit(130) from None


class TrainingDisplay:
    """A bar with throughput and time left, and a line of loss terms now and then.

    Args:
        unit: of the environment's state, with a space before it.
    """

    def __init__(self, unit: str = "") -> None:
        self._unit = unit
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            console=Console(),
        )
        self._task = self._progress.add_task("training", total=None, rate="")

    def __enter__(self) -> TrainingDisplay:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, progress: training.Progress) -> None:
        """Update the bar and print the loss terms."""
        rate = f"{progress.frames_per_second:,.0f} frames/s"
        self.advance(progress.step, progress.steps, rate)
        terms = "  ".join(
            f"{SHORT[name]} {value:.4f}" for name, value in progress.losses.items() if name in SHORT
        )
        error = progress.probe_error
        probe = "" if error is None else f"probe {error:.2f}{self._unit}  "
        self.say(f"step {progress.step:5d}  {probe}{terms}")
        found = progress.diagnostics
        if found is not None:
            correlations = {"rank correlation": found.rank_correlation, **found.rank_correlations}
            ranks = ", ".join(f"{name} {_numbers([r])}" for name, r in correlations.items())
            layout, ahead = _numbers(found.layout_error), _numbers(found.open_loop_error)
            self.say(
                f"held out: position {_numbers([found.position_error])}{self._unit}, layout "
                f"{layout}{self._unit}, {ranks}, open loop {ahead}{self._unit}, "
                f"success {_numbers([found.success])}, rank {found.collapse.rank_me:.0f} of "
                f"{found.collapse.dim}"
            )
            if found.collapse.collapsed:
                self.say(found.collapse.collapsed)

    def advance(self, step: int, steps: int, rate: str) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=step, total=steps, rate=rate)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(line, style="dim", highlight=False)


@contextlib.contextmanager
def pretraining_display() -> Iterator[Callable[[pretrainer.Progress], None]]:
    """A bar and a line now and then, for the pretraining of backbones."""
    with TrainingDisplay() as display:

        def show(progress: pretrainer.Progress) -> None:
            rate = f"{progress.images_per_second:,.0f} images/s"
            display.advance(progress.step, progress.steps, rate)
            terms = "  ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
            known = "" if progress.accuracy is None else f"  probe {100 * progress.accuracy:.1f} %"
            rank = f"  rank {progress.collapse.rank_me:.0f} of {progress.collapse.dim}"
            display.say(f"step {progress.step:5d}  {terms}{known}{rank}")
            if progress.collapse.collapsed:
                display.say(progress.collapse.collapsed)

        yield show


def _numbers(values: list[float] | list[float | None]) -> str:
    return " / ".join("-" if value is None else f"{value:.3g}" for value in values) or "-"
