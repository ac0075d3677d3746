from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_agent import JEPAAgent
from jepa_agent.evaluation.episodes import Episode
from jepa_agent.evaluation.metrics import Report, summarise


def test_evaluate_writes_a_report(run: Callable, tmp_path: Path) -> None:
    printed = run("evaluate", "--episodes", "2", "--seed", "5", "--out", "report", cwd=tmp_path)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    rows = {row["policy"]: row for row in report["rows"]}
    assert sorted(rows) == ["agent", "oracle", "random", "straight"]
    assert all(row["suite"] == "test-layouts" and row["episodes"] == 2 for row in rows.values())
    assert rows["agent"]["success"] == rows["oracle"]["success"] == 1.0
    assert rows["oracle"]["steps_ratio"] <= rows["agent"]["steps_ratio"] + 0.3
    for name in rows:
        assert name in printed
    assert str(Path("report") / "report.json") in printed
    written = ["report.json", "test-layouts.png"]  # the heat map
    assert sorted(os.listdir(tmp_path / "report")) == written


@pytest.mark.slow
def test_evaluate_needs_no_probe(
    exit_of: Callable, without_probe: JEPAAgent, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    without_probe.save(tmp_path / "checkpoint")
    code, printed = exit_of(
        "evaluate", "--checkpoint", "checkpoint", "--episodes", "1", "--report", "page"
    )
    assert code == 0, printed
    assert "open-loop" not in printed
    page = (tmp_path / "page" / "index.html").read_text()
    assert 'class="heat-map"' in page
    assert 'class="video"' in page
    assert "errors of imagination" not in page


def test_reports_are_compared_and_pooled(exit_of: Callable, tmp_path: Path) -> None:
    for name, solved in (("a", 9), ("b", 6)):
        episodes = [
            Episode(seed, (27, 20), done, done, True, 20 if done else None, 10)
            for seed, done in enumerate(seed < solved for seed in range(10))
        ]
        rows = [summarise("agent", "test-layouts", episodes)]
        Report(rows, {}, {"agent/test-layouts": episodes}, {"test-layouts": []}).save(
            tmp_path / name
        )
    reports = [str(tmp_path / name / "report.json") for name in "ab"]
    code, said = exit_of("evaluate", "--compare", *reports)
    assert code == 0
    assert "9 and 6 of 10 solved" in said
    code, said = exit_of("evaluate", "--pool", *reports)
    assert code == 0
    assert "10 to 20 episodes" in said
    assert "agent, new wall: 75.0 (53.1-88.8) % of 20" in said


def test_goals_from_data_are_scored_beside_standing_still(
    exit_of: Callable, tmp_path: Path
) -> None:
    exit_of("collect", "--layout", "test", "--episodes", "4", "--out", "data.h5")
    _, printed = exit_of(
        "evaluate", "--goals", "data", "--data", "data.h5", "--offset", "20", "--budget", "50",
        "--episodes", "2", "--out", "report",
    )  # fmt: skip
    rows = {row.policy: row for row in Report.load(tmp_path / "report" / "report.json").rows}
    assert rows["agent"].success == 1.0
    assert rows["stand still"].success == 0.0
    assert rows["random"].suite == "offset 20"
    assert "offset 20: 50 steps of budget, " in printed
