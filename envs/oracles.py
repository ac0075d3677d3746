"""Who plays the worlds of the scoreboard with full knowledge, to show how hard tasks are.

A policy for batches: observations have the states (B, S), goals (B, S) and layouts (B, C) too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .generators import TORQUE, next_cell, waypoint
from .geodesics import way_to
from .reacher import angles_of
from .sweeping import sweep

STEERING = 0.7
"""Metres a second off the wanted velocity for which the maze's oracle pushes with full force."""


class Oracle:
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

    def act(self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray) -> np.ndarray:
        """An action (2,) from a state (S,) to a goal (S,) in a layout (C,)."""
        raise NotImplementedError


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
        speed: metres a second on the way.
    """

    def __init__(self, world: Any, speed: float = 7.0) -> None:
        self._world, self._speed = world, speed

    def act(self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray) -> np.ndarray:
        """Towards the velocity that leads to the next cell."""
        way = next_cell(self._world, state[:2], goal[:2]) - state[:2]
        length = max(float(np.linalg.norm(way)), 1e-6)
        wanted = way / length * min(self._speed, 8 * length)
        return (wanted - state[2:]) / STEERING


class ArmOracle(Oracle):
    """Turns both joints of ReacherPose-v0 to the goal's angles, as fast as without overshooting.

    Args:
        rate: of the approach, in 1 / s.
    """

    def __init__(self, rate: float = 14.0) -> None:
        self._rate = rate

    def act(self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray) -> np.ndarray:
        """The shoulder turns the shorter way round."""
        way = np.stack(angles_of(goal)) - np.stack(angles_of(state))
        way[0] = (way[0] + np.pi) % (2 * np.pi) - np.pi
        return (self._rate**2 * way - (2 * self._rate - 1) * state[4:]) / TORQUE
