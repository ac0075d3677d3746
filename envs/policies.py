"""Scripted policies that play: oracle, straight to the goal, random.

They have Stable-Baselines3's `predict` for state and pixel observations, so that evaluations score
them beside any agent. Behaviour for collecting data is in `behaviour.py`.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from .episodes import Observation
from .physics import DOOR_HALFWIDTH, Layout, path_through_door
from .rendering import locate_dot, read_layout

CORNER_MARGIN = 1.0
"""Pixels that the oracle keeps from the wall's corners, so that it never bounces off them."""


def perceive(observation: Observation) -> tuple[np.ndarray, np.ndarray, Layout]:
    """Positions (B, 2), goals (B, 2) and layout of a batch of observations of either type."""
    image = observation["observation"]
    if image.shape[-1] == 4:  # states
        position, layout_array = image[..., :2], image[..., 2:]
        halfwidth = np.full_like(layout_array[..., 0], DOOR_HALFWIDTH)
        layout = Layout(layout_array[..., 0], layout_array[..., 1], halfwidth)
        return position, observation["desired_goal"], layout
    return (
        locate_dot(image),
        locate_dot(observation["desired_goal"]),
        Layout.from_array(read_layout(image)),
    )


class _ScriptedPolicy(ABC):
    """Batching and the `predict` interface around an `_act` on batches."""

    def __init__(self, step_length: float = 2.45) -> None:
        self.step_length = step_length

    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Actions for one observation or a batch of them, as Stable-Baselines3's policies do."""
        single = observation["desired_goal"].ndim in (1, 3)
        if single:
            observation = {key: value[None] for key, value in observation.items()}
        actions = self._act(observation)
        return (actions[0] if single else actions), state

    @abstractmethod
    def _act(self, observation: Observation) -> np.ndarray:
        """Actions (B, 2) for a batch of observations."""

    def _toward(self, position: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The action (B, 2) that goes toward a target at full speed and stops on it."""
        offset = (target - position) / self.step_length
        length = np.linalg.norm(offset, axis=-1, keepdims=True)
        return (offset / np.maximum(length, 1.0)).astype(np.float32)


class OraclePolicy(_ScriptedPolicy):
    """Follows the shortest path through the door."""

    def _act(self, observation: Observation) -> np.ndarray:
        position, goal, layout = perceive(observation)
        return self._toward(position, next_waypoint(position, goal, layout, self.step_length))


class StraightPolicy(_ScriptedPolicy):
    """Walks straight at the goal, walls or not."""

    def _act(self, observation: Observation) -> np.ndarray:
        position, goal, _ = perceive(observation)
        return self._toward(position, goal)


class RandomPolicy:
    """Draws actions uniformly from the unit disc.

    An episode's actions depend on the seed and its first observation alone, so they are the same
    however many environments are played together.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def predict(
        self,
        observation: Observation,
        state: list[np.random.Generator] | None = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, list[np.random.Generator]]:
        """Actions for one observation or a batch; the state holds a generator an environment."""
        goals = observation["desired_goal"]
        single = goals.ndim in (1, 3)
        first = [value[None] if single else value for value in observation.values()]
        count = len(first[0])
        started = np.broadcast_to(False if episode_start is None else episode_start, count)
        generators = []
        for row in range(count):
            if state is None or started[row]:
                key = zlib.crc32(b"".join(value[row].tobytes() for value in first))
                generators.append(np.random.default_rng([self._seed, key]))
            else:
                generators.append(state[row])
        actions = np.concatenate([uniform_disc(generator, 1) for generator in generators])
        return (actions[0] if single else actions), generators


def next_waypoint(
    position: np.ndarray, goal: np.ndarray, layout: Layout, reach: float
) -> np.ndarray:
    """The point (B, 2) that lies `reach` pixels ahead on the shortest path to the goal.

    Args:
        position, goal: (B, 2) pixels.
        layout: fields (B,).
        reach: pixels; the goal itself where it is nearer.
    """
    bends, _ = path_through_door(position, goal, layout, margin=CORNER_MARGIN)
    point = position
    left = np.full((*position.shape[:-1], 1), reach, dtype=np.float32)
    for corner in (bends[..., 0, :], bends[..., 1, :], goal):
        offset = corner - point
        length = np.linalg.norm(offset, axis=-1, keepdims=True)
        taken = np.minimum(left, length)
        point = point + offset * (taken / np.maximum(length, 1e-6))
        left = left - taken
    return point


def uniform_disc(rng: np.random.Generator, count: int) -> np.ndarray:
    """Actions (count, 2) uniform in the unit disc."""
    angle = rng.uniform(0.0, 2 * np.pi, count)
    radius = np.sqrt(rng.random(count))[:, None]
    return (radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)).astype(np.float32)
