"""An agent with subgoals: what it imagines for them, and how it is saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from jepa_agent import JEPAAgent
from jepa_agent.agent.chunks import Chunks
from jepa_agent.agent.costs import CostConfig
from jepa_agent.agent.error_memory import ErrorMemory
from jepa_agent.agent.imagination import Imagined, imagine
from jepa_agent.planners import MPPIConfig, SubgoalsConfig

LOWER = MPPIConfig(horizon=2, num_samples=8)


def observation(count: int) -> dict[str, np.ndarray]:
    """Pictures of dots, and of others as goals."""
    rng = np.random.default_rng(0)
    shape = (count, 65, 65, 3)
    seen, wanted = (rng.integers(0, 255, shape).astype(np.uint8) for _ in range(2))
    return {"observation": seen, "desired_goal": wanted}


def test_a_chunk_is_imagined_as_plans_are(tiny_agent: JEPAAgent) -> None:
    model, chunks = tiny_agent.model, Chunks(tiny_agent.model.config.chunk)
    latents = torch.randn(3, 8, generator=torch.Generator().manual_seed(1)).to(
        model.observation_mean
    )
    actions = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(2)).to(latents)
    fresh = torch.ones(3, dtype=torch.bool)
    memory = ErrorMemory.none(model, 3, 4, torch.ones(2))
    memory = memory.observe_outcome(model, latents + 1, actions[:, 0], fresh)
    memory = memory.expect(model, chunks.fill(actions[:, 0, None]))
    memory = memory.observe_outcome(model, latents, actions[:, 0], ~fresh)
    for known in (None, memory):
        ends = Imagined(model, known, chunks).step(latents[:, None].expand(-1, 5, -1), actions)
        expected, _ = imagine(model, latents, actions[:, :, None], known)
        torch.testing.assert_close(ends, expected[:, :, 0])


def test_it_plays_and_is_saved_with_the_planner_below(
    tiny_agent: JEPAAgent, tmp_path: Path
) -> None:
    config = SubgoalsConfig(LOWER, rounds=3, width=2, branch=3, near=0.0)
    tiny_agent.planner, tiny_agent.cost = config.build(), CostConfig(error_memory=2)
    seen = observation(2)
    actions, _ = tiny_agent.act(seen)
    tiny_agent.save(tmp_path)
    again = JEPAAgent.load(tmp_path, "cpu")
    assert again.planner.config == config  # type: ignore[attr-defined]
    np.testing.assert_allclose(again.act(seen)[0], actions, atol=1e-6)
