"""`jepa-agent distil`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.planners import Proposal


def test_an_agent_learns_from_its_planner(
    tiny_agent: JEPAAgent,
    tiny_trajectories: Trajectories,
    exit_of: Callable[..., tuple[int | str | None, str]],
    tmp_path: Path,
) -> None:
    tiny_agent.model.float()
    tiny_agent.save(tmp_path / "run")
    tiny_trajectories.save(tmp_path / "train.h5")
    code, printed = exit_of(
        "distil", "--checkpoint", "run", "--data", "train.h5", "--out", "fast", "--device", "cpu",
        "--problems", "8", "--decisions", "1", "--steps", "2", "--batch", "4",
    )  # fmt: skip
    assert code == 0, printed
    assert "next: jepa-agent evaluate --checkpoint fast" in printed
    assert isinstance(JEPAAgent.load(tmp_path / "fast").planner, Proposal)
