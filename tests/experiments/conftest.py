"""Baselines of milliseconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from jepa_agent.experiments import baselines
from jepa_agent.experiments.baselines import Baseline


@pytest.fixture
def small() -> Callable[[str], Baseline]:
    """Make a baseline update at once, on little."""

    def shrink(name: str) -> Baseline:
        baseline = baselines.BASELINES[name]
        settings = dict(baseline.settings)
        if name.startswith("ppo"):
            settings |= {"n_steps": 8, "batch_size": 32}
        else:
            settings |= {"learning_starts": 1700, "batch_size": 16, "buffer_size": 4000,
                         "gradient_steps": 1}  # fmt: skip
        return dataclasses.replace(baseline, settings=settings)

    return shrink
