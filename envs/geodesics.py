"""Exact shortest paths among walls of tiles, at any angle.

A shortest path is straight but for bends at corners of walls. So the corners make a graph, joined
where they see one another, and a path is the best of those through a corner that each end sees.
"""

from __future__ import annotations

import functools

import numpy as np

from .maze_layouts import all_pairs
from .physics import LOW
from .tiles import LAYOUT_SIZE, unpack, widest_and_highest, with_rim

GRAZE = 1e-6
"""Pixels that a line may pass through a wall: it touches its corner, or its side."""
PINCH = 1e-3
"""Half the side in pixels of what closes the gap between walls that touch at a corner."""


class Geodesics:
    """Shortest paths in one layout.

    Args:
        solid: boolean (56, 56).
    """

    def __init__(self, solid: np.ndarray) -> None:
        rim = with_rim(solid)
        around = np.stack([rim[:-1, :-1], rim[:-1, 1:], rim[1:, :-1], rim[1:, 1:]], axis=-1)
        count = around.sum(axis=-1)
        crossed = (count == 2) & (around[..., 0] == around[..., 3])
        rows, columns = np.nonzero(count == 1)
        which = around[rows, columns].argmax(axis=-1)
        self.corners = LOW + np.stack([columns, rows], axis=-1).astype(np.float64)
        """(N, 2), those of walls around which paths may bend."""
        self.outward = np.stack([1 - 2 * (which % 2), 1 - 2 * (which // 2)], axis=-1)
        """(N, 2), away from the wall along both axes: -1 or 1."""
        pinches = LOW + np.argwhere(crossed)[:, ::-1]
        self.walls = np.concatenate([
            wall_boxes(solid), np.concatenate([pinches - PINCH, pinches + PINCH], axis=-1)
        ])  # fmt: skip
        seen = self.sees(self.corners[:, None], self.corners[None])
        straight = np.linalg.norm(self.corners[:, None] - self.corners[None], axis=-1)
        self._between = all_pairs(np.where(seen, straight, np.inf))

    def sees(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether lines between points (..., 2) pass no wall: boolean (...,)."""
        first, second = np.broadcast_arrays(first, second)
        start, way = first[..., None, :], (second - first)[..., None, :]  # (..., 1, 2)
        low, high = self.walls[:, :2], self.walls[:, 2:]
        still = way == 0
        divisor = np.where(still, 1.0, way)
        one, other = (low - start) / divisor, (high - start) / divisor
        inside = (start > low) & (start < high)
        begin = np.where(still, np.where(inside, 0.0, 2.0), np.minimum(one, other)).max(axis=-1)
        end = np.where(still, np.where(inside, 1.0, -1.0), np.maximum(one, other)).min(axis=-1)
        share = np.minimum(end, 1.0) - np.maximum(begin, 0.0)
        return ~(share * np.linalg.norm(way, axis=-1) > GRAZE).any(axis=-1)

    def _to_goal(self, goal: np.ndarray) -> np.ndarray:
        """Path lengths (N,) from the corners to a goal (2,)."""
        straight = np.linalg.norm(self.corners - goal, axis=-1)
        last = np.where(self.sees(self.corners, goal), straight, np.inf)
        return (self._between + last).min(axis=-1) if len(last) else last

    def first_bends(self, start: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where paths to a goal first bend.

        Args:
            start: (B, 2) free points.
            goal: (2,).

        Returns:
            Numbers (B,) of corners, -1 where a path is straight, and the paths' lengths (B,).
        """
        targets = np.concatenate([self.corners, goal[None]])  # the goal is last
        rest = np.concatenate([self._to_goal(goal), [0.0]])
        lengths = np.linalg.norm(start[:, None] - targets, axis=-1) + rest
        first = np.zeros(len(start), dtype=np.int64)
        left = np.arange(len(start))
        while len(left):  # the shortest way that begins with a line without walls
            first[left] = lengths[left].argmin(axis=-1)
            known = np.isfinite(lengths[left, first[left]])
            seen = self.sees(start[left], targets[first[left]]) | ~known
            left = left[~seen]
            lengths[left, first[left]] = np.inf
        found = lengths[np.arange(len(start)), first]
        return np.where(first == len(self.corners), -1, first), found

    def lengths(self, starts: np.ndarray, goals: np.ndarray) -> np.ndarray:
        """Lengths (B,) of paths between points (B, 2), infinite where there is none."""
        distinct, which = np.unique(goals, axis=0, return_inverse=True)
        found = np.empty(len(starts))
        for index, goal in enumerate(distinct):
            rows = np.flatnonzero(which.reshape(-1) == index)
            found[rows] = self.first_bends(starts[rows], goal)[1]
        return found


@functools.lru_cache(maxsize=2000)
def _geodesics(layout: bytes) -> Geodesics:
    return Geodesics(unpack(np.frombuffer(layout, dtype=np.float32)))


def geodesics_of(layout: np.ndarray) -> Geodesics:
    """The shortest paths in a layout (168,); those of the last layouts are remembered."""
    return _geodesics(np.ascontiguousarray(layout, dtype=np.float32).tobytes())


def shortest_paths(starts: np.ndarray, goals: np.ndarray, layouts: np.ndarray) -> np.ndarray:
    """Lengths (...,) in pixels of paths between points (..., 2) in layouts (..., 168)."""
    shape = np.broadcast_shapes(starts.shape[:-1], goals.shape[:-1], layouts.shape[:-1])
    flat = [np.broadcast_to(points, (*shape, 2)).reshape(-1, 2).astype(np.float64)
            for points in (starts, goals)]  # fmt: skip
    distinct, which = np.unique(layouts.reshape(-1, LAYOUT_SIZE), axis=0, return_inverse=True)
    which = np.broadcast_to(which.reshape(layouts.shape[:-1]), shape).reshape(-1)
    found = np.empty(len(which))
    for index, layout in enumerate(distinct):
        rows = which == index
        found[rows] = geodesics_of(layout).lengths(flat[0][rows], flat[1][rows])
    return found.reshape(shape)


def way_to(
    place: np.ndarray, goal: np.ndarray, layout: np.ndarray, step_length: float
) -> np.ndarray:
    """The action (2,) along the shortest path from a place (2,) to a goal (2,).

    Args:
        place, goal: (2,) pixels.
        layout: (168,).
        step_length: pixels that an action of norm 1 moves.

    Returns:
        float32, of a norm up to 1. It keeps half a pixel from corners.
    """
    paths = geodesics_of(layout)
    place, goal = np.asarray(place, dtype=np.float64), np.asarray(goal, dtype=np.float64)
    corner = paths.first_bends(place[None], goal)[0][0]
    target = goal if corner < 0 else paths.corners[corner] + 0.5 * paths.outward[corner]
    way = (target - place) / step_length
    return (way / max(1.0, float(np.linalg.norm(way)))).astype(np.float32)


def wall_boxes(solid: np.ndarray) -> np.ndarray:
    """Boxes (W, 4) in pixels, some of which overlap, that cover all solid tiles."""
    boxes = np.concatenate([each[solid] for each in widest_and_highest(solid)])
    return LOW + np.unique(boxes, axis=0).astype(np.float64)
