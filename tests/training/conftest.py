"""Trainings of milliseconds, whole and to look into."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_agent import Preset, Trajectories, train
from jepa_agent.training.world_model import WorldModelTask

Run = Callable[..., dict[str, Tensor]]


@pytest.fixture
def run(tiny_trajectories: Trajectories, tiny_preset: Preset) -> Run:
    """Train with some settings changed; gives the resulting parameters."""

    def run(**changes: Any) -> dict[str, Tensor]:
        training = dataclasses.replace(tiny_preset.training, **changes)
        preset = dataclasses.replace(tiny_preset, training=training)
        return train(tiny_trajectories, preset, "cpu").model.state_dict()

    return run


@pytest.fixture
def task(tiny_trajectories: Trajectories, tiny_preset: Preset) -> WorldModelTask:
    """A training to look into."""
    return WorldModelTask(tiny_trajectories, tiny_preset, torch.device("cpu"))
