"""When a training compiles."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from jepa_agent import Preset, Trajectories
from jepa_agent.training import task as tasks
from jepa_agent.training.world_model import WorldModelTask


class Long(WorldModelTask):
    """Looks as if it trained on a GPU, for as many steps as `stages` says."""

    def pretend(self, device: str, steps: int, compiled: bool | None) -> bool:
        """Whether it would compile."""
        self.device, self.stages = torch.device(device), (steps,)
        self.config = dataclasses.replace(self.config, compiled=compiled)
        return self.compile(len) != len


@pytest.fixture
def task(
    tiny_trajectories: Trajectories, tiny_preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> Long:
    """A task that marks what it compiles."""
    monkeypatch.setattr(torch, "compile", lambda module: (module, "compiled"))
    return Long(tiny_trajectories, tiny_preset, torch.device("cpu"))


@pytest.mark.parametrize(
    ("device", "steps", "compiled", "expected"),
    [
        ("cpu", 100_000, None, False),
        ("cuda", 6_900, None, False),
        ("cuda", 10_000, None, True),
        ("cuda", 100_000, False, False),
        ("cpu", 3, True, True),
    ],
)
def test_it_is_the_default_where_it_pays(
    task: Long, monkeypatch: pytest.MonkeyPatch,
    device: str, steps: int, compiled: bool | None, expected: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(tasks, "missing_compiler", lambda device: None)
    assert task.pretend(device, steps, compiled) == expected


def test_without_a_compiler_it_is_left_out_or_refused(
    task: Long, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "nowhere")
    monkeypatch.setenv("CC", "nowhere")
    assert not task.pretend("cuda", 100_000, None)
    with pytest.raises(ValueError, match="compiling for cpu needs the compiler nowhere"):
        task.pretend("cpu", 3, True)
