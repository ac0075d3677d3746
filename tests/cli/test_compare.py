from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_agent.evaluation.metrics import Row
from jepa_agent.experiments import planner_comparison


@pytest.mark.slow
def test_a_comparison_plays_writes_and_remembers(exit_of: Callable, tmp_path: Path) -> None:
    table = tmp_path / "docs" / "sb3.md"
    arguments = (
        "compare", "--only", "jepa", "--seeds", "0", "--episodes", "1", "--out", ".",
        "--table", "docs/sb3.md",
    )  # fmt: skip
    assert exit_of(*arguments)[0] == 0
    first = table.read_text()
    assert first.splitlines()[4].startswith("| jepa | 1 | 2,086,560 |")
    assert "`mixed` walkers left; 75 % of these know the map" in first
    assert "](sb3.png)" in first
    assert table.with_suffix(".png").stat().st_size > 1000
    (path,) = tmp_path.glob("offline/jepa-0/result.json")
    document = json.loads(path.read_text())
    assert set(document["rows"]) == {
        "fixed", "train-layouts", "test-layouts", "ood", "hard", "thick", "same room", "half steps",
    }  # fmt: skip
    document["parameters"] = 7
    path.write_text(json.dumps(document))
    assert exit_of(*arguments)[0] == 0
    assert "| 7 |" in table.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "dqn"), r"rows must be among \['jepa', .*got 'dqn'"),
        (("--budget", "0"), "budget and episodes must be positive, got 0"),
        (("sb3", "--episodes", "0"), "budget and episodes must be positive, got None and 0"),
    ],
)
def test_impossible_comparisons_are_refused(
    exit_of: Callable, arguments: tuple[str, ...], message: str
) -> None:
    code, said = exit_of("compare", *arguments)
    assert code not in (0, None)
    assert re.search(message, said)


def test_the_table_of_planners_is_printed(
    exit_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = (None, None, None, 0)
    row = Row("cem", "random", 9, 1.0, 0.7, 1.0, 1.0, *strict, 20.0, 1.1, 0.9, 5.0, 6.0, 7.0)
    monkeypatch.setattr(planner_comparison, "with_defaults", lambda args, only: [(512, row)])
    code, said = exit_of("compare", "planners", "table")
    assert code == 0
    assert "| cem | 512 | 100.0 (70.0-100.0) | 100.0 | - | 1.10 | 0.90 | 5.0 / 6.0 |" in said
