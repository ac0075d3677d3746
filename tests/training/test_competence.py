"""A world model learnt from nothing plans: minutes, not milliseconds."""

from __future__ import annotations

from functools import partial

import pytest

from jepa_agent import Trajectories, train
from jepa_agent.envs import collect
from jepa_agent.evaluation.episodes import play
from jepa_agent.presets import DATA, QUICK


@pytest.mark.slow
def test_quick_reaches_its_goals() -> None:
    """On tasks that it was not trained on; about 4 minutes on two idle cores."""
    agent = train(Trajectories.from_rollouts(*collect(DATA["quick"])), QUICK)
    make = partial(agent.env_ref.make, max_episode_steps=100)
    played = play(agent, make, range(50_000, 50_100))
    assert sum(episode.success for episode in played) >= 95
