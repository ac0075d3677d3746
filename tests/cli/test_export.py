"""`jepa-agent export`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from jepa_agent import JEPAAgent


def test_a_checkpoint_becomes_a_file(
    tiny_agent: JEPAAgent, exit_of: Callable[..., tuple[int | str | None, str]], tmp_path: Path
) -> None:
    tiny_agent.model.float()
    tiny_agent.save(tmp_path / "run")
    options = ("export", "--checkpoint", "run", "--planner", "random", "--batch", "3")
    code, printed = exit_of(*options, "--out", "files/agent.pt2")
    assert code == 0
    assert "wrote files/agent.pt2, " in printed
    assert "for 3 at once" in printed
    program = torch.export.load(tmp_path / "files/agent.pt2")
    assert [len(shape) for shape in program.example_inputs[0]] == [3, 3, 3, 3]
    code, printed = exit_of(*options, "--out", "agent.bin")
    assert "error: an exported agent's file must end in .onnx or .pt2, got 'agent.bin'" in printed
