from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent import EnvRef
from jepa_agent.worlds.hooks import with_hooks

PLACE = gym.spaces.Box(-1, 1, (2,), np.float32)


class Maze(gym.Env):
    """Goals are places, observations places and speeds; success is no part of the info."""

    observation_space = gym.spaces.Dict(
        observation=gym.spaces.Box(-1, 1, (4,), np.float32), desired_goal=PLACE
    )
    action_space = PLACE
    goal = np.float32([0.25, 0.5])

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        return {"observation": np.zeros(4, np.float32), "desired_goal": self.goal.copy()}, {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        return self.reset()[0], 0.0, False, False, {"left": action[0]}

    def observation_of_goal(self, goal: np.ndarray) -> np.ndarray:
        return np.concatenate([goal, np.zeros(2, np.float32)])

    def success(self, info: dict[str, Any]) -> bool:
        return info["left"] < 0.1


gym.register("Maze-v0", Maze, max_episode_steps=9)


def test_goals_become_observations_and_success_is_told() -> None:
    env = EnvRef("Maze-v0", {}).make()
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    np.testing.assert_array_equal(observation["desired_goal"], [0.25, 0.5, 0, 0])
    observation, *_, info = env.step(np.float32([0.5, 0]))
    assert info == {"left": 0.5, "is_success": False}
    assert observation["desired_goal"].shape == (4,)
    assert env.step(np.float32([0, 0]))[-1]["is_success"] is True
    assert EnvRef.read(env) == EnvRef(f"{__name__}:Maze-v0", {})


def test_worlds_without_hooks_are_left_as_they_are() -> None:
    env = gym.make("Pendulum-v1")
    assert with_hooks(env) is env


class PartOfObservation(gym.Env):
    """A maze as gymnasium-robotics has them: the achieved goal tells which numbers count."""

    observation_space = gym.spaces.Dict({**Maze.observation_space.spaces, "achieved_goal": PLACE})
    action_space, goal, shift = PLACE, Maze.goal, 0.0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        self.seen = np.float32([0.1, 0.1, 0.1, 0.1])
        return self.show(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        self.seen = np.float32([0.0, 0.2, 0.3, 0.4])
        return self.show(), 0.0, False, False, {"left": 1.0}

    def show(self) -> dict[str, np.ndarray]:
        achieved = self.seen[1:3] + np.float32(self.shift)
        return {"observation": self.seen, "desired_goal": self.goal, "achieved_goal": achieved}


def test_a_goal_that_is_a_part_of_the_observation_is_shown_in_its_place() -> None:
    env = with_hooks(PartOfObservation())
    assert env.observation_space["desired_goal"].shape == (4,)
    env.reset()
    observation, *_ = env.step(np.zeros(2))
    np.testing.assert_array_equal(observation["desired_goal"], np.float32([0, 0.25, 0.5, 0]))


def test_numbers_of_a_goal_that_the_observation_lacks_are_put_at_its_end() -> None:
    world = PartOfObservation()
    world.shift = 0.5
    env = with_hooks(world)
    observation, _ = env.reset()
    assert env.observation_space.contains(observation)
    np.testing.assert_array_equal(observation["observation"], np.float32([0.1] * 4 + [0.6] * 2))
    np.testing.assert_array_equal(observation["desired_goal"], np.float32([0] * 4 + [0.25, 0.5]))


def test_a_goal_that_leaves_its_place_in_the_observation_asks_for_a_method() -> None:
    world = PartOfObservation()
    env = with_hooks(world)
    world.shift = 0.5
    with pytest.raises(ValueError, match=r"give PartOfObservation `observation_of_goal\(goal\)`"):
        env.reset()
