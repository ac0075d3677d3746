"""Episodes in several processes; those of a process that dies are played again."""

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
"""How often a share of the work is begun before it is given up."""


class WorkerDied(RuntimeError):
    """A process that worked for this one ended before its work did."""


def shared(
    work: Callable[[Sequence[int]], Result], shares: Sequence[Sequence[int]], workers: int
) -> Iterator[Result | WorkerDied]:
    """Work on shares in several processes, each on one thread.

    A share whose process dies (out of memory, killed) is begun again in a new one, with a warning.

    Args:
        work: what to do with a share; it and what it returns must be picklable.
        shares: of seeds.
        workers: how many processes.

    Yields:
        What `work` returns, in the order of the shares; an error for one whose processes all died.
    """
    desks: list[_Desk[Result]] = []
    own = threading.local()

    def sit_down() -> None:
        own.desk = _Desk(work)
        desks.append(own.desk)

    with ThreadPoolExecutor(workers, initializer=sit_down) as threads:
        try:
            yield from threads.map(lambda share: own.desk(share), shares)
        finally:
            for desk in desks:
                desk.close()


class _Desk(Generic[Result]):
    """One worker, whose death is noticed."""

    def __init__(self, work: Callable[[Sequence[int]], Result]) -> None:
        self._work = work
        self._pool = self._new_pool()

    def __call__(self, share: Sequence[int]) -> Result | WorkerDied:
        seeds = f"the episodes of seeds {share[0]} to {share[-1]}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._pool.submit(_do, share).result()
            except BrokenProcessPool:
                self._pool = self._new_pool()
                if attempt < ATTEMPTS:
                    warnings.warn(f"a worker died; {seeds} are played again", stacklevel=2)
        return WorkerDied(f"its worker died {ATTEMPTS} times among {seeds}; use fewer --workers")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _new_pool(self) -> ProcessPoolExecutor:
        # a forked copy of a process with threads may hang; a fresh one cannot
        fresh = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, fresh, _take_up, (self._work,))


_own_work: Callable
"""Of a worker."""


def _take_up(work: Callable) -> None:
    """Begin as a worker, on one thread, since the others need the other cores."""
    global _own_work
    torch.set_num_threads(1)
    _own_work = work


def _do(share: Sequence[int]) -> Any:
    return _own_work(share)
