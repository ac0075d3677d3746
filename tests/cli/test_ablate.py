from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_agent.io.serialisation import write_json
from jepa_agent.pretraining.datasets import FASHION_MNIST


def test_a_table_of_what_there_is_can_be_made_at_any_time(
    exit_of: Callable, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    figures = {
        "minutes": 10.0, "episodes": 200, "data_scale": 1.0, "linear": 0.5, "neighbours": 0.4,
        "rank_me": 9.0, "spread": 0.9, "seconds": 60.0,
    }  # fmt: skip
    write_json(tmp_path / "runs/image/SIGReg-0/result.json", figures)
    failure = {**figures, "error": "RuntimeError: broken", "log": "some.log"}
    write_json(tmp_path / "runs/image/ours-0/failed.json", failure)
    code, said = exit_of("ablate", "image", "--launcher", "none", "--out", "runs", "--table",
                         "table.md")  # fmt: skip
    assert code == 1
    assert "1 of 27 runs done, 1 failed, 25 left, about 25 min" in said
    assert "failed: ours, seed 0: RuntimeError: broken; its log is some.log" in said
    (row,) = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert row.startswith("| SIGReg | 1 | 50.0 (50.0-50.0) | 40.0 | 9 |")


def test_options_of_jobs_need_a_launcher_of_jobs(exit_of: Callable) -> None:
    for option in (("--jobs", "2"), ("--resources", "mem_gb=4")):
        code, said = exit_of("ablate", "image", *option)
        assert "--jobs and --resources are of the launchers local and slurm" in str(code) + said


@pytest.mark.slow
def test_ablations_are_resumable_and_make_one_table(run: Callable, tmp_path: Path) -> None:
    arguments = (
        "world", "--only", "ours", "latent distance", "--seeds", "0", "--minutes", "0.01",
        "--episodes", "2", "--data-scale", "0.07", "--out", "runs", "--table", "table.md",
    )  # fmt: skip
    run("ablate", *arguments, cwd=tmp_path)
    results = sorted((tmp_path / "runs/world").glob("*/result.json"))
    written = [path.stat().st_mtime_ns for path in results]
    assert len(results) == 2
    run("ablate", *arguments, cwd=tmp_path)
    assert [path.stat().st_mtime_ns for path in results] == written
    table = (tmp_path / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == ["| ours", "| latent distance"]
    assert (tmp_path / "table.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.skipif(not FASHION_MNIST.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_image_ablations_make_their_table(run: Callable, tmp_path: Path) -> None:
    run(
        "ablate", "image", "--only", "ours", "SIGReg, no projector", "--seeds", "0",
        "--minutes", "0.05", "--table", "table.md", cwd=tmp_path,
    )  # fmt: skip
    table = (tmp_path / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == ["| ours", "| SIGReg, no projector"]
    assert all(line.count("|") == table[0].count("|") for line in table)
