"""The experiment on mazes, small: every step once, and nothing twice."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.loading import EXPERIMENTS, load

FIRST = "MPPI-1,-4-to-6-a-side,-paths-of-1-to-4.json"


@pytest.fixture(scope="module")
def mazes() -> ModuleType:
    return load(EXPERIMENTS / "mazes.py")


@pytest.mark.slow
def test_mazes_are_learned_played_and_not_twice(
    mazes: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    args = mazes.Args(
        models=("maps", "sac_her"), layouts=12, per_layout=4, steps=2, refinement=1,
        interaction=80, evaluated=1, paths=((1, 4),), out=tmp_path,
    )  # fmt: skip
    mazes.main(args)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    names = {path.name for path in files}
    assert {
        "ranks.json",
        FIRST,
        "GC-IDM,-larger-or-thinner.json",
        "SAC+HER,-larger-or-thinner.json",
    } <= names
    rows = json.loads((tmp_path / "maps-0" / FIRST).read_text())
    assert rows[0]["episodes"] == 1
    assert rows[0]["latency_p50_ms"] > 0
    first = printed(capsys)
    mazes.main(args)
    second = printed(capsys)
    assert second == [line for line in first if " after " not in line], "the same rows, none made"
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}


def printed(capsys: pytest.CaptureFixture) -> list[str]:
    """The lines that were printed, but for the empty ones that progress bars leave."""
    return [line for line in capsys.readouterr().out.splitlines() if line.strip()]
