"""Sweeps: every variant of a system with every seed, one job each.

A run that ended is a `result.json` or a `failed.json` in its folder, written at that moment. These
files are all that a sweep knows, so it can be stopped and gone on with at any time, and several
sweeps may share a folder: nothing is measured twice.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

from ..io.locking import FolderInUse, hold
from ..io.serialisation import write_json
from .systems import Budget, Figures, System, folder_name

DEFAULTS = {item.name: item.default for item in fields(Budget) if item.default is not MISSING}
"""What results of older versions do not say of their budget."""
POLL = 0.5
"""Seconds between two looks at the jobs, and at a folder that is in use."""


class Job(Protocol):
    """A run that was submitted."""

    @property
    def log(self) -> str:
        """Where its output is."""

    def done(self) -> bool:
        """Whether it has ended."""

    def error(self) -> str:
        """The last line of its error; empty if it succeeded."""


class Launcher(Protocol):
    """Where runs are computed; at most `at_once` at a time."""

    at_once: int

    def submit(self, run: Run) -> Job:
        """Start a run, or queue it."""


@dataclass(frozen=True, eq=False)
class Run:
    """One variant with one seed; calling it measures it.

    Args:
        system: what is varied.
        name: the variant.
        seed: its training seed.
        budget: what all runs share; a result of another budget is none.
        out: the sweep's folder.
    """

    system: System
    name: str
    seed: int
    budget: Budget
    out: Path

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"

    @property
    def folder(self) -> Path:
        """Where its results lie."""
        return self.out / folder_name(self.name, self.seed)

    @property
    def shared(self) -> str:
        """A name that it has in common with the runs whose files it shares."""
        return folder_name(self.system.variants[self.name].shares or self.name, self.seed)

    def result(self) -> Figures | None:
        """Its figures, if it has been measured."""
        return self._read("result.json")

    def failure(self) -> Figures | None:
        """The `error` and the `log` of its last attempt, if that failed."""
        return self._read("failed.json")

    def fail(self, error: str, log: str) -> None:
        """Record that it failed."""
        record = {**asdict(self.budget), "error": error, "log": log}
        write_json(self.folder / "failed.json", record)

    def __call__(self) -> None:
        """Measure it, unless that has been done; wait while others use the files that it shares."""
        with _alone(self.out / "locks" / self.shared):
            if self.result() is not None:
                return
            print(self, flush=True)
            began = time.perf_counter()
            found = self.system.run(self.out, self.budget, self.name, self.seed)
            seconds = time.perf_counter() - began
            figures = {**asdict(self.budget), "seed": self.seed, **found, "seconds": seconds}
            write_json(self.folder / "result.json", figures)
            (self.folder / "failed.json").unlink(missing_ok=True)

    def _read(self, name: str) -> Figures | None:
        path, wanted = self.folder / name, asdict(self.budget)
        with contextlib.suppress(FileNotFoundError):
            found: dict[str, Any] = json.loads(path.read_text())
            if wanted.items() <= {**DEFAULTS, **found}.items():
                return found
        return None


def plan(
    system: System, names: Sequence[str], seeds: Sequence[int], budget: Budget, out: Path
) -> list[Run]:
    """The runs of a sweep, seed by seed.

    Raises:
        ValueError: if the system has no such variant.
    """
    for name in names:
        if name not in system.variants:
            raise ValueError(f"variants must be among {list(system.variants)}, got {name!r}")
    return [Run(system, name, seed, budget, out) for seed in seeds for name in names]


@dataclass(frozen=True)
class Status:
    """How far a sweep has come.

    Args:
        results: figures of all finished runs, by variant.
        failed: runs whose last attempt failed.
        left: number of runs that have not ended.
        at_once: runs at a time.
    """

    results: dict[str, list[Figures]]
    failed: list[Run]
    left: int
    at_once: int

    def __str__(self) -> str:
        seconds = [found["seconds"] for runs in self.results.values() for found in runs]
        text = f"{len(seconds)} of {len(seconds) + len(self.failed) + self.left} runs done"
        text += f", {len(self.failed)} failed" if self.failed else ""
        text += f", {self.left} left" if self.left else ""
        if self.left and seconds:
            each = sum(seconds) / len(seconds)
            minutes = each * self.left / min(self.at_once, self.left) / 60
            text += f", about {minutes:.0f} min"
        return text


def sweep(runs: Sequence[Run], launcher: Launcher | None, retry: bool = False) -> Iterator[Status]:
    """Run what has not been run, runs that share files one after another.

    Args:
        runs: what is wanted.
        launcher: where to; None runs nothing.
        retry: run those that failed again.

    Yields:
        The status at the beginning, and after each run that ends.
    """
    waiting = [run for run in runs if run.result() is None and (retry or run.failure() is None)]
    if launcher is None:
        waiting = []
    running: dict[Run, Job] = {}
    at_once = launcher.at_once if launcher else 1

    def status() -> Status:
        results: dict[str, list[Figures]] = {run.name: [] for run in runs}
        failed, left = [], 0
        for run in runs:
            if (found := run.result()) is not None:
                results[run.name].append(found)
            elif run.failure() is not None and run not in (*waiting, *running):
                failed.append(run)
            else:
                left += 1
        return Status(results, failed, left, at_once)

    yield status()
    while launcher is not None and (waiting or running):
        for run in [*waiting]:
            busy = {each.shared for each in running}
            if len(running) < at_once and run.shared not in busy:
                waiting.remove(run)
                running[run] = launcher.submit(run)
        ended = [run for run, job in running.items() if job.done()]
        for run in ended:
            job = running.pop(run)
            if error := job.error():
                run.fail(error, job.log)
            yield status()
        if not ended:
            time.sleep(POLL)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder, as soon as nobody else does."""
    while True:
        try:
            lock = hold(folder)
            break
        except FolderInUse:
            time.sleep(POLL)
    with lock:
        yield
