"""The driver of the field's scoreboard: its scripts, and its rows over seeds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from jepa_agent.evaluation.episodes import Episode, Latency
from jepa_agent.evaluation.metrics import Report, summarise, wilson
from jepa_agent.io.serialisation import write_json
from tests.loading import EXPERIMENTS, load


@pytest.fixture(scope="module")
def scoreboard() -> ModuleType:
    return load(EXPERIMENTS / "scoreboard.py")


def test_every_world_has_a_script(scoreboard: ModuleType) -> None:
    named = {path.stem for path in (EXPERIMENTS / "scoreboard").glob("*.sh")} - {"steps"}
    assert named == set(scoreboard.WORLDS)
    for name in (*scoreboard.WORLDS, "steps"):
        subprocess.run(["bash", "-n", EXPERIMENTS / "scoreboard" / f"{name}.sh"], check=True)
    assert {world for world, _ in scoreboard.PUBLISHED} < named


def scored(folder: Path, solved: int, preset: str) -> None:
    """A folder as a script leaves it: 10 tasks, of which a preset's agent solves some."""
    episodes = [Episode(seed, None, seed < solved, False, seed < solved - 1, 9, None)
                if seed < solved else Episode(seed, None, False, False, False, None, None)
                for seed in range(10)]  # fmt: skip
    rows = [summarise("agent", "offset 25", episodes, Latency(10.0, 20.0, 30.0)),
            summarise("oracle", "offset 25", episodes)]  # fmt: skip
    goals = {"offset 25": {"tasks left out, solved at the start": 3}}
    Report(rows, {"goals": goals}, {}, {}).save(folder / preset / "score")
    write_json(folder / preset / "run" / "config.json", {"notes": {"seconds": 540.0}})
    (folder / "collected.txt").write_text("60\n")
    (folder / preset / "trained.txt").write_text(f"{preset} --training.steps 5\n")


def test_seeds_are_one_row_with_the_tasks_interval(
    scoreboard: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoreboard, "FIGURES", tmp_path / "figures.json")
    for seed, solved in enumerate((6, 8)):
        for preset, solves in (("proposals", solved), ("lewm", 2)):
            scored(tmp_path / str(seed), solves, preset)
            for _ in range(2):  # again takes its place
                scoreboard.add(scoreboard.rows_of("push_t", seed, tmp_path / str(seed), preset))
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert len(figures["runs"]) == 8
    assert {run["left_out"] for run in figures["runs"]} == {3}
    (first,), (strict,), (control,) = (table["rows"] for table in figures["tables"].values())
    low, high = (100 * bound for bound in wilson(7, 10))
    assert first["agent"] == f"70.0 ({low:.1f} to {high:.1f})"
    assert first["seeds"] == "60.0, 80.0"
    assert strict["seeds"] == "50.0, 70.0"
    assert (first["oracle"], first["random"], first["tasks"]) == ("70.0", "", 10)
    assert (first["latency"], first["minutes"]) == ("10 / 30", "10")
    assert "Dual-WM 98" in first["published"]
    assert strict["published"] == "LeWM 70"
    assert control["preset"] == "lewm"
    assert (control["seeds"], control["strict"][:4]) == ("20.0, 20.0", "10.0")
