"""Decisions that are recorded once and replayed, with a stand-in for CUDA graphs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from jepa_agent import JEPAAgent
from jepa_agent.agent import replayed
from jepa_agent.agent.costs import CostConfig
from jepa_agent.agent.error_memory import ErrorMemory
from jepa_agent.agent.replayed import Answer, Question, Replayed, answer
from jepa_agent.planners import CEMConfig, MPPIConfig, Noise, base

from .tape import Graph, Recording


@pytest.fixture
def agent(tiny_agent: JEPAAgent, graphs: list[Graph], monkeypatch: pytest.MonkeyPatch) -> JEPAAgent:
    """An agent with a memory, whose costs are not read while they are recorded."""
    check = base.check_costs
    monkeypatch.setattr(
        base, "check_costs", lambda costs: None if Recording.active else check(costs)
    )
    tiny_agent.planner = CEMConfig(2, 8, 2, 2).build()
    tiny_agent.cost = CostConfig(error_memory=2)
    return tiny_agent


def question(agent: JEPAAgent, count: int, seed: int = 0) -> Question:
    """About some problems of past episodes."""
    generator = torch.Generator().manual_seed(seed)
    shape = agent.model.config.observation_shape
    unit = torch.ones(2)
    memory = ErrorMemory.none(agent.model, count, 2, unit)
    drawn = [torch.randn(each.shape, generator=generator).to(each) for each in memory[:5]]
    return Question(
        seen=torch.randint(256, (2, count, *shape), generator=generator, dtype=torch.uint8),
        wanted=None,
        fresh=torch.arange(count) % 2 == seed % 2,
        left=torch.arange(count) % 2 + 1,
        plan=torch.randn(count, 2, 2, generator=generator),
        error_memory=ErrorMemory(*drawn, torch.ones_like(memory.known), memory.half_width),
        budget=None,
    )


def tensors(found: Answer) -> list[torch.Tensor]:
    decision = found.decision
    trace = decision.found.trace
    memory = decision.error_memory or ()
    plan = (decision.found.actions, decision.found.cost, *trace.candidates, *trace.costs)
    return [found.latents, found.goals, decision.chunk, *plan, *memory]


def assert_close(one: Answer, other: Answer) -> None:
    """Equal but for the rounding of batches of another size."""
    torch.testing.assert_close(tensors(one), tensors(other), rtol=1e-5, atol=1e-5)


def test_replayed_decisions_are_those_of_others(agent: JEPAAgent, graphs: list[Graph]) -> None:
    decide, kept = Replayed(agent), []
    for seed in range(replayed.WARM_UP + 3):
        count = 4 if seed % 2 else 3  # one graph with room for 4
        asked, seeds = question(agent, count, seed), range(seed, seed + count)
        kept.append((answer(agent, asked, Noise(seeds)), decide(asked, Noise(seeds), None)))
    for expected, found in kept:  # replays leave earlier answers alone
        assert_close(found, expected)
    (graph,) = graphs
    assert graph.replays == 3


def test_another_planner_or_more_problems_are_recorded_anew(
    agent: JEPAAgent, graphs: list[Graph]
) -> None:
    decide = Replayed(agent)

    def decided(count: int) -> None:
        for seed in range(replayed.WARM_UP + 1):
            asked = question(agent, count, seed)
            expected = answer(agent, asked, Noise(range(count)))
            assert_close(decide(asked, Noise(range(count)), None), expected)

    decided(1)
    agent.planner = MPPIConfig(horizon=2, num_samples=8, iterations=2).build()
    decided(1)
    decided(2)
    assert [graph.replays for graph in graphs] == [1, 1, 1]


def test_costs_of_a_replay_must_be_numbers(agent: JEPAAgent, graphs: list[Graph]) -> None:
    decide = Replayed(agent)
    for seed in range(replayed.WARM_UP + 1):
        decide(question(agent, 2, seed), Noise(range(2)), None)
    asked = question(agent, 2)
    with pytest.raises(ValueError, match="costs must be numbers, got NaN for"):
        decide(asked._replace(plan=asked.plan * math.nan), Noise(range(2)), None)


def test_a_failed_recording_warns_in_a_line_and_changes_nothing(
    agent: JEPAAgent, graphs: list[Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Recording):
        def __exit__(self, *failure: Any) -> None:
            super().__exit__(*failure)
            raise RuntimeError("CUDA error:\noperation not permitted")

    monkeypatch.setattr(torch.cuda, "graph", Broken)
    decide = Replayed(agent)
    for seed in range(replayed.WARM_UP + 2):
        asked = question(agent, 3, seed)
        expected = answer(agent, asked, Noise(range(3)))
        if seed == replayed.WARM_UP:
            with pytest.warns(UserWarning, match=r"kernel by kernel.* \(CUDA error: op") as found:
                assert_close(decide(asked, Noise(range(3)), None), expected)
            assert len(found) == 1
        else:
            assert_close(decide(asked, Noise(range(3)), None), expected)
