"""Errors of a command: one line for errors that users can fix, a traceback for bugs."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator

import gymnasium as gym

from ..memory import lack_of_memory

MENDABLE = (OSError, ImportError, FloatingPointError, gym.error.Error)
"""Files, missing packages, numbers that overflow, names of environments."""

LESS = (
    "train with smaller batches (--training.layouts-per-batch, --batch), evaluate fewer episodes "
    "side by side (--parallel), or use --device cpu\n(run with --debug for the traceback)"
)


@contextlib.contextmanager
def errors_in_one_line(debug: bool = False) -> Iterator[None]:
    """End a command with one line on errors that users can fix; with `debug`, with a traceback.

    A `ValueError` raised by this library counts as one: its message states rule and value. So does
    a lack of memory, of the machine's or of a GPU's.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        lack = lack_of_memory(error)
        if debug or lack is None:
            raise
        raise SystemExit(f"error: memory must hold the work, got {lack}; {LESS}") from None
    except (ValueError, *MENDABLE) as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        ours = frame.f_globals["__name__"].partition(".")[0] == __name__.partition(".")[0]
        if debug or not (ours or isinstance(error, MENDABLE)):
            raise
        raise SystemExit(f"error: {error}\n(run with --debug for the traceback)") from None
