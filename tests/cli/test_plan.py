from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_agent.viz.plan_view import SIZE


@pytest.mark.parametrize(
    ("arguments", "said", "written"),
    [
        (("--render",), "no display to open a window on: writing plan.gif", "plan.gif"),
        pytest.param(("--video", "x.gif"), "see x.gif", "x.gif", marks=pytest.mark.slow),
        pytest.param((), "neither --render nor --video", "plan.gif", marks=pytest.mark.slow),
    ],
)
def test_plan_writes_a_video(
    run: Callable, tmp_path: Path, arguments: tuple[str, ...], said: str, written: str
) -> None:
    import imageio.v3 as imageio

    printed = run("plan", "--episodes", "1", *arguments, cwd=tmp_path)
    assert said in printed
    assert "1 of 1 goals reached" in printed
    assert os.listdir(tmp_path) == [written]
    frames = imageio.imread(tmp_path / written)
    assert len(frames) > 8
    assert frames.shape[1:3] == SIZE[::-1]
