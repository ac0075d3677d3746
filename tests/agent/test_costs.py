"""Planning costs against their plain definition."""

from __future__ import annotations

import pytest
import torch

from jepa_agent import JEPAAgent
from jepa_agent.agent.costs import NEAR, CostConfig, PlanningCost
from jepa_agent.agent.imagination import imagine
from jepa_agent.models.distances import BlockNormConfig, DistanceHeadConfig, QuasimetricConfig


@pytest.mark.parametrize(
    ("distance", "near_weight"), [("learned", 0.0), ("learned", 2.0), ("latent", 0.0)]
)
@pytest.mark.parametrize("reduction", ["sum", "last", "discounted"])
@pytest.mark.parametrize("action_cost", [0.0, 0.3])
@pytest.mark.parametrize("head", [BlockNormConfig(), QuasimetricConfig()])
def test_cost_is_what_its_config_says(
    tiny_agent: JEPAAgent,
    distance: str,
    near_weight: float,
    reduction: str,
    action_cost: float,
    head: DistanceHeadConfig,
) -> None:
    """With a quasimetric, it is the distance to the goal and not that from it."""
    model = tiny_agent.model
    model.distance_head = head.build(8).double()
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 8, generator=generator, dtype=torch.float64)
    goals = torch.randn(2, 8, generator=generator, dtype=torch.float64)
    actions = torch.randn(2, 3, 4, 2, generator=generator, dtype=torch.float64)
    config = CostConfig(distance, near_weight, reduction, 0.7, action_cost)
    costs = PlanningCost(model, latents, goals, config)(actions)
    for problem in range(2):
        for candidate in range(3):
            latent, ways = latents[problem], []
            for action in actions[problem, candidate]:
                latent = model.predict(latent, action.repeat(model.config.chunk))
                apart = ((latent - goals[problem]) ** 2).mean()
                learned = model.distance(latent, goals[problem])
                ways.append(
                    apart
                    if distance == "latent"
                    else learned + near_weight * apart / (apart + NEAR)
                )
            expected = {
                "sum": sum(ways),
                "last": ways[-1],
                "discounted": sum(0.7**i * way for i, way in enumerate(ways)),
            }[reduction]
            norms = [action.norm() ** 2 for action in actions[problem, candidate]]
            expected = expected + action_cost * sum(norms) / len(norms)
            torch.testing.assert_close(costs[problem, candidate], expected)


def test_imagination_holds_an_action_for_a_chunk(tiny_agent: JEPAAgent) -> None:
    model = tiny_agent.model
    latents = torch.randn(1, 8, dtype=torch.float64)
    actions = torch.randn(1, 1, 2, 2, dtype=torch.float64)
    held = actions[0, 0].repeat(1, model.config.chunk)
    expected = model.rollout(latents[0], held)
    torch.testing.assert_close(imagine(model, latents, actions)[0][0, 0], expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"distance": "energy"}, "distance must be one of .*'energy'"),
        ({"reduction": "mean"}, "reduction must be one of .*'mean'"),
        ({"discount": 0.0}, "discount must be in"),
        ({"action_cost": -1.0}, "action_cost must be >= 0, got -1.0"),
        ({"near_weight": 1.0, "distance": "latent"}, "near_weight adds to the learned"),
    ],
)
def test_bad_configs(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CostConfig(**fields)
