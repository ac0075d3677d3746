"""A disc that moves among walls without passing any: the collisions of TwoRoom224-v0.

The disc's centre is a point among walls that are wider by its radius, with round corners. A move is
followed to where it first meets them, slides along what it met, and so on. Batched, numpy; units
are pixels, x right and y down.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LOW, HIGH = 14.0, 210.0
"""The border walls, on both axes."""
WALL_X, WALL_HALF_WIDTH = 112.0, 5.0
DOOR_HALF_HEIGHT = 14.0
RADIUS = 7.0
LEFT, RIGHT = WALL_X - WALL_HALF_WIDTH, WALL_X + WALL_HALF_WIDTH
SLIDES = 4
"""Walls that one move may meet: sides, corners and the edges of the door."""
TOUCH = 1e-6
"""Pixels that count as touching."""


class Contact(NamedTuple):
    """Where moves first meet the inner wall; fields are (B,) and (B, 2)."""

    time: np.ndarray
    """Share of the move in [0, 1]; 1 where it meets nothing."""
    normal: np.ndarray
    """Away from the wall; 0 where it meets nothing."""


def sweep(position: np.ndarray, displacement: np.ndarray, door_y: np.ndarray) -> np.ndarray:
    """Where discs end up.

    Args:
        position: (B, 2), free places of their centres.
        displacement: (B, 2).
        door_y: (B,), the door's centre.

    Returns:
        (B, 2), free places.
    """
    place, rest = position.astype(np.float64), displacement.astype(np.float64)
    low, high = LOW + RADIUS, HIGH - RADIUS
    for _ in range(SLIDES):
        rest = np.clip(place + rest, low, high) - place  # along the borders
        if not rest.any():
            break
        time, normal = first_contact(place, rest, door_y)
        place = place + time[:, None] * rest
        rest = (1 - time)[:, None] * rest
        rest = rest - np.minimum((rest * normal).sum(-1), 0.0)[:, None] * normal
    return place


def first_contact(place: np.ndarray, move: np.ndarray, door_y: np.ndarray) -> Contact:
    """Where moves (B, 2) of centres first meet the inner wall, or the edges of its door."""
    x, y = place.T
    dx, dy = move.T
    top, bottom = door_y - DOOR_HALF_HEIGHT, door_y + DOOR_HALF_HEIGHT
    zero, one = np.zeros_like(x), np.ones_like(x)
    times, normals = [one], [np.stack([zero, zero], -1)]

    def meet(time: np.ndarray, is_met: np.ndarray, normal: np.ndarray) -> None:
        times.append(np.where(is_met & (time < 1), np.maximum(time, 0.0), 1.0))
        normals.append(normal)

    for side, outward in ((LEFT - RADIUS, -1.0), (RIGHT + RADIUS, 1.0)):
        approaches = (dx * outward < 0) & ((x - side) * outward >= -TOUCH)
        time = (side - x) / np.where(approaches, dx, 1.0)
        at = y + time * dy
        meet(time, approaches & ((at <= top) | (at >= bottom)), np.stack([outward * one, zero], -1))
    for edge, outward in ((top + RADIUS, 1.0), (bottom - RADIUS, -1.0)):
        approaches = (dy * outward < 0) & ((y - edge) * outward >= -TOUCH)
        time = (edge - y) / np.where(approaches, dy, 1.0)
        at = x + time * dx
        meet(time, approaches & (at >= LEFT) & (at <= RIGHT), np.stack([zero, outward * one], -1))
    for corner_x in (LEFT, RIGHT):
        for corner_y in (top, bottom):
            offset = np.stack([x - corner_x, y - corner_y], -1)
            squared, towards = (move * move).sum(-1), (offset * move).sum(-1)
            gap = (offset * offset).sum(-1) - RADIUS**2
            root = towards * towards - squared * gap
            approaches = (towards < 0) & (root > 0) & (gap >= -TOUCH)
            time = (-towards - np.sqrt(np.maximum(root, 0.0))) / np.where(approaches, squared, 1.0)
            normal = (offset + time[:, None] * move) / RADIUS
            meet(time, approaches, normal)
    every = np.stack(times)  # (C, B)
    first = every.argmin(axis=0)
    rows = np.arange(len(x))
    return Contact(every[first, rows], np.stack(normals)[first, rows])


def clearance(places: np.ndarray, door_y: np.ndarray) -> np.ndarray:
    """Pixels (...) between discs about places (..., 2) and what they would touch; else negative."""
    x, y = places[..., 0], places[..., 1]
    across = np.maximum(np.abs(x - WALL_X) - WALL_HALF_WIDTH, 0.0)
    beyond = np.maximum(DOOR_HALF_HEIGHT - np.abs(y - door_y), 0.0)  # of the door's edge
    wall = np.hypot(across, beyond)
    borders = np.minimum.reduce([x - LOW, HIGH - x, y - LOW, HIGH - y])
    return np.minimum(wall, borders) - RADIUS
