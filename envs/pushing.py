"""Who plays PushT-v0 to collect data: pushes from every side, at a human's speed."""

from __future__ import annotations

from typing import Any

import numpy as np

from .push_t import AGENT_RADIUS, REACH, SIZE

CENTRE = 45.0
"""Pixels from the block's origin to its centre of mass, along its stem."""
RING = 76.0 + AGENT_RADIUS + 6.0
"""Pixels about the centre at which the agent touches the block in no pose."""
LAG = 2.5
"""Pixels ahead at which to aim for a pixel a step: the agent follows the place it is given."""
ARRIVED = 12.0
INSIDE = 25.0
"""Pixels from the border that the agent keeps, and twice as many the block."""
TRIES = 30


class Pusher:
    """Walks around the block to a random side, pushes through a point near its centre, and again.

    Args:
        seed: of the episode.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng((seed, 1))
        self._side = 0.0
        self._target: np.ndarray | None = None
        """Where a push goes, or a walk without one; None on the way around the block."""
        self._left = 0
        self._speed = 7.0
        self._begin(None)

    def __call__(self, env: Any, rng: np.random.Generator) -> np.ndarray:
        state = env.unwrapped.state.astype(np.float64)
        place, centre = state[:2], centre_of(state)
        if self._left <= 0:
            self._begin(centre)
        self._left -= 1
        if self._target is None:
            aim = centre + RING * direction(self._side)
            if np.linalg.norm(aim - place) < ARRIVED:
                self._push(place, centre)
            else:
                aim = around(place, aim, centre)
        if self._target is not None:
            aim = self._target
            if np.linalg.norm(aim - place) < ARRIVED / 2:
                self._left = 0
        way = np.clip(aim, INSIDE, SIZE - INSIDE) - place
        length = max(float(np.linalg.norm(way)), 1e-6)
        step = way / length * min(LAG * self._speed, length)
        noise = rng.normal(0.0, 0.1 * LAG * self._speed, 2)
        return np.clip((step + noise) / REACH, -1, 1).astype(np.float32)

    def _begin(self, centre: np.ndarray | None) -> None:
        """Choose what to do next: a side to push from, or now and then a place to go to."""
        rng = self._rng
        self._speed, self._target, self._left = rng.uniform(5.0, 10.0), None, 60
        if rng.random() < 0.15:
            self._target, self._left = rng.uniform(INSIDE, SIZE - INSIDE, 2), 25
        for _ in range(TRIES):
            self._side = rng.uniform(-np.pi, np.pi)
            if centre is None:
                return
            begins, leads = (centre + r * direction(self._side) for r in (RING, -60.0))
            if _is_inside(begins, INSIDE) and _is_inside(leads, 2 * INSIDE):
                return

    def _push(self, place: np.ndarray, centre: np.ndarray) -> None:
        """From the ring, go through a point near the centre, and some way beyond."""
        point = centre + self._rng.normal(0.0, 20.0, 2)
        way = point - place
        beyond = self._rng.uniform(0.0, 80.0)
        self._target = point + way / np.linalg.norm(way) * beyond
        self._left = 40


def centre_of(states: np.ndarray) -> np.ndarray:
    """The blocks' centres of mass (..., 2) in states (..., 8)."""
    cosine, sine = states[..., 4], states[..., 5]
    return states[..., 2:4] + CENTRE * np.stack([-sine, cosine], axis=-1)


def around(place: np.ndarray, aim: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Where to go next, to get to a place on the ring without touching the block."""
    here, there = place - centre, aim - centre
    now, goal = np.arctan2(here[1], here[0]), np.arctan2(there[1], there[0])
    turn = (goal - now + np.pi) % (2 * np.pi) - np.pi
    return centre + RING * direction(now + np.clip(turn, -0.5, 0.5))


def direction(angle: float) -> np.ndarray:
    """The unit vector (2,) at an angle in radians."""
    return np.array([np.cos(angle), np.sin(angle)])


def _is_inside(place: np.ndarray, margin: float) -> bool:
    return bool(place.min() > margin and place.max() < SIZE - margin)
