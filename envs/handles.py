"""Moving things in Two Rooms, and drawing walls in mazes, with the mouse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .physics import HIGH, LOW, WALL_HALF_THICKNESS, Layout, is_free
from .tasks import WALL_RANGE
from .tiles import TILES

HANDLES = ("agent", "wall", "door")
NEAR = 3.0
"""Pixels within which the mouse grabs the agent."""
BRUSH = 1.5
"""Pixels on all sides of the mouse in which walls are drawn or taken away."""


def handle_at(point: np.ndarray, info: dict[str, Any]) -> str | None:
    """The one of `HANDLES` at a point (2,), if any, given the episode's info."""
    if np.linalg.norm(point - info["position"]) <= NEAR:
        return "agent"
    if abs(point[0] - info["wall_x"]) > WALL_HALF_THICKNESS + 1:
        return None
    return "door" if abs(point[1] - info["door_y"]) <= info["door_halfwidth"] else "wall"


def moved(name: str, point: np.ndarray, info: dict[str, Any]) -> dict[str, Any]:
    """Reset options for the task in `info` with one thing moved; points in walls are adjusted."""
    half = info["door_halfwidth"]
    changes: dict[str, dict[str, Any]] = {
        "agent": {"position": point},
        "goal": {"goal": point},
        "wall": {"wall_x": int(np.clip(round(float(point[0])), *WALL_RANGE))},
        "door": {"door_y": int(np.clip(round(float(point[1])), LOW + half, HIGH - half))},
    }
    task = {key: info[key] for key in ("wall_x", "door_y", "position", "goal")} | changes[name]
    layout = np.array([task["wall_x"], task["door_y"], half], dtype=np.float32)

    def is_outside(places: np.ndarray) -> np.ndarray:
        return is_free(places, Layout.from_array(layout))

    return task | {key: nearest_free(task[key], is_outside) for key in ("position", "goal")}


def nearest_free(point: np.ndarray, is_outside: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A point (2,), or the nearest one that is outside of walls, half a pixel from them."""
    return moved_out(np.array(point, dtype=np.float32).reshape(1, 2), is_outside)[0]


def drawn(solid: np.ndarray, point: np.ndarray, wall: bool, spared: np.ndarray) -> np.ndarray:
    """Tiles (56, 56) with a wall about a point (2,), or without one.

    Args:
        solid: the tiles before, boolean, rows down.
        point: in pixels.
        wall: whether a wall is drawn, or taken away.
        spared: points (P, 2) that no wall may cover.
    """
    centres = LOW + 0.5 + np.arange(TILES)

    def square(place: np.ndarray, side: float) -> np.ndarray:
        x, y = np.abs(centres - place[:, None]) <= side
        return y[:, None] & x

    about = square(point, BRUSH)
    if not wall:
        return solid & ~about
    return solid | about & ~np.any([square(each, 1.0) for each in spared], axis=0)


def free_grid(side: int, is_outside: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Points (side, side, 2) that cover the room evenly; those in walls are moved beside them.

    Args:
        side: points along each axis.
        is_outside: whether points (..., 2) are outside of walls.
    """
    line = LOW + (np.arange(side, dtype=np.float32) + 0.5) * (HIGH - LOW) / side
    return moved_out(np.stack(np.meshgrid(line, line), axis=-1), is_outside)


def moved_out(places: np.ndarray, is_outside: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Points (..., 2), those in walls replaced by the nearest others, half a pixel from walls."""
    line = np.arange(LOW + 0.5, HIGH, 0.5, dtype=np.float32)
    others = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    others, inside = others[is_outside(others)], ~is_outside(places)
    apart = np.square(places[inside][:, None] - others).sum(axis=-1)
    places[inside] = others[apart.argmin(axis=-1)]
    return places
