"""Success and reward of Two Rooms, for the environments and for hindsight relabelling."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import physics
from .physics import DOOR_HALFWIDTH, Layout
from .rendering import locate_dot, read_layout
from .tasks import TwoRoomsConfig

DOT_ERROR = 0.02
"""Precision, in pixels, of a dot's position that is read off an image."""
ROOM_DIAGONAL = (physics.HIGH - physics.LOW) * 2**0.5
"""The dense reward's unit in pixels."""


def straight_distance(position: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Pixels (...) between points (..., 2)."""
    return norm(goal - position)


def norm(vectors: np.ndarray) -> np.ndarray:
    """Lengths (...) of vectors (..., 2); several times faster than numpy's norm and hypot."""
    x, y = vectors[..., 0], vectors[..., 1]
    return np.sqrt(x * x + y * y)


def is_success(config: TwoRoomsConfig, distance: np.ndarray) -> np.ndarray:
    """Whether distances (...) are within the success radius."""
    return distance <= config.success_radius


def sparse_reward(success: np.ndarray) -> np.ndarray:
    """0 where successful, else -1."""
    return success - 1.0


def dense_reward(shortest_path: np.ndarray) -> np.ndarray:
    """Minus the path length to the goal (...), in room diagonals."""
    return -(np.asarray(shortest_path, dtype=np.float64) / ROOM_DIAGONAL)


def fewest_steps(path: float, success_radius: float, step_length: float) -> int:
    """n* = ceil((path - success radius) / step length), of a path's length in pixels."""
    return max(1, math.ceil((path - success_radius) / step_length))


def goal_reward(
    config: TwoRoomsConfig, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any
) -> np.ndarray:
    """Reward (...) of having achieved one goal when another was desired, batched.

    Args:
        config: the task.
        achieved_goal, desired_goal: positions (..., 2), or images (..., 65, 65, 3), whose dot is
            read off to 0.02 pixels, and exactly where the info knows the point. Channels may come
            first, as in Stable-Baselines3's replay buffers.
        info: the step's info or a sequence of them; the dense reward on positions takes the
            layout from it.

    Raises:
        ValueError: if the dense reward is asked for and the layout is not known.
    """
    position = as_positions(achieved_goal, info, "position")
    goal = as_positions(desired_goal, info, "goal")
    if config.reward_type == "sparse":
        return sparse_reward(is_success(config, straight_distance(position, goal)))
    if is_image(achieved_goal):
        layout = Layout.from_array(read_layout(_channels_last(achieved_goal)))
    else:
        layout = _layout_of(info, position.shape[:-1])
    return dense_reward(physics.shortest_path(position, goal, layout))


def is_image(goal: np.ndarray) -> bool:
    """Whether goals are images rather than positions."""
    return np.asarray(goal).dtype == np.uint8


def as_positions(goal: np.ndarray, info: Any, name: str) -> np.ndarray:
    """Positions float32 (..., 2) of goals given as positions or images.

    Where `info[name]` is the point that an image shows, its exact coordinates are taken.
    """
    goal = np.asarray(goal)
    if not is_image(goal):
        return goal.astype(np.float32, copy=False)
    seen = locate_dot(_channels_last(goal))
    infos = infos_of(info)
    if not all(name in each for each in infos) or len(infos) != seen[..., 0].size:
        return seen
    known = np.stack([each[name] for each in infos]).reshape(seen.shape)
    return np.where(abs(known - seen).max(axis=-1, keepdims=True) < DOT_ERROR, known, seen)


def _channels_last(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    return image if image.shape[-1] == 3 else np.moveaxis(image, -3, -1)


def infos_of(info: Any) -> list[Any]:
    """The infos that one info is, or a sequence of them."""
    return [info] if isinstance(info, Mapping) else list(np.asarray(info, dtype=object).flat)


def _layout_of(info: Any, shape: tuple[int, ...]) -> Layout:
    infos = infos_of(info)
    try:
        rows = [
            (each["wall_x"], each["door_y"], each.get("door_halfwidth", DOOR_HALFWIDTH))
            for each in infos
        ]
    except (KeyError, TypeError):
        raise ValueError(
            "the dense reward needs the layout, wall_x and door_y in every info, got infos without "
            "them; keep the infos (HerReplayBuffer: copy_info_dict=True) or choose "
            "reward_type='sparse'"
        ) from None
    return Layout.from_array(np.asarray(rows, dtype=np.float32).reshape(*shape, 3))
