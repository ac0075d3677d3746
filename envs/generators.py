"""Who plays to collect data, one for each world: scripted, without demonstrations.

`jepa-agent collect --env jepa_agent:TwoRoom224-v0 --policy jepa_agent.envs.generators:Rover`
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .sweeping import LEFT, RADIUS, RIGHT, WALL_X

DOOR_AIM = 4.0
"""Pixels from the door's centre line at which a disc fits through."""
CLEAR = 2.0
"""Pixels beside the wall at which rovers line up with the door."""
LOST = 0.05
"""Chance a step that a rover goes anywhere else."""


class Rover:
    """Walks from place to place in TwoRoom224-v0, through its door where that is needed.

    Headings are noisy; speeds and noise differ between episodes, and courses are changed now and
    then, also towards walls.

    Args:
        seed: of the episode.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng((seed, 0))
        self._speed = rng.uniform(0.3, 1.0)
        self._noise = rng.uniform(0.05, 0.6)
        self._target: np.ndarray | None = None

    def __call__(self, env: Any, rng: np.random.Generator) -> np.ndarray:
        world = env.unwrapped
        place = world.state.astype(np.float64)
        arrived = self._target is not None and np.abs(self._target - place).max() < 5
        if self._target is None or arrived or rng.random() < LOST:
            self._target = rng.uniform(world.state_low, world.state_high)
        x, y = _waypoint(place, self._target, float(world.layout[0])) - place
        heading = np.arctan2(y, x) + self._noise * rng.standard_normal()
        speed = min(self._speed, np.hypot(x, y) / world.step_length)
        return np.array([speed * np.cos(heading), speed * np.sin(heading)], dtype=np.float32)


def _waypoint(place: np.ndarray, target: np.ndarray, door_y: float) -> np.ndarray:
    """Where to go straight, to get from a place to a target in the two rooms of 224 pixels."""
    left, right = LEFT - RADIUS - CLEAR, RIGHT + RADIUS + CLEAR
    goes_right = target[0] > WALL_X
    is_there = place[0] >= right if goes_right else place[0] <= left
    if is_there:
        return target
    ahead, before = (right + 1, left) if goes_right else (left - 1, right)
    if abs(place[1] - door_y) < DOOR_AIM:
        return np.array([ahead, door_y])
    return np.array([before, door_y])
