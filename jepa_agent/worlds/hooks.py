"""What a world says about goals and success, brought into observations and infos."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np

from .protocols import DefinesSuccess, ShowsGoals
from .sampling import sampling_space

LOOKS = 10
"""Steps in which it is seen which numbers of an observation are the goal's."""


def with_hooks(env: gym.Env) -> gym.Env:
    """Wrap an environment whose world shows goals as observations, or defines success."""
    world, space = env.unwrapped, env.observation_space
    is_goal_env = isinstance(space, gym.spaces.Dict) and "desired_goal" in space.spaces
    if is_goal_env and isinstance(world, ShowsGoals):
        env = GoalsAsObservations(env)
    elif is_goal_env and AchievedGoals.fits(space):
        env = AchievedGoals(env)
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


class AchievedGoals(GoalsAsObservations):
    """Shows goals that are some numbers in a row of an observation, and 0 for its other numbers.

    Which numbers they are is seen by `achieved_goal`, the same for the current state, in a few
    random steps. Where the observation lacks these numbers, they are put at its end.
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        spaces: dict[str, Any] = dict(env.observation_space.spaces)  # type: ignore[attr-defined]
        seen, achieved = spaces["observation"], spaces["achieved_goal"]
        self._places = _places(env, range(seen.shape[0] - achieved.shape[0] + 1))
        self._lacks = not self._places
        if self._lacks:
            self._places = [*seen.shape]
            low, high = np.append(seen.low, achieved.low), np.append(seen.high, achieved.high)
            row = gym.spaces.Box(low, high, dtype=seen.dtype)
            spaces |= {"observation": row, "desired_goal": row}
            self.observation_space = gym.spaces.Dict(spaces)

    @staticmethod
    def fits(space: gym.Space) -> bool:
        """Whether goals are vectors with fewer numbers than observations."""
        keys = ("observation", "achieved_goal", "desired_goal")
        parts = getattr(space, "spaces", {})
        shapes = [getattr(parts.get(key), "shape", None) or () for key in keys]
        seen, achieved, desired = shapes
        return achieved == desired and len(seen) == len(desired) == 1 and desired < seen

    def observation(self, observation: dict[str, Any]) -> dict[str, Any]:
        """The observation with its goal as one."""
        seen, achieved = (observation[key] for key in ("observation", "achieved_goal"))
        if self._lacks:
            seen = np.append(seen, achieved).astype(seen.dtype)
        self._places = _matching(seen, achieved, self._places)
        if not self._places:
            raise ValueError(
                f"achieved_goal must be numbers in a row of the observation, got {achieved} and "
                f"{seen}; give {type(self.unwrapped).__name__} `observation_of_goal(goal)`"
            )
        goal, at = np.zeros_like(seen), self._places[0]
        goal[at : at + len(achieved)] = observation["desired_goal"]
        return {**observation, "observation": seen, "desired_goal": goal}


def _places(env: gym.Env, places: Iterable[int]) -> list[int]:
    """Where the numbers of the achieved goal begin in the observation, in a few random steps."""
    space, places = sampling_space(env.action_space), [*places]
    space.seed(0)
    observation, _ = env.reset(seed=0)
    for _ in range(LOOKS):
        places = _matching(observation["observation"], observation["achieved_goal"], places)
        observation, _, terminated, truncated, _ = env.step(space.sample())
        if terminated or truncated:
            break
    return places


def _matching(seen: np.ndarray, achieved: np.ndarray, places: Iterable[int]) -> list[int]:
    """The places at which an observation has the numbers of the achieved goal."""
    size = len(achieved)
    return [at for at in places if np.allclose(seen[at : at + size], achieved)]


class SuccessInInfo(gym.Wrapper):
    """Tells success in the info of every step, as `is_success`."""

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step."""
        world: Any = self.unwrapped
        *step, info = self.env.step(action)
        return *step, {**info, "is_success": bool(world.success(info))}
