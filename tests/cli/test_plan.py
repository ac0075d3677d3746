from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jepa_agent.cli import plan
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


def test_mazes_are_planned_in_by_their_own_agent(run: Callable, tmp_path: Path) -> None:
    printed = run("plan", "--checkpoint", "mazes", "--episodes", "1", "--layout", "ood",
                  "--video", "mazes.gif", cwd=tmp_path)  # fmt: skip
    assert "see mazes.gif" in printed


def test_layouts_that_a_world_lacks_are_named(exit_of: Callable) -> None:
    assert "layout must be one of" in exit_of("plan", "--checkpoint", "mazes", "--layout", "no")[1]
    world = SimpleNamespace(id="World-v0", make=lambda: SimpleNamespace(unwrapped=object()))
    agent: Any = SimpleNamespace(env_ref=world)
    assert plan.settings(agent, "") == {}
    with pytest.raises(ValueError, match="no use in World-v0, got ood; leave it out"):
        plan.settings(agent, "ood")
