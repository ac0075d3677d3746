"""Compiled searches plan the same, and can be copied and replayed."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, WorldModel
from jepa_agent.agent.costs import CostConfig
from jepa_agent.models.encoders import ImpalaConfig
from jepa_agent.models.predictors import GRUConfig
from jepa_agent.models.proposals import ProposalsConfig
from jepa_agent.planners import (
    PLANNERS,
    CEMConfig,
    MPPIConfig,
    Plan,
    PlannerConfig,
    ProposalConfig,
    RandomShooting,
    SubgoalsConfig,
    make_planner,
)

from .observing import observations


@pytest.fixture
def overwriting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile as CUDA graphs do: every call returns the same tensors, with new numbers."""

    def compiled(search: Callable[..., Plan], **_: object) -> Callable[..., Plan]:
        kept: list[Plan] = []

        def replayed(*problem: object) -> Plan:
            actions, cost, trace = search(*problem)
            if not kept:
                kept.append(Plan(actions, cost, trace))
            kept[0].actions.copy_(actions)
            kept[0].cost.copy_(cost)
            for mine, new in zip(kept[0].trace, trace, strict=True):
                for old, fresh in zip(mine, new, strict=True):
                    old.copy_(fresh)
            return kept[0]

        return replayed

    monkeypatch.setattr(torch, "compile", compiled)


@pytest.mark.parametrize(
    "sent", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))]
)
def test_a_compiled_agent_can_be_copied_and_sent_to_another_process(
    tiny_agent: JEPAAgent, overwriting: None, sent: Callable[[JEPAAgent], JEPAAgent]
) -> None:
    batch = observations(tiny_agent, 2)
    expected, _ = tiny_agent.act(batch)
    tiny_agent.compile()
    again = sent(tiny_agent)
    np.testing.assert_array_equal(again.act(batch)[0], expected)
    again.planner = RandomShooting()  # its own, and not that of the agent it was made of
    assert (again.act(batch)[0] != tiny_agent.act(batch)[0]).any()


def test_a_compiled_agents_plans_stay_what_they_are(
    tiny_agent: JEPAAgent, overwriting: None
) -> None:
    batch = observations(tiny_agent, 2)
    plain = [tiny_agent.act(batch)[1]]
    tiny_agent.seed = 1
    plain.append(tiny_agent.act(batch)[1])
    tiny_agent.seed = 0
    tiny_agent.compile()
    tiny_agent.act(batch)  # notes which random numbers the search needs
    replayed = [tiny_agent.act(batch)[1]]
    tiny_agent.seed = 1
    replayed.append(tiny_agent.act(batch)[1])
    assert not torch.equal(plain[0].plan, plain[1].plan)
    for expected, found in zip(plain, replayed, strict=True):
        assert torch.equal(found.plan, expected.plan)
        np.testing.assert_array_equal(found.actions, expected.actions)
        assert expected.search is not None
        assert found.search is not None
        assert torch.equal(found.search.actions, expected.search.actions)
        assert torch.equal(found.search.cost, expected.search.cost)
        assert torch.equal(found.search.trace.costs[-1], expected.search.trace.costs[-1])
        assert torch.equal(found.search.trace.candidates[0], expected.search.trace.candidates[0])


PROPOSALS = ProposalsConfig(heads=3, horizon=2, reach=2, width=16, depth=1)
SUBGOALS = SubgoalsConfig(MPPIConfig(horizon=2, num_samples=8), rounds=3, width=2, branch=3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler uses what torch has deprecated
@pytest.mark.parametrize(
    ("planner", "changes"),
    [
        *[(PLANNERS[name](), {}) for name in ("cem", "icem", "mppi", "random")],
        (CEMConfig(2, 8, 2, 2), {"predictor": GRUConfig(), "encoder": ImpalaConfig((2,))}),
        (ProposalConfig(horizon=2), {"proposals": PROPOSALS}),
        (SUBGOALS, {}),
    ],
    ids=["cem", "icem", "mppi", "random", "GRU", "proposal", "subgoals"],
)  # fmt: skip
def test_a_search_is_one_graph(
    tiny_agent: JEPAAgent,
    monkeypatch: pytest.MonkeyPatch,
    planner: PlannerConfig,
    changes: dict[str, Any],
) -> None:
    """Whatever is not compiled, such as the random numbers, is outside of it."""
    plain = partial(torch.compile, backend="eager", fullgraph=True, dynamic=False)
    monkeypatch.setattr(torch, "compile", lambda search, **_: plain(search))
    batch = observations(tiny_agent, 2)
    if changes:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = WorldModel(dataclasses.replace(tiny_agent.model.config, **changes))
        tiny_agent.model = model.double().eval().requires_grad_(False)
    tiny_agent.planner, tiny_agent.cost = planner.build(), CostConfig(error_memory=2)
    plans = [tiny_agent.act(batch)[0]]
    tiny_agent.compile()
    plans += [tiny_agent.act(batch)[0] for _ in range(2)]
    np.testing.assert_array_equal(plans[1], plans[0])
    np.testing.assert_array_equal(plans[2], plans[0])


def test_a_compiled_agent_may_change_its_planner(
    tiny_agent: JEPAAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda search, **_: search)
    batch = observations(tiny_agent, 2)
    tiny_agent.compile()
    for name in ("cem", "random", "icem"):  # with other numbers for starts of the same shape
        tiny_agent.planner = make_planner(name)
        expected, _ = copy.copy(tiny_agent).act(batch)
        for _ in range(2):
            np.testing.assert_array_equal(tiny_agent.act(batch)[0], expected)


def test_a_compiled_agent_says_that_costs_are_not_numbers(
    tiny_agent: JEPAAgent, overwriting: None
) -> None:
    batch = observations(tiny_agent, 2)
    tiny_agent.compile()
    tiny_agent.act(batch)
    tiny_agent.model.observation_mean.fill_(math.nan)
    with pytest.raises(ValueError, match="costs must be numbers, got NaN"):
        tiny_agent.act(batch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler uses what torch has deprecated
def test_a_compiled_search_finds_the_same_plans(default_agent: JEPAAgent) -> None:
    compiled = JEPAAgent.load("default")
    compiled.compile()
    observation, _ = default_agent.env_ref.make().reset(seed=3)
    plain, state = default_agent.act(observation)
    compiled.act(observation)  # notes which random numbers the search needs
    same, compiled_state = compiled.act(observation)
    np.testing.assert_allclose(same, plain, atol=1e-3)
    torch.testing.assert_close(
        compiled_state.search.trace.costs[0], state.search.trace.costs[0],
        rtol=1e-3, atol=1e-3,
    )  # fmt: skip
