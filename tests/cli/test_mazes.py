"""Mazes-v0 by the commands, from data to a video of plans."""

from __future__ import annotations

from pathlib import Path

import pytest

from jepa_agent import cli

ROVER = "jepa_agent.envs.generators:MazeRover"
TINY = ("--training.steps", "2", "--training.refinement.steps", "2")


@pytest.mark.slow
def test_data_training_scores_and_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (
        ("collect", "--env", "jepa_agent:Mazes-v0", "--env-kwargs", "layout=train", "layouts=8",
         "max_episode_steps=30", "--policy", ROVER, "--episodes", "40", "--steps", "30", "--out",
         "mazes.h5"),
        ("train", "pixels", "--data", "mazes.h5", "--out", "run", *TINY),
        ("evaluate", "--checkpoint", "run", "--episodes", "2", "--out", "scores"),
        ("plan", "--checkpoint", "run", "--video", "plan.gif", "--episodes", "1"),
    ):  # fmt: skip
        with pytest.raises(SystemExit) as caught:
            cli.main(argv=command)
        assert not caught.value.code, capsys.readouterr()
    assert "agent" in capsys.readouterr().out
    assert (tmp_path / "plan.gif").stat().st_size > 10_000
