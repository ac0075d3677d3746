"""Training and planning on a pretended GPU, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

HERE = Path(__file__).parent
TORCH = "2.13"
"""The version of torch whose internals the pretended GPU knows."""
SECONDS = 60
"""Most processor time that all checks and faults may take, also beside busy processes."""


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    """What the checks found."""
    if shutil.which("g++") is None:
        pytest.skip("a pretended GPU needs g++, which is not on this machine")
    if not torch.__version__.startswith(f"{TORCH}.") or torch.version.cuda is not None:
        pytest.skip(f"a pretended GPU needs torch {TORCH} for CPUs, got {torch.__version__}")
    unmeasured = {k: v for k, v in os.environ.items() if not k.startswith("COV")}  # coverage's
    done = subprocess.run(
        [sys.executable, HERE / "with_hooks.py", HERE / "checks.py"],
        capture_output=True, text=True, timeout=600, cwd=HERE,
        env={**unmeasured, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_everything_runs_on_a_pretended_gpu_within_its_budgets(said: dict[str, Any]) -> None:
    """No wait in a training step, two in a decision, none in a held step; the CPU's bits."""
    assert said["failed"] == {}, "\n".join(f"{k}:\n{v}" for k, v in said["failed"].items())
    assert said["seconds"] < SECONDS


@pytest.mark.slow
def test_planted_faults_are_caught(said: dict[str, Any]) -> None:
    """Each by the words of its check, and not by whatever else may be raised."""
    assert said["missed"] == {}
    assert [*said["caught"]] == said["planted"]
    page = (HERE.parents[1] / "docs" / "gpu.md").read_text()
    assert f"{len(said['planted'])} faults are planted there" in page


@pytest.mark.slow
def test_a_plant_that_no_longer_applies_is_not_caught(said: dict[str, Any]) -> None:
    found, raised = said["stale"]
    assert not found
    assert "has no attribute 'renamed'" in raised


@pytest.mark.slow
def test_the_page_counts_launches_as_they_are(said: dict[str, Any]) -> None:
    """Those of a preset's steps, which hardly depend on the sizes of batches."""
    page = (HERE.parents[1] / "docs" / "gpu.md").read_text()
    for name in ("quick", "base", "vector", "proposals", "eb_jepa"):
        (row,) = re.findall(rf"\| `{name}`[^|]*, a joint [^|]*\| ([^|]*)\|", page)
        assert f"{said['launches'][f'{name}: joint step']:,}" in row, name
    for words, count in (("for one environment", 1), ("the same, for several", 2)):
        (row,) = re.findall(rf"\| [^|]*{words} \| ([^|]*) \|", page)
        assert f"{said['launches'][f'shipped: decision for {count}']:,}" == row
