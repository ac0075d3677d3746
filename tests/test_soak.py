"""Nothing grows: memory and open files after many resets and many planned episodes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent import JEPAAgent
from jepa_agent.evaluation.episodes import play
from jepa_agent.planners import MPPI, MPPIConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


def resident() -> int:
    """Bytes of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_hundred_thousand_resets_leave_nothing_behind() -> None:
    env = gym.make("TwoRooms-v0")
    for seed in range(5_000):
        env.reset(seed=seed)
    memory, files = resident(), open_files()
    for seed in range(100_000):
        env.reset(seed=seed)
    assert resident() - memory < 8 << 20
    assert open_files() == files


def test_a_thousand_planned_episodes_leave_nothing_behind(tiny_agent: JEPAAgent) -> None:
    tiny_agent.model.float()
    tiny_agent.planner = MPPI(MPPIConfig(num_samples=8, iterations=1))

    def make() -> gym.Env:
        return tiny_agent.env_ref.make(terminate_on_success=False, max_episode_steps=20)

    play(tiny_agent, make, range(128))
    memory, files = resident(), open_files()
    episodes = play(tiny_agent, make, range(1_000))
    assert len(episodes) == 1_000
    assert {episode.error for episode in episodes} == {None}
    assert resident() - memory < 32 << 20
    assert open_files() == files
    assert np.isfinite([episode.steps or 0 for episode in episodes]).all()
