"""The planning cost over heads and ends, and the budget of risk in the agent's state."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, WorldModel
from jepa_agent.agent.costs import CostConfig, PlanningCost
from jepa_agent.agent.risk import cvar
from jepa_agent.models.ending import EndingConfig
from jepa_agent.planners import PLANNERS, make_planner

from .observing import CHUNK, observations

CVAR = CostConfig(risk="cvar", alpha=0.3)


@pytest.fixture
def agent(tiny_agent: JEPAAgent) -> JEPAAgent:
    """An untrained agent with three heads, which foresees ends."""
    tiny = tiny_agent.model.config
    config = replace(
        tiny, predictor=replace(tiny.predictor, heads=3), ending=EndingConfig(width=8, depth=1)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WorldModel(config).double()
    torch.nn.init.constant_(model.ending.net[-1].bias, -4.0)
    model.observation_mean.fill_(20.0)
    model.observation_std.fill_(60.0)
    return JEPAAgent(model, tiny_agent.bounds, tiny_agent.env_ref, tiny_agent.planner, CVAR)


def problem() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = (2, 8), (2, 8), (2, 5, 3, 2)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("reduction", ["sum", "last", "discounted"])
def test_it_is_the_cvar_over_heads_and_ends(agent: JEPAAgent, reduction: str) -> None:
    """Against a plain loop over problems, candidates and heads."""
    model, config = agent.model, replace(CVAR, reduction=reduction, discount=0.7)
    latents, goals, candidates = problem()
    costs = PlanningCost(model, latents, goals, config)(candidates)
    weights = {"sum": [1, 1, 1], "last": [0, 0, 1], "discounted": [1, 0.7, 0.49]}[reduction]
    for b in range(2):
        for n in range(5):
            outcomes, chances = [], []
            for head in range(3):
                latent, alive, arrival = latents[b].expand(3, 8), 1.0, 0.0
                for h, action in enumerate(candidates[b, n]):
                    chunk = action.repeat(CHUNK)
                    alive *= 1 - model.chance_of_ending(latent[head], chunk).item()
                    latent = model.predict_heads(latent, chunk)
                    ahead = model.distance(latent[head], goals[b]).item()
                    arrival += weights[h] * (h + 1 + ahead) / sum(weights)
                outcomes += [arrival, config.failure]
                chances += [alive / 3, (1 - alive) / 3]
            values, shares = torch.tensor(outcomes), torch.tensor(chances)
            worst = cvar(values, shares, config.alpha).item()
            mean = (values * shares).sum().item()
            expected = sum(weights) * (mean + worst) / 2
            assert costs[b, n].item() == pytest.approx(expected, rel=1e-5)


def test_at_alpha_1_it_is_neutral(agent: JEPAAgent) -> None:
    latents, goals, candidates = problem()
    one, other = (
        PlanningCost(agent.model, latents, goals, config)(candidates)
        for config in (CostConfig(), replace(CVAR, alpha=1.0))
    )
    torch.testing.assert_close(one, other)


def test_the_smaller_alpha_the_more_an_end_costs(agent: JEPAAgent) -> None:
    latents, goals, candidates = problem()
    costs = torch.stack(
        [
            PlanningCost(agent.model, latents, goals, replace(CVAR, alpha=alpha))(candidates)
            for alpha in (1.0, 0.5, 0.2, 0.05)
        ]
    )
    assert (costs.diff(dim=0) > 0).all()
    assert (PlanningCost(agent.model, latents, goals, replace(CVAR, failure=80.0))(candidates)
            > costs[2]).all()  # fmt: skip


def test_without_foresight_heads_are_averaged(agent: JEPAAgent) -> None:
    agent.model.ending = None
    latents, goals, candidates = problem()
    cost = PlanningCost(agent.model, latents, goals, CostConfig())(candidates)
    filled = candidates.repeat(1, 1, 1, CHUNK)
    start = latents[:, None].expand(-1, 5, -1)
    imagined = agent.model.rollout_heads(start, filled)
    each = agent.model.distance(imagined, goals[:, None, None]).sum(dim=-1)
    torch.testing.assert_close(cost, each.mean(dim=0))


@pytest.mark.parametrize("planner", sorted(PLANNERS))
def test_every_planner_plans_with_it_alone_as_among_others(agent: JEPAAgent, planner: str) -> None:
    agent.planner = make_planner(planner)
    seen = observations(agent, 3)
    actions, state = agent.act(seen)
    alone, _ = agent.act({key: value[1:2] for key, value in seen.items()})
    np.testing.assert_allclose(actions[1:2], alone, atol=1e-9)
    assert state.outlook is not None
    assert state.outlook.paths.shape[:2] == (3, 3)
    assert ((state.outlook.ending > 0) & (state.outlook.ending < 1)).all()
    assert (state.outlook.disagreement > 0).all()


def test_the_budget_is_chosen_once_spent_by_the_chunk_and_forgotten(agent: JEPAAgent) -> None:
    seen = observations(agent, 2)
    _, state = agent.act(seen)
    assert state.budget is not None
    assert state.outlook is not None
    first = state.budget
    torch.testing.assert_close(first, (1 + CVAR.slack) * state.outlook.worst)
    for step in range(1, 2 * CHUNK):
        _, state = agent.act(seen, state)
        torch.testing.assert_close(state.budget, first - step // CHUNK)
    picked = state.select(np.array([1]))
    torch.testing.assert_close(picked.budget, state.budget[1:])
    _, state = agent.act(seen, state, np.array([True, False]))
    anew = (1 + CVAR.slack) * state.outlook.worst[0]
    torch.testing.assert_close(state.budget, torch.stack([anew, first[1] - 2]))


def test_a_budget_that_is_spent_makes_time_count_as_much_as_failure(agent: JEPAAgent) -> None:
    latents, goals, candidates = problem()
    spent = torch.full((2,), -10.0, dtype=torch.float64)
    config = replace(CVAR, alpha=1.0)
    cost = PlanningCost(agent.model, latents, goals, config, budget=spent)(candidates)
    torch.testing.assert_close(
        cost, PlanningCost(agent.model, latents, goals, CostConfig())(candidates)
    )


def test_what_is_not_in_chunks_has_no_cvar(agent: JEPAAgent) -> None:
    with pytest.raises(ValueError, match="measured in chunks"):
        CostConfig(distance="latent", risk="cvar")
    agent.set_goal_state([20.0, 20.0])
    with pytest.raises(ValueError, match="measured in chunks"):
        agent.act(observations(agent, 1))
