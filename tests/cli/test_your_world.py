"""The page on one's own world: its code and its commands, with less play and less training."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "your-world.md").read_text()
LESS = {
    "check": (),
    "collect": ("--episodes", "20", "--workers", "1"),
    "train": ("--training.steps", "2", "--training.refinement.steps", "2", "--report", "0",
              "--training.layouts-per-batch", "1", "--training.windows-per-layout", "16"),
    "plan": ("--episodes", "1"),
    "evaluate": ("--episodes", "2"),
}  # fmt: skip


def test_the_page_of_ones_own_world_runs(
    exit_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 36
    commands, _ = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
    lines = commands.splitlines()
    assert len(lines) <= 10
    (tmp_path / "puck.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for line in lines:
        _, command, *options = shlex.split(line)
        given = [each for each in options if each != "--quick"]
        status, said = exit_of(command, *given, *LESS[command])
        assert status == 0, said
    assert (tmp_path / "puck.gif").stat().st_size
    assert "random" in said
