"""What a world says about goals and success, brought into observations and infos."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from .protocols import DefinesSuccess, ShowsGoals


def with_hooks(env: gym.Env) -> gym.Env:
    """Wrap an environment whose world shows goals as observations, or defines success."""
    world, space = env.unwrapped, env.observation_space
    is_goal_env = isinstance(space, gym.spaces.Dict) and "desired_goal" in space.spaces
    if is_goal_env and isinstance(world, ShowsGoals):
        env = GoalsAsObservations(env)
    return SuccessInInfo(env) if isinstance(world, DefinesSuccess) else env


class GoalsAsObservations(gym.ObservationWrapper):
    """Shows the observation of a goal in the place of the goal."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        spaces = dict(env.observation_space.spaces)  # type: ignore[attr-defined]
        self.observation_space = gym.spaces.Dict(spaces | {"desired_goal": spaces["observation"]})

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """The observation with its goal as one."""
        world: Any = self.unwrapped
        goal = world.observation_of_goal(observation["desired_goal"])
        return {**observation, "desired_goal": goal}


class SuccessInInfo(gym.Wrapper):
    """Tells success in the info of every step, as `is_success`."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step."""
        world: Any = self.unwrapped
        *step, info = self.env.step(action)
        return *step, {**info, "is_success": bool(world.success(info))}
