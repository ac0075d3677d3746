"""The measurement of decisions."""

from __future__ import annotations

import numpy as np
import pytest

from jepa_agent import EnvRef, JEPAAgent
from jepa_agent.experiments import decision_speed as measured
from jepa_agent.planners import Proposal, Reactive


def test_all_ways_of_deciding_are_measured_in_one_run(
    tiny_agent: JEPAAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_agent.model.float()
    world = EnvRef("TwoRooms-v0", {"layout": "fixed", "max_episode_steps": 12})
    tiny_agent.set_environment(world)
    monkeypatch.setattr(measured, "find_spec", lambda name: None)  # exporting takes long
    found = list(measured.decision_speed(2, tiny_agent, decisions=3, episodes=2))
    names = [each.what for each in found]
    ways = ("its own planner", "verified proposals", "reactive")
    for way in ways:
        for kind in ("median", "99th percentile"):
            assert f"{way}, torch: {kind}, wall" in names
            assert f"{way}, torch: {kind}, processor" in names
        assert f"{way}: 2 episodes together" in names
    assert len(found) == 15
    assert all(np.all(each.values > 0) for each in found)


def test_an_agent_without_proposals_gets_a_network_of_the_usual_size(
    tiny_agent: JEPAAgent,
) -> None:
    agents = measured.real_time(tiny_agent)
    own, fast, reactive = agents.values()
    assert own is tiny_agent
    assert own.model.proposals is None
    assert isinstance(fast.planner, Proposal)
    assert isinstance(reactive.planner, Reactive)
    env = own.env_ref.make()
    observation, _ = env.reset(seed=0)
    _, state = fast.act(observation)
    assert [len(costs[0]) for costs in state.search.trace.costs] == [10]
    assert not reactive.act(observation)[1].search.trace.costs
