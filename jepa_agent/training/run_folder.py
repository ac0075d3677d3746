"""A run's folder: its state, from which it goes on exactly, and its log."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import IO, Any

from torch import Tensor

from ..io import checkpoint
from ..io.locking import RunError, hold
from ..io.serialisation import to_json
from . import distributed

SAVE_EVERY = 120.0
"""Seconds after which a run keeps its state between two lines of its log."""


class Run:
    """Holds a folder for one process: saves states, appends to `metrics.jsonl`.

    A run that was interrupted at any moment goes on from its last state: `restore` gives that
    state, and drops the lines that were logged after it. Ctrl-C sets `interrupted`: the run should
    end its step, keep its state and stop; the second one raises at once. Where a run of several
    processes, another thread or a caller's own handler holds it, Ctrl-C does what it did before.

    Args:
        folder: created if missing.
        config: JSON data that a resumed run must share.

    Raises:
        RunError: if another process holds the folder, or it cannot be written to.
    """

    def __init__(self, folder: str | Path, config: dict[str, Any]) -> None:
        self.folder, self.config = Path(folder).expanduser(), json.loads(to_json(config))
        self._lock = hold(self.folder)
        self._log: IO[str] | None = None
        self.interrupted = False
        self._saved = time.monotonic()
        self._catches = (
            distributed.processes() == 1
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._catches:
            signal.signal(signal.SIGINT, self._interrupt)

    @property
    def overdue(self) -> bool:
        """Whether to keep the state now: Ctrl-C was pressed, or the last one is old."""
        old = time.monotonic() - self._saved > SAVE_EVERY
        return self.interrupted or (old and distributed.processes() == 1)

    def restore(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The tensors and the progress that `save` was last given, or None in a new folder.

        Raises:
            RunError: if they are of a run with another config.
        """
        state = self.folder / "state"
        if not (state / "config.json").exists():
            self._keep_lines(0)
            return None
        tensors, document = checkpoint.load(state)
        changed = list(_differences(document["run"], self.config, ""))
        if changed:
            raise RunError(
                f"a resumed run must have the config that it began with, {self.folder} differs in "
                f"{'; '.join(changed)}; use these values again, or another --out, there with "
                f"--start {self.folder} to go on from its agent"
            )
        self._keep_lines(document["lines"])
        return tensors, document["progress"]

    def save(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Make this the state to go on from; a crash while writing keeps the last one."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_bytes().count(b"\n") if path.exists() else 0
        checkpoint.save(
            self.folder / "state", tensors,
            {"run": self.config, "progress": progress, "lines": lines},
        )  # fmt: skip
        self._saved = time.monotonic()

    def log(self, record: dict[str, Any]) -> None:
        """Append a line to `metrics.jsonl`."""
        if self._log is None:
            self._log = (self.folder / "metrics.jsonl").open("a")
        print(to_json(record), file=self._log, flush=True)

    def close(self) -> None:
        """Give the folder and Ctrl-C back."""
        if self._catches:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        for file in (self._log, self._lock):
            if file is not None:
                file.close()
        self._log = None

    def _interrupt(self, *_: object) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        os.write(2, b"\nending this step; Ctrl-C again ends at once\n")  # safe in a handler

    def _keep_lines(self, count: int) -> None:
        path = self.folder / "metrics.jsonl"
        if path.exists():
            kept = path.read_bytes().splitlines(keepends=True)[:count]
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(b"".join(kept))
            temporary.replace(path)


def _differences(old: Any, new: Any, where: str) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted({*old, *new}):
            name = f"{where}.{key}" if where else key
            found += _differences(old.get(key), new.get(key), name)
        return found
    return [] if old == new else [f"{where} ({old!r} then, {new!r} now)"]
