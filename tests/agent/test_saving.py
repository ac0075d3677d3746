"""Agents that are saved and loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from jepa_agent import JEPAAgent
from jepa_agent.planners import (
    ActionBounds,
    CandidateTracker,
    Cost,
    Noise,
    Plan,
)

from .observing import observations


def test_a_loaded_agent_plays_like_the_saved_one(tiny_agent: JEPAAgent, tmp_path: Path) -> None:
    tiny_agent.model.float()
    tiny_agent.save(tmp_path)
    batch = observations(tiny_agent, 3)
    loaded = JEPAAgent.load(tmp_path)
    np.testing.assert_array_equal(loaded.predict(batch)[0], tiny_agent.predict(batch)[0])
    other = JEPAAgent.load(str(tmp_path), seed=1)
    assert (other.predict(batch)[0] != tiny_agent.predict(batch)[0]).any()


def test_a_planner_that_a_checkpoint_cannot_record_is_not_saved(
    tiny_agent: JEPAAgent, tmp_path: Path
) -> None:
    class Lazy:
        horizon = 2

        def plan(self, cost: Cost, bounds: ActionBounds, noise: Noise, warm_start: Tensor) -> Plan:
            search = CandidateTracker(cost)
            search.evaluate(warm_start[:, None])
            return search.plan()

    tiny_agent.planner = Lazy()
    actions, _ = tiny_agent.predict(observations(tiny_agent, 2))
    assert (actions == 0.0).all()
    with pytest.raises(TypeError, match=r"at the top of a module.*got .*Lazy"):
        tiny_agent.save(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_in_half_precision_takes_half_the_space(
    default_agent: JEPAAgent, tmp_path: Path
) -> None:
    sizes = []
    for name, half in (("whole", False), ("half", True)):
        default_agent.save(tmp_path / name, half=half)
        (weights,) = (tmp_path / name).glob("*.safetensors")
        sizes.append(weights.stat().st_size)
    assert sizes[1] < 0.6 * sizes[0]
    again = JEPAAgent.load(tmp_path / "half")
    for name, tensor in default_agent.model.state_dict().items():
        restored = again.model.state_dict()[name]
        assert restored.dtype == torch.float32
        torch.testing.assert_close(restored, tensor, rtol=1e-3, atol=1e-4)
