"""The report, in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jepa_agent.envs.drawing import FLOOR, GOAL
from jepa_agent.viz.plan_view import PLAN

SCRIPTS = Path(__file__).parents[2] / "scripts"
SOLVED = (253, 231, 55)
"""The heat map's colour of success."""


@pytest.mark.slow
@pytest.mark.skipif(
    "CI" not in os.environ and not shutil.which("chromium"), reason="needs Debian's chromium"
)
def test_a_browser_shows_figures_heat_map_and_videos(tmp_path: Path) -> None:
    command = ["evaluate.py", "--episodes", "4", "--out", "out", "--report", "page"]
    subprocess.run(
        [sys.executable, str(SCRIPTS / command[0]), *command[1:]], cwd=tmp_path, check=True
    )
    page = tmp_path / "page" / "index.html"
    assert os.listdir(page.parent) == ["index.html"]
    text = page.read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)
    for said in ("test-layouts, 4 episodes", "oracle", "best: seed 100000", "worst: seed", "torch"):
        assert said in text
    picture = tmp_path / "page.png"
    shown = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1300,2600",
         "--enable-logging=stderr", f"--screenshot={picture}", page.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "CONSOLE" not in shown.stderr
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    for colour in (SOLVED, FLOOR, GOAL, PLAN):
        assert (np.abs(pixels - colour).max(axis=-1) <= 12).sum() > 100
