"""Who plays the worlds of the scoreboard with full knowledge, to show how hard tasks are.

A policy for batches: observations have the states (B, S), goals (B, S) and layouts (B, C) too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from .generators import next_cell, pull, steer, waypoint
from .geodesics import way_to
from .point_maps import BlockMap
from .reacher import angles_of, turns
from .sweeping import sweep

SPEED = 7.0
"""Metres a second of the ball in PointMaze-v0."""
RATE = 14.0
"""How fast the arm of ReacherPose-v0 approaches its goal, in 1 / s."""


class Oracle(ABC):
    """Acts on each row by itself; a world's oracle subclasses it."""

    def predict(
        self,
        observation: Mapping[str, np.ndarray],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Actions (B, 2) for a batch of observations with `state`, `goal` and `layout`."""
        rows = (np.asarray(observation[key], np.float64) for key in ("state", "goal", "layout"))
        actions = [self.act(*row) for row in zip(*rows, strict=True)]
        return np.clip(actions, -1, 1).astype(np.float32), state

    @abstractmethod
    def act(self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray) -> np.ndarray:
        """An action (2,) from a state (S,) to a goal (S,) in a layout (C,)."""


class RoomOracle(Oracle):
    """Walks through the door of TwoRoom224-v0, where that is needed, and straight to the goal.

    Args:
        step_length: pixels that an action of 1 moves along an axis.
    """

    def __init__(self, step_length: float) -> None:
        self._step_length = step_length

    def act(self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray) -> np.ndarray:
        """At full speed, and stops there."""
        straight = sweep(state[None], (goal - state)[None], layout)[0]
        is_free = np.allclose(straight, goal, atol=1.0)
        aim = goal if is_free else waypoint(state, goal, layout[0])
        way = (aim - state) / self._step_length
        return way / max(np.abs(way).max(), 1.0)


class MazesOracle(Oracle):
    """Walks along shortest paths in Mazes-v0.

    Args:
        step_length: pixels that an action of norm 1 moves.
    """

    def __init__(self, step_length: float) -> None:
        self._step_length = step_length

    def act(self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray) -> np.ndarray:
        """At full speed, and stops there."""
        return way_to(state, goal, layout, self._step_length)


class MazeOracle(Oracle):
    """Rolls along the shortest way of cells of PointMaze-v0, and brakes at the goal.

    Args:
        world: whose maze it is.
    """

    def __init__(self, world: Any) -> None:
        self._world = world

    def act(self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray) -> np.ndarray:
        """Towards the velocity that leads to the next cell."""
        world = self._world
        if len(layout):  # it differs between episodes
            world = BlockMap(layout.reshape(world.maze.shape))
        way = next_cell(world, state[:2], goal[:2]) - state[:2]
        return steer(way, state[2:], SPEED)


class ArmOracle(Oracle):
    """Turns both joints of ReacherPose-v0 to the goal's angles, as fast as without overshooting."""

    def act(self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray) -> np.ndarray:
        """The shoulder turns the shorter way round."""
        return pull(turns(angles_of(state), angles_of(goal)), state[4:], RATE)
