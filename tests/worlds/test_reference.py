from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gymnasium as gym

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent.worlds.reference import importable_id

OTHER_WORLD = """
import gymnasium as gym, numpy as np
class Point(gym.Env):
    observation_space = action_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}
    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}
gym.register("OtherPoint-v0", entry_point="otherworld:Point", max_episode_steps=5)
"""


def test_an_environment_of_another_package_is_made_again_in_a_fresh_process(tmp_path: Path) -> None:
    (tmp_path / "otherworld.py").write_text(OTHER_WORLD)

    def run(code: str) -> None:
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()

    run("import gymnasium as gym; from jepa_agent.data.recording import record;"
        "record(gym.make('otherworld:OtherPoint-v0'), 'p.h5', 2, 5)")  # fmt: skip
    run("from jepa_agent import Trajectories; from jepa_agent.data.source import env_of;"
        "env_of(Trajectories.load('p.h5')).make()")  # fmt: skip


def test_gymnasiums_own_need_no_module() -> None:
    assert importable_id(gym.make("Pendulum-v1")) == "Pendulum-v1"
    assert importable_id(gym.make("TwoRooms-v0")) == "jepa_agent:TwoRooms-v0"
