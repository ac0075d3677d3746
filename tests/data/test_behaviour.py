"""Policies of every kind, in one process and in several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent import Trajectories
from jepa_agent.data.recording import TOGETHER, record


def lazy(env: gym.Env, rng: np.random.Generator) -> np.ndarray:
    """Brakes the pendulum, which it sees in the simulator."""
    speed = env.unwrapped.state[1]
    return np.clip(-speed + rng.normal(0, 0.1, 1), -2, 2).astype(np.float32)


class Wander:
    """Draws from a generator of its own."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)

    def predict(self, observation: Any, state: Any = None, **_: Any) -> tuple[np.ndarray, Any]:
        return self.rng.uniform(-2, 2, 1).astype(np.float32), (state or 0) + 1


class Seeded(Wander):
    """Is seeded by a method."""

    def __init__(self) -> None:
        super().__init__()

    def seed(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)


class Hidden(Wander):
    """Cannot be seeded."""

    def __init__(self) -> None:
        super().__init__()


def recorded(folder: Path, policy: Any, workers: int = 1, **options: Any) -> bytes:
    path = folder / "file.h5"
    env = gym.make("Pendulum-v1", max_episode_steps=3)
    record(env, path, TOGETHER + 2, policy=policy, seed=5, workers=workers, **options)
    return path.read_bytes()


@pytest.mark.parametrize("policy", [None, lazy, Wander, Seeded, Seeded()], ids=range(5))
def test_every_episode_has_a_seed_of_its_own(policy: Any, tmp_path: Path) -> None:
    assert recorded(tmp_path, policy) == recorded(tmp_path, policy)
    actions = Trajectories.load(tmp_path / "file.h5").actions.reshape(-1, 3)
    assert len({*map(tuple, actions.tolist())}) == len(actions)
    record(gym.make("Pendulum-v1", max_episode_steps=3), tmp_path / "one.h5", 1, 9, policy, seed=8)
    alone = Trajectories.load(tmp_path / "one.h5")
    np.testing.assert_array_equal(alone.actions[:, 0], actions[3])


@pytest.mark.slow
@pytest.mark.parametrize("policy", [None, lazy, Wander], ids=range(3))
def test_several_processes_write_the_same_file(policy: Any, tmp_path: Path) -> None:
    done: list[int] = []
    alone = recorded(tmp_path, policy)
    assert recorded(tmp_path, policy, workers=2, progress=done.append) == alone
    assert done == [*range(1, TOGETHER + 3)]


def test_a_policy_may_see_the_simulator(tmp_path: Path) -> None:
    recorded(tmp_path, lazy)
    data = Trajectories.load(tmp_path / "file.h5")
    speed = data.states.reshape(-1, 4, 3)[:, :-1, 2].ravel()
    assert np.abs(data.actions[:, 0] + np.clip(speed, -2, 2)).max() < 0.6


def test_a_policy_without_a_seed_plays_alone(tmp_path: Path) -> None:
    recorded(tmp_path, Hidden)
    actions = Trajectories.load(tmp_path / "file.h5").actions.ravel()
    np.testing.assert_array_equal(
        actions, Wander().rng.uniform(-2, 2, len(actions)).astype(np.float32)
    )
    with pytest.raises(ValueError, match="seeded for every episode, got Hidden; let its constr"):
        recorded(tmp_path, Hidden, workers=2)
    with pytest.raises(ValueError, match=r"must have predict.* got int; write one"):
        recorded(tmp_path, 7)
    with pytest.raises(ValueError, match="workers must be at least 1, got 18, 1000 and 0"):
        recorded(tmp_path, None, workers=0)


def test_wander_holds_its_actions_and_repeats_them_by_the_seed(tmp_path: Path) -> None:
    def actions(policy: str, seed: int) -> np.ndarray:
        record(gym.make("Pendulum-v1"), tmp_path / "w.h5", 3, 60, policy, seed)
        return Trajectories.load(tmp_path / "w.h5").actions.reshape(3, 60)

    held = actions("wander", 0)
    changes = (np.diff(held, axis=1) != 0).mean()
    assert 0.03 < changes < 0.25  # one in 10.5 steps
    assert (np.diff(actions("random", 0), axis=1) != 0).mean() > 0.95
    np.testing.assert_array_equal(held, actions("wander", 0))
    np.testing.assert_array_equal(held[1], actions("wander", 1)[0])
    assert np.abs(held).max() <= 2


def test_an_unknown_name_of_a_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one of \['random', 'wander'\] .* got 'walk'"):
        record(gym.make("Pendulum-v1"), tmp_path / "w.h5", 1, 5, "walk")


def test_wander_may_be_slow(tmp_path: Path) -> None:
    recorded(tmp_path, "wander scale=0.1 steps=2")
    actions = Trajectories.load(tmp_path / "file.h5").actions  # of [-2, 2]
    assert 0.15 < np.abs(actions).max() <= 0.2


@pytest.mark.parametrize("policy", ["wander scale=2", "wander steps=0", "wander speed=1", "walk"])
def test_a_policy_with_wrong_arguments_is_refused(tmp_path: Path, policy: str) -> None:
    with pytest.raises(ValueError, match=r"wander|must be one of"):
        recorded(tmp_path, policy)
