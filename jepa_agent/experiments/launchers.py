"""Where the runs of a sweep are computed: in this process, in others, or on a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from .sweep import Job, Run

HOURS = 24
"""Time limit of a job, unless `timeout_min` is given."""


class Inline:
    """Runs one after another in this process; an error ends the sweep."""

    at_once = 1

    def submit(self, run: Run) -> Job:
        """Run it now."""
        run()
        return _Done()


class _Done:
    """A run that succeeded in this process."""

    log = ""

    def done(self) -> bool:
        return True

    def error(self) -> str:
        return ""


class Submitit:
    """Processes of this machine, or jobs of SLURM, by the package `submitit` (extra `sweeps`).

    Jobs outlive this process, and end with it only at Ctrl-C on this machine.

    Args:
        cluster: "local" for processes, "slurm" for SLURM.
        folder: where the logs of the jobs lie.
        at_once: jobs at a time; processes share the cores, unless OMP_NUM_THREADS is set.
        resources: parameters of submitit, such as `timeout_min`, `gpus_per_node`, `cpus_per_task`,
            `mem_gb` and `slurm_partition`; processes see no GPU without `gpus_per_node`.

    Raises:
        ValueError: if submitit, SLURM or a parameter is not there.
    """

    def __init__(
        self,
        cluster: Literal["local", "slurm"],
        folder: Path,
        at_once: int,
        resources: dict[str, Any],
    ) -> None:
        if at_once < 1:
            raise ValueError(f"jobs at a time must be >= 1, got {at_once}; raise --jobs")
        try:
            import submitit
        except ImportError as error:
            raise ValueError(
                f"the launcher {cluster} needs the extra `sweeps`, got {error}; run "
                'pip install "jepa-agent[sweeps]", or use the launcher inline'
            ) from None
        try:
            self._executor = submitit.AutoExecutor(folder / "%j", cluster)
        except RuntimeError as error:
            raise ValueError(
                f"the launcher {cluster} must find its commands, got {error}; run this where jobs "
                "are submitted, or use the launcher local"
            ) from None
        settings = {
            "name": "jepa-agent", "timeout_min": 60 * HOURS, "stderr_to_stdout": True, **resources
        }  # fmt: skip
        try:
            self._executor.update_parameters(**settings)
        except (NameError, AssertionError) as error:
            raise ValueError(
                f"resources must be parameters of submitit, got {resources}: {error}"
            ) from None
        self.at_once = at_once
        threads = max(1, (os.cpu_count() or 1) // at_once)
        self._environment = {"OMP_NUM_THREADS": str(threads)} if cluster == "local" else {}

    def submit(self, run: Run) -> Job:
        """Start a process, or queue a job."""
        with _defaults(self._environment):
            return _Submitted(self._executor.submit(run))


class _Submitted:
    """A job of submitit."""

    def __init__(self, job: Any) -> None:
        self._job = job

    @property
    def log(self) -> str:
        return str(self._job.paths.stdout)

    def done(self) -> bool:
        return self._job.done()

    def error(self) -> str:
        if self._job.exception() is None:
            return ""
        lines = (self._job.stdout() or "").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it was killed")


@contextlib.contextmanager
def _defaults(variables: dict[str, str]) -> Iterator[None]:
    """Set variables of the environment that are not set, for the processes that start within."""
    fresh = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(fresh)
    try:
        yield
    finally:
        for name in fresh:
            del os.environ[name]
