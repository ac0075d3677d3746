"""An ensemble of which the search takes the first heads, and the outlook all."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from jepa_agent import JEPAAgent, WorldModel
from jepa_agent.agent.costs import CostConfig, PlanningCost


@pytest.fixture
def model(tiny_agent: JEPAAgent) -> WorldModel:
    """An untrained model of three heads."""
    tiny = tiny_agent.model.config
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return WorldModel(replace(tiny, predictor=replace(tiny.predictor, heads=3))).eval()


@torch.no_grad()
def test_a_search_of_fewer_heads_weighs_the_first_ones(model: WorldModel) -> None:
    torch.manual_seed(2)
    size = model.config.latent_dim
    latents, goals, candidates = torch.randn(2, size), torch.randn(2, size), torch.randn(2, 4, 3, 2)
    every = PlanningCost(model, latents, goals, CostConfig(reduction="last"))
    each = every.foresee(candidates).arrival  # (2, heads, 4)
    for count in (1, 2, 3):
        config = CostConfig(reduction="last", search_heads=count)
        cost = PlanningCost(model, latents, goals, config)
        wanted = each[:, :count].mean(dim=1) - 3
        torch.testing.assert_close(cost(candidates), wanted, atol=1e-4, rtol=1e-4)
        assert cost.foresee(candidates).arrival.shape == each.shape
    with pytest.raises(ValueError, match="all heads"):
        CostConfig(risk="cvar", search_heads=1)
