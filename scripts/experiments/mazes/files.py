"""Results in files, each of which is made once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path


def show(path: Path) -> None:
    """Print the rows of a file."""
    for row in json.loads(path.read_text()):
        print(path.parent.name, row, flush=True)


def once(path: Path, make: Callable[[Path], None]) -> Path:
    """A file, made unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        make(path)
        print(f"{path} after {time.perf_counter() - began:.0f} s", flush=True)
    return path
