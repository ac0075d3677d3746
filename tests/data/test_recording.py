"""Recording other people's environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent import Trajectories
from jepa_agent.data.recording import record
from jepa_agent.envs import OraclePolicy
from jepa_agent.registry import import_object


class PushRight:
    """A user's policy."""

    def predict(self, observation: Any, **_: Any) -> tuple[np.ndarray, None]:
        return np.ones(1, dtype=np.float32), None


def test_states_actions_and_frames_of_a_third_party_environment(tmp_path: Path) -> None:
    env = gym.make("Pendulum-v1", render_mode="rgb_array")
    record(env, tmp_path / "pendulum.h5", episodes=2, steps=7, seed=3, pixels=True)
    data = Trajectories.load(tmp_path / "pendulum.h5")
    assert data.states.shape == (16, 3)
    assert data.actions.shape == (14, 1)
    assert data.observations is not None
    assert data.observations.shape == (16, 500, 500, 3)
    assert data.metadata["env_id"] == "Pendulum-v1"
    observation, _ = env.reset(seed=4)
    replayed = [observation]
    for action in data.actions[7:]:
        replayed.append(env.step(action)[0])
    np.testing.assert_array_equal(data.states[8:], np.stack(replayed))
    env.close()


def test_a_users_policy_plays(tmp_path: Path) -> None:
    record(gym.make("Pendulum-v1"), tmp_path / "p.h5", episodes=1, steps=5, policy=PushRight())
    assert (Trajectories.load(tmp_path / "p.h5").actions == 1).all()


def test_images_of_a_dict_observation_and_episodes_that_end(tmp_path: Path) -> None:
    record(gym.make("TwoRooms-v0"), tmp_path / "t.h5", episodes=3, policy=OraclePolicy())
    data = Trajectories.load(tmp_path / "t.h5")
    assert data.observations is not None
    assert data.observations.shape == (len(data.states), 65, 65, 3)
    assert len(set(np.diff(data.offsets))) > 1


def test_same_seed_same_trajectories(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        record(gym.make("Pendulum-v1"), tmp_path / name, episodes=2, steps=5, seed=1)
    first, second = (Trajectories.load(tmp_path / name) for name in ("a.h5", "b.h5"))
    np.testing.assert_array_equal(first.states, second.states)
    np.testing.assert_array_equal(first.actions, second.actions)


def test_errors_name_rule_and_fix(tmp_path: Path) -> None:
    out = tmp_path / "x.h5"
    with pytest.raises(ValueError, match="must be continuous"):
        record(gym.make("CartPole-v1"), out, episodes=1)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        record(gym.make("Pendulum-v1"), out, episodes=0)
    with pytest.raises(ValueError, match="render_mode='rgb_array'"):
        record(gym.make("Pendulum-v1"), out, episodes=1, pixels=True)
    with pytest.raises(ValueError, match=r"package\.module:Name .*'nothing'"):
        import_object("nothing")
    assert not out.exists()
