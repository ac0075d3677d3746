"""Decisions of every planner, episodes, the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from made import CPU, CUDA, launches
from pretended import Seen

from jepa_agent import EnvRef, JEPAAgent, WorldModel
from jepa_agent.agent.costs import CostConfig
from jepa_agent.evaluation.episodes import play
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.models.world_model import WorldModelConfig
from jepa_agent.planners import (
    DISCRETE_PLANNERS,
    PLANNERS,
    ActionBounds,
    CEMConfig,
    GradientConfig,
    MPPIConfig,
)
from jepa_agent.viz.session import Session

IN_A_DECISION = 3
"""Launches of a decision by its graph: the last plans and errors, the graph, a copy of all."""
FOR_A_MEMORY, FOR_SOME = 11, 18
"""Launches beside them: to make an error memory, and to pick and put back rows that decide."""
WAITS_IN_A_DECISION = 2
"""Waits of the host in a decision: for the check that costs are numbers, and for the actions."""


def agent_of(bounds: ActionBounds, device: torch.device) -> JEPAAgent:
    """An untrained agent of vectors."""
    config = WorldModelConfig((4,), len(bounds.low), 0, 3, 8, encoder=VectorMLPConfig(16, 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WorldModel(config)
    return JEPAAgent(model.to(device), bounds, EnvRef("Nowhere-v0", {}))


def check_decisions(seen: Seen, name: str) -> None:
    """A planner plans on the device what it plans on the CPU, bit for bit, also in batches and
    from its memory; a decision waits twice for the device, and a held step never."""
    discrete = name not in PLANNERS
    bounds = ActionBounds.one_hot((3, 2)) if discrete else ActionBounds((-1.0, 0.0), (1.0, 5.0))
    settings = {} if name in ("cem-gradient", "subgoals") else {"horizon": 2}
    kind = (PLANNERS | DISCRETE_PLANNERS)[name](**settings, knots=2)
    if name == "cem-gradient":
        steps = replace(kind.gradient, iterations=2, horizon=2)
        kind = replace(kind, cem=CEMConfig(2, 8, 2, 2), gradient=steps)
    elif name == "subgoals":
        kind = replace(kind, rounds=3, width=4, branch=4)
    elif isinstance(kind, GradientConfig):
        kind = replace(kind, iterations=2)
    here, there = agent_of(bounds, CPU), agent_of(bounds, CUDA)
    for agent in (here, there):
        agent.planner, agent.cost = kind.build(), CostConfig(error_memory=2)
    rng, states = np.random.default_rng(0), [None, None]
    for step in range(7):
        seen_now, goal = rng.normal(size=(2, 3, 4)).astype(np.float32)
        batch = {"observation": seen_now, "desired_goal": goal}
        seen.clear()
        action, states[1] = there.act(batch, states[1])
        waits, most = seen.waits.total(), WAITS_IN_A_DECISION if step % 3 == 0 else 0
        assert waits <= most, f"{name} waits {waits} times in step {step}: {dict(seen.waits)}"
        if step == 6 and kind.differentiates:
            launches[f"{name}: decision"] = seen.launches.total()
        elif step == 6:  # recorded, with room for 4, and replayed
            asked = seen.launches.total() - 1
            assert asked == IN_A_DECISION, f"{name}: {asked} launches: {dict(seen.launches)}"
            assert waits == 1, f"a replayed decision of {name} waits {waits} times"
            launches[f"{name}: decision"] = seen.inside.total()
        expected, states[0] = here.act(batch, states[0])
        np.testing.assert_array_equal(action, expected, err_msg=f"{name}, step {step}")


def check_shipped(seen: Seen) -> None:
    """The shipped agent's decisions are one graph, for one environment and for several, and where
    only some of them decide."""
    agent, rng = JEPAAgent.load("default", CUDA), np.random.default_rng(0)
    asked = []
    for count in (1, 2):
        pictures = rng.integers(0, 256, (2, count, 65, 65, 3), dtype=np.uint8)
        batch = dict(zip(("observation", "desired_goal"), pictures, strict=True))
        for _ in range(4):  # of new episodes
            seen.clear()
            _, state = agent.act(batch)
        asked.append(seen.launches.total())
        launches[f"shipped: decision for {count}"] = seen.inside.total()
    seen.clear()  # in the next step, one of two episodes is new
    agent.act(batch, state, np.array([True, False]))
    asked.append(seen.launches.total())
    expected = [IN_A_DECISION + FOR_A_MEMORY] * 2 + [IN_A_DECISION + FOR_SOME]
    assert asked == expected, f"{asked} launches, the last {dict(seen.launches)}"


def check_episodes(seen: Seen) -> None:
    """The shipped agent plays the same episodes on the device, and in the window's thread."""
    agents = [JEPAAgent.load("default", device) for device in (CPU, CUDA)]
    for agent in agents:
        agent.planner = MPPIConfig(horizon=2, num_samples=16, iterations=2).build()
    make = partial(agents[0].env_ref.make, max_episode_steps=12)
    here, there = ([episode.steps for episode in play(a, make, range(2))] for a in agents)
    assert here == there, f"episodes of {there} steps, on the CPU of {here}"
    trails = []
    for agent in agents:
        session = Session(agent, terminate_on_success=False)
        for _ in range(7):
            session.step(wait=True)
        trails.append(session.trail)
        view = session.view()
        assert isinstance(view.plan, np.ndarray)
        session.close()
    np.testing.assert_array_equal(*trails)


CHECKS: dict[str, Callable[[Seen], None]] = {
    **{
        f"decisions of {name}": partial(check_decisions, name=name)
        for name in (*PLANNERS, *DISCRETE_PLANNERS)
    },
    "decisions of the shipped agent": check_shipped,
    "episodes": check_episodes,
}
