"""Moving things in Two Rooms with the mouse."""

from __future__ import annotations

from typing import Any

import numpy as np

from .physics import HIGH, LOW, WALL_HALF_THICKNESS, Layout, is_free
from .tasks import WALL_RANGE

HANDLES = ("agent", "wall", "door")
NEAR = 3.0
"""Pixels within which the mouse grabs the agent."""


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
    return task | {key: nearest_free(task[key], layout) for key in ("position", "goal")}


def nearest_free(point: np.ndarray, layout: np.ndarray) -> np.ndarray:
    """A point (2,), or the free one nearest to it, half a pixel from walls."""
    point, walls = np.asarray(point, dtype=np.float32), Layout.from_array(layout)
    if is_free(point, walls):
        return point
    line = np.arange(LOW + 0.5, HIGH, 0.5, dtype=np.float32)
    places = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    places = places[is_free(places, walls)]
    return places[np.square(places - point).sum(axis=-1).argmin()]


def free_grid(side: int, layout: np.ndarray) -> np.ndarray:
    """Points (side, side, 2) that cover the rooms evenly; those in the wall are moved beside it."""
    line = LOW + (np.arange(side, dtype=np.float32) + 0.5) * (HIGH - LOW) / side
    places = np.stack(np.meshgrid(line, line), axis=-1)
    across, margin = places[..., 0], WALL_HALF_THICKNESS + 0.5
    beside = layout[0] + np.where(across < layout[0], -margin, margin)
    places[..., 0] = np.where(is_free(places, Layout.from_array(layout)), across, beside)
    return places
