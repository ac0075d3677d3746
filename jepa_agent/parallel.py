"""Episodes in several processes; the share of a process that dies is played again."""

from __future__ import annotations

import multiprocessing
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Generic, TypeVar

import torch

Result = TypeVar("Result")
ATTEMPTS = 2
"""Number of attempts at a share before giving up."""
AHEAD = 4
"""Shares per worker that may be done before the first of them is taken."""


class WorkerDied(RuntimeError):
    """A worker process ended before its work did."""


def shared(
    work: Callable[[Sequence[int]], Result], shares: Sequence[Sequence[int]], workers: int
) -> Iterator[Result | WorkerDied]:
    """Map `work` over shares in several processes, each on one thread.

    A share whose process dies (out of memory, killed) is begun again in a new one, with a warning.
    Workers wait where their results are not taken, so that these do not fill the memory.

    Args:
        work: function of a share; it and its result must be picklable.
        shares: the seeds of each call of `work`.
        workers: number of processes.

    Yields:
        Results of `work` in the order of the shares; an error for a share whose processes died.
    """
    executors: list[_Restarted[Result]] = []
    own = threading.local()
    ahead = threading.Semaphore(AHEAD * workers)

    def begin() -> None:
        own.executor = _Restarted(work)
        executors.append(own.executor)

    def run(share: Sequence[int]) -> Result | WorkerDied:
        ahead.acquire()
        return own.executor.run(share)

    with ThreadPoolExecutor(workers, initializer=begin) as threads:
        try:
            for result in threads.map(run, shares):
                yield result
                ahead.release()
        finally:
            ahead.release(len(shares) or 1)  # nobody waits any more
            for executor in executors:
                executor.close()


class _Restarted(Generic[Result]):
    """An executor of one process, which is started again if it dies."""

    def __init__(self, work: Callable[[Sequence[int]], Result]) -> None:
        self._work = work
        self._executor = self._new_executor()

    def run(self, share: Sequence[int]) -> Result | WorkerDied:
        seeds = f"the episodes of seeds {share[0]} to {share[-1]}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._executor.submit(_run_work, share).result()
            except BrokenProcessPool:
                self._executor = self._new_executor()
                if attempt < ATTEMPTS:
                    warnings.warn(f"a worker died; {seeds} are played again", stacklevel=2)
        return WorkerDied(f"its worker died {ATTEMPTS} times among {seeds}; use fewer --workers")

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)

    def _new_executor(self) -> ProcessPoolExecutor:
        # a forked copy of a process with threads may hang; a fresh one cannot
        fresh = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, fresh, _initialize, (self._work,))


_work: Callable
"""The function that this worker process applies to a share."""


def _initialize(work: Callable) -> None:
    """Set up a worker, on one thread: the other cores belong to the other workers."""
    global _work
    torch.set_num_threads(1)
    _work = work


def _run_work(share: Sequence[int]) -> Any:
    return _work(share)
