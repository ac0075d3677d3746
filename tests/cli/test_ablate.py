from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_agent.pretraining.datasets import FASHION_MNIST


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
