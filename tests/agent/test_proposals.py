"""Agents that plan from proposals, and to a deadline."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from jepa_agent import EnvRef, JEPAAgent, Preset, WorldModel
from jepa_agent.agent import search
from jepa_agent.agent.chunks import Chunks
from jepa_agent.agent.costs import CostConfig, PlanningCost
from jepa_agent.models.proposals import ProposalsConfig
from jepa_agent.planners import ActionBounds, Noise, PlannerConfig, ProposalConfig, ReactiveConfig

SEEN = {
    "observation": np.full((65, 65, 3), 30, dtype=np.uint8),
    "desired_goal": np.full((65, 65, 3), 90, dtype=np.uint8),
}


def agent_with(preset: Preset, planner: PlannerConfig, reduction: str = "deadline") -> JEPAAgent:
    """An untrained agent whose model proposes 3 sequences of 2 chunks."""
    proposals = ProposalsConfig(heads=3, horizon=2, reach=2, width=16, depth=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WorldModel(dataclasses.replace(preset.model, proposals=proposals))
    return JEPAAgent(
        model.double(),
        ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0),
        EnvRef("TwoRooms-v0", {"layout": "fixed"}),
        planner.build(),
        CostConfig(reduction=reduction),
    )


def test_without_a_search_the_likeliest_proposal_is_played(tiny_preset: Preset) -> None:
    agent = agent_with(tiny_preset, ReactiveConfig(horizon=2, knots=3), "arrival")
    action, state = agent.act(SEEN)
    ahead = agent.model.proposals.chunks_ahead(state.latents, state.goal_latents, 0.5)
    expected = agent.model.propose(state.latents, state.goal_latents, ahead, 2)[0, 0]
    expected = agent.bounds.project(expected.unflatten(-1, (3, 2)).flatten(0, 1))
    torch.testing.assert_close(state.plan[0], expected.float())
    np.testing.assert_allclose(action, expected[0], rtol=1e-6)


def test_a_search_is_never_worse_than_its_proposals_and_the_best_of_them(
    tiny_preset: Preset,
) -> None:
    found = [
        agent_with(tiny_preset, ProposalConfig(horizon=2, iterations=n, knots=3)).act(SEEN)[1]
        for n in (1, 2, 4)
    ]
    costs = [float(state.search.cost) for state in found if state.search]
    assert costs[2] < costs[1] < costs[0]


@pytest.fixture
def lefts(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The chunks left, of each problem of each search."""
    noted: list[list[int]] = []

    def cost(*args: Any) -> PlanningCost:
        noted.append(args[-2].tolist())
        return PlanningCost(*args)

    monkeypatch.setattr(search, "PlanningCost", cost)
    return noted


def test_the_deadline_comes_nearer_and_is_set_anew(
    tiny_preset: Preset, lefts: list[list[int]]
) -> None:
    agent = agent_with(tiny_preset, ProposalConfig(horizon=3, iterations=1))
    both = {name: np.stack([image, image]) for name, image in SEEN.items()}
    state = None
    for step in range(15):
        # the second environment begins again after its first chunk
        begun = np.array([step == 0, step in (0, 3)])
        _, state = agent.act(both, state, begun)
    assert lefts == [[3, 3], [2, 3], [1, 2], [3, 1], [2, 3]]


def test_an_arrival_is_when_the_proposals_expect_it(
    tiny_preset: Preset, monkeypatch: pytest.MonkeyPatch, lefts: list[list[int]]
) -> None:
    agent = agent_with(tiny_preset, ProposalConfig(horizon=2, iterations=1), "arrival")
    assert agent.model.proposals is not None
    for expected, left in ((1, 1), (2, 2), (5, 2)):
        asked = Mock(return_value=torch.tensor([expected]))
        monkeypatch.setattr(agent.model.proposals, "chunks_ahead", asked)
        agent.act(SEEN)
        assert lefts.pop() == [left]
        assert asked.call_args.args[2] == 0.5
        agent.cost = dataclasses.replace(agent.cost, arrival=0.1)  # when the quickest were there
        agent.act(SEEN)
        assert lefts.pop() == [left]
        assert asked.call_args.args[2] == 0.1
        agent.cost = dataclasses.replace(agent.cost, arrival=0.5)


