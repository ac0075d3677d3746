"""The shipped agents are as good as they were when they were trained, on layouts never seen.

The tasks are fixed, so the bounds leave room for the last bits of other machines alone.
"""

from __future__ import annotations

from functools import partial

import pytest

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.envs import CollectConfig, collect
from jepa_agent.evaluation.diagnostics import diagnose
from jepa_agent.evaluation.episodes import play
from jepa_agent.evaluation.metrics import summarise

HELD_OUT = 50_000
"""The first seed of the tasks."""


def test_it_knows_places_distances_and_what_comes_next(default_agent: JEPAAgent) -> None:
    """Measured: 0.17 px, 0.982 (0.988, 0.974), 1.9 and 3.0 px, 6.6 %, 41 directions."""
    config = CollectConfig("mixed", "test", episodes=256, steps=60, seed=10_000)
    data = Trajectories.from_rollouts(*collect(config))
    found = diagnose(default_agent, data, data, episodes=0)
    assert found.position_error < 0.25
    assert found.rank_correlation > 0.975
    assert (found.rank_correlations["same room"] or 0.0) > 0.98
    assert (found.rank_correlations["through the door"] or 0.0) > 0.965
    near, far = found.open_loop_error
    assert near < 2.3
    assert far < 3.6
    assert found.violations < 0.08
    assert found.collapse.rank_me > 36


def test_it_reaches_goals_by_short_ways(default_agent: JEPAAgent) -> None:
    """Measured: 1.067 times the fewest steps."""
    make = partial(default_agent.env_ref.make, layout="test")
    played = summarise("agent", "test", play(default_agent, make, range(HELD_OUT, HELD_OUT + 12)))
    assert played.success == 1.0
    assert played.steps_ratio < 1.1


@pytest.mark.slow
def test_it_reaches_64_goals_of_64_and_stays(default_agent: JEPAAgent) -> None:
    """Measured: 1.062 times the fewest steps."""
    make = partial(
        default_agent.env_ref.make, layout="test", terminate_on_success=False, max_episode_steps=64
    )
    played = summarise("agent", "test", play(default_agent, make, range(HELD_OUT, HELD_OUT + 64)))
    assert played.success == played.success_end == played.success_strict == 1.0
    assert played.steps_ratio < 1.09


@pytest.fixture(scope="module")
def mazes_agent() -> JEPAAgent:
    return JEPAAgent.load("mazes")


@pytest.mark.parametrize(
    ("path", "count", "ratio"),
    [((9, 12), 6, 2.0), pytest.param((13, 16), 48, 1.35, marks=pytest.mark.slow)],
)
def test_it_reaches_far_goals_in_mazes(
    mazes_agent: JEPAAgent, path: tuple[int, int], count: int, ratio: float
) -> None:
    """Measured: all of them, in 1.47 and 1.24 times the fewest steps."""
    settings = {"layout": "test", "cells": (4, 6), "path": path, "terminate_on_success": True}
    make = partial(mazes_agent.env_ref.make, **settings, max_episode_steps=250)
    seeds = range(HELD_OUT, HELD_OUT + count)
    played = summarise("agent", "mazes", play(mazes_agent, make, seeds))
    assert played.success > 0.9
    assert played.steps_ratio < ratio