def test_a_deadline_counts_the_distance_at_its_time(tiny_agent: JEPAAgent) -> None:
    model = tiny_agent.model
    latents, goals = torch.randn(2, 3, 8, dtype=torch.float64)
    actions = torch.randn(3, 4, 5, 2, dtype=torch.float64)
    costs = PlanningCost(
        model, latents, goals, CostConfig(reduction="deadline"), left=torch.tensor([1, 3, 5])
    )(actions)
    for row, left in enumerate([1, 3, 5]):
        last = PlanningCost(model, latents, goals, CostConfig(reduction="last"))
        torch.testing.assert_close(costs[row], last(actions[:, :, :left])[row])


@pytest.mark.parametrize("knots", [1, 2, 5])
def test_knots_are_fitted_to_the_actions_that_they_fill(knots: int) -> None:
    chunks = Chunks(5, knots)
    planned = torch.randn(2, 3, knots, 2, dtype=torch.float64)
    torch.testing.assert_close(chunks.fit(chunks.fill(planned)), planned)


def test_a_saved_agent_proposes_the_same(tiny_preset: Preset, tmp_path: Path) -> None:
    agent = agent_with(tiny_preset, ProposalConfig(horizon=2))
    agent.model.float()
    agent.save(tmp_path)
    loaded = JEPAAgent.load(tmp_path)
    np.testing.assert_array_equal(agent.act(SEEN)[0], loaded.act(SEEN)[0])
    assert loaded.planner.config == agent.planner.config  # type: ignore[attr-defined]


def test_a_goal_that_is_a_state_is_searched_without_proposals(tiny_preset: Preset) -> None:
    agent = agent_with(tiny_preset, ProposalConfig(horizon=2))
    agent.set_goal_state({"x": 3.0})
    _, state = agent.act(SEEN["observation"])
    assert state.search is not None
    assert state.search.trace.candidates[0].shape[1] == 128


def test_an_arrival_needs_proposals(tiny_agent: JEPAAgent) -> None:
    parts = (tiny_agent.model, tiny_agent.bounds, None, None)
    with pytest.raises(ValueError, match=r'"arrival" needs a model with proposals.*"deadline"'):
        JEPAAgent(*parts, CostConfig(reduction="arrival"))


def test_few_candidates_are_the_proposals_the_last_plan_and_idling_and_need_no_noise(
    tiny_preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Noise, "normal", lambda *_, **__: pytest.fail("nothing is varied"))
    agent = agent_with(tiny_preset, ProposalConfig(2, 5, 1, 1))
    _, state = agent.act(SEEN)
    (candidates,) = state.search.trace.candidates
    assert candidates.shape == (1, 5, 2, 2)
    assert (candidates[:, 3:] == 0).all()  # the last plan of an episode that begins, and idling


def test_a_reactive_agent_needs_proposals_and_remembers_no_errors(
    tiny_preset: Preset, tiny_agent: JEPAAgent
) -> None:
    tiny_agent.planner = ReactiveConfig(horizon=2).build()
    with pytest.raises(ValueError, match=r"plays what a model proposes .* got no proposals; train"):
        tiny_agent.act(SEEN)
    agent = agent_with(tiny_preset, ReactiveConfig(horizon=2))
    agent.cost = CostConfig(error_memory=4)
    _, state = agent.act(SEEN)
    assert state.error_memory is None
    assert state.search is not None
    assert state.search.cost.isnan().all()


def test_a_copy_with_proposals_keeps_all_else(tiny_agent: JEPAAgent) -> None:
    model = tiny_agent.model
    other = model.with_proposals(ProposalsConfig(heads=2, horizon=2, width=16))
    assert other.config.proposals.heads == 2
    again = other.with_proposals(ProposalsConfig(heads=3, horizon=1, width=8))
    latents = torch.randn(4, 8, dtype=torch.float64)
    assert again.propose(latents, latents, torch.ones(4).long(), 1).shape == (4, 3, 1, 6)
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
