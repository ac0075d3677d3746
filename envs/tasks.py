"""Which Two Rooms tasks exist: layouts, their train and test split, and how a task is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from .hazards import HAZARDS, STRIP_WIDTH
from .physics import DOOR_HALFWIDTH, HIGH, LOW, Array, Layout, is_free
from .rendering import DOT_STD

TASK_MARGIN = 2 * DOT_STD
"""Sampled starts and goals keep this distance in pixels from walls and borders."""
FIXED_LAYOUT = (32, 18)
TEST_WALLS = (27, 28)
TEST_DOORS = (33, 34, 35)
WALL_RANGE = (11, 53)
"""Walls that leave room for a sampled task on both sides."""
LAYOUT_NAMES = ("random", "fixed", "train", "test", "ood", "hard", "thick")
THICK = 2.0
"""Half the thickness in pixels of the walls of "thick", twice the usual one."""
DOOR_HALFWIDTH_RANGE = (2, 20)
"""At least 2, so that the out-of-distribution doors, a pixel narrower, stay open."""
LONGEST = 1e6
"""No length in a config exceeds this many pixels, so that float32 never overflows."""
UNIFORMS_PER_TASK = 6

LayoutGroups = tuple[np.ndarray, ...]
"""Arrays (n, 3), or (n, 4) for thick walls, see `Layout`; a draw picks a group, then a row."""


@dataclass(frozen=True)
class TwoRoomsConfig:
    """Everything that `gym.make("TwoRooms-v0", ...)` accepts besides `render_mode`.

    Args:
        layout: "random" (all 1,125 layouts), "fixed" (wall 32, door 18), "train" and "test" (966
            and 159 layouts, see `TwoRoomsEnv`), "ood" (walls, doors and door widths outside the
            1,125), "hard" (a wall outside of them with a door narrower by two pixels on each side),
            "thick" (walls twice as thick), or a list of (wall_x, door_y) pairs.
        wall_x: pins the wall's centre column, an integer in [11, 53].
        door_y: pins the door's centre row; the door must fit between the borders.
        door_halfwidth: the door is open for `|y - door_y| <= door_halfwidth` pixels.
        obs_type: "pixels" (uint8 images 65 x 65 x 3) or "state" (float32 pixels).
        reward_type: "sparse" (-1, and 0 at the goal) or "dense" (minus the shortest path to the
            goal, in room diagonals).
        terminate_on_success: end the episode within `success_radius` of the goal.
        success_radius: pixels.
        step_length: pixels moved by an action of norm 1.
        bounce_noise: standard deviation in pixels of the bounce off a wall; 0 is deterministic.
        hazard: "none", or "strip": an episode ends as a failure where a step ends beside the inner
            wall. The strip is not in the observations: it lies the same in every layout.
        slip: scale of the heavy-tailed noise of moves, as a share of their length.
    """

    layout: str | Sequence[tuple[int, int]] = "random"
    wall_x: int | None = None
    door_y: int | None = None
    door_halfwidth: int = int(DOOR_HALFWIDTH)
    obs_type: str = "pixels"
    reward_type: str = "sparse"
    terminate_on_success: bool = True
    success_radius: float = 4.5
    step_length: float = 2.45
    bounce_noise: float = 0.5
    hazard: str = "none"
    slip: float = 0.0

    def __post_init__(self) -> None:
        _check_choice("obs_type", self.obs_type, ("pixels", "state"))
        _check_choice("reward_type", self.reward_type, ("sparse", "dense"))
        _check_number("success_radius", self.success_radius, low=0.0, open_low=True)
        _check_number("step_length", self.step_length, low=0.0, open_low=True)
        _check_number("bounce_noise", self.bounce_noise, low=0.0)
        _check_choice("hazard", self.hazard, HAZARDS)
        _check_number("slip", self.slip, low=0.0)
        _check_layout_value("door_halfwidth", self.door_halfwidth, *DOOR_HALFWIDTH_RANGE)
        if not isinstance(self.terminate_on_success, bool | np.bool_):
            raise TypeError(
                "terminate_on_success must be True or False, "
                f"got {self.terminate_on_success!r}; pass a bool"
            )
        self.layout_groups()  # raises on layouts out of range

    @classmethod
    def from_kwargs(cls, kwargs: dict[str, Any]) -> TwoRoomsConfig:
        """Build a config; unknown names are an error that lists the known ones."""
        unknown = [name for name in kwargs if name not in cls.__dataclass_fields__]
        if unknown:
            raise TypeError(
                f"TwoRooms-v0 takes {', '.join(cls.__dataclass_fields__)} and render_mode, got "
                f"{unknown}; correct the name"
            )
        return cls(**kwargs)

    @property
    def beside_wall(self) -> float:
        """Pixels beside the inner wall in which no task begins or ends."""
        return STRIP_WIDTH if self.hazard == "strip" else 0.0

    def layout_groups(self) -> LayoutGroups:
        """The layouts that an episode is drawn from, with the pinned values applied."""
        if isinstance(self.layout, str):
            _check_choice("layout", self.layout, LAYOUT_NAMES)
            groups = _named_layouts(self.layout, self.door_halfwidth)
        else:
            groups = (_listed_layouts(self.layout, self.door_halfwidth),)
        return pin(groups, self.wall_x, self.door_y)


def pin(groups: LayoutGroups, wall_x: int | None, door_y: int | None) -> LayoutGroups:
    """Layouts with wall or door set to a value, checked, duplicates removed."""
    if wall_x is not None:
        _check_layout_value("wall_x", wall_x, *WALL_RANGE)
    if door_y is not None:
        _check_layout_value("door_y", door_y, int(LOW), int(HIGH))
    pinned = []
    for group in groups:
        layouts = group.copy()
        layouts[:, 0] = layouts[:, 0] if wall_x is None else wall_x
        layouts[:, 1] = layouts[:, 1] if door_y is None else door_y
        layouts = np.unique(layouts, axis=0)
        outside = (layouts[:, 1] - layouts[:, 2] < LOW) | (layouts[:, 1] + layouts[:, 2] > HIGH)
        if outside.any():
            _, door, halfwidth = layouts[outside][0][:3]
            raise ValueError(
                f"a door must fit between the borders at {LOW:g} and {HIGH:g}, got door_y "
                f"{door:g} with door_halfwidth {halfwidth:g}; move it or make it narrower"
            )
        pinned.append(layouts)
    return tuple(pinned)


def unseen_factors(layout: Sequence[float]) -> str:
    """The factors of a layout (wall_x, door_y) that the split "train" never shows."""
    new_wall, new_door = layout[0] in TEST_WALLS, layout[1] in TEST_DOORS
    if new_wall and new_door:
        return "new wall and door"
    return "new wall" if new_wall else "new door" if new_door else "nothing"


def sample_tasks(
    uniforms: np.ndarray, groups: LayoutGroups, beside_wall: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn uniform numbers into tasks: a layout, a start, and a goal in the other room.

    Args:
        uniforms: (..., 6) in [0, 1).
        groups: the layouts to draw from.
        beside_wall: pixels kept from the inner wall besides the usual ones.

    Returns:
        layout_array (..., 3 or 4), start (..., 2), goal (..., 2), float32.
    """
    share = uniforms[..., 0] * len(groups)
    group = share.astype(np.int64)
    layout_array = np.empty((*uniforms.shape[:-1], groups[0].shape[1]), dtype=np.float32)
    for index, layouts in enumerate(groups):
        rows = group == index
        layout_array[rows] = layouts[((share[rows] - index) * len(layouts)).astype(np.int64)]
    layout = Layout.from_array(layout_array)
    starts_left = uniforms[..., 1] < 0.5
    start = point_in_room(uniforms[..., 2:4], layout, starts_left, beside_wall=beside_wall)
    goal = point_in_room(uniforms[..., 4:6], layout, ~starts_left, beside_wall=beside_wall)
    return layout_array, start, goal


def point_in_room(
    uniforms: np.ndarray,
    layout: Layout,
    in_left: Array,
    margin: float = TASK_MARGIN,
    beside_wall: float = 0.0,
) -> np.ndarray:
    """Map uniform numbers (..., 2) to points of one room, `margin` pixels from its walls.

    From the inner wall they keep `beside_wall` more, as far as the room is deep enough.
    """
    wall = layout.half_thickness + margin + beside_wall
    low_x = np.where(in_left, LOW + margin, layout.wall_x + wall)
    high_x = np.where(in_left, layout.wall_x - wall, HIGH - margin)
    if beside_wall:
        low_x = np.where(in_left, low_x, np.minimum(low_x, high_x))
        high_x = np.where(in_left, np.maximum(low_x, high_x), high_x)
    low = np.stack([low_x, np.full_like(low_x, LOW + margin)], axis=-1)
    high = np.stack([high_x, np.full_like(high_x, HIGH - margin)], axis=-1)
    return (low + uniforms * (high - low)).astype(np.float32)


@dataclass(frozen=True)
class ResetOptions:
    """A task set by hand: `reset(options={"wall_x", "door_y", "position", "goal"})`, any subset."""

    wall_x: int | None = None
    door_y: int | None = None
    position: np.ndarray | None = None
    goal: np.ndarray | None = None

    @classmethod
    def parse(cls, options: dict[str, Any] | None) -> ResetOptions:
        """Check names and types; whether points are free depends on the layout."""
        if not isinstance(options, Mapping | None):
            raise TypeError(f"reset options must be a dict, got {options!r}; pass a dict")
        options = dict(options or {})
        unknown = [name for name in options if name not in cls.__dataclass_fields__]
        if unknown:
            raise ValueError(
                f"reset options are wall_x, door_y, position and goal, got {unknown}; "
                "remove or rename them"
            )
        for name in ("position", "goal"):
            if options.get(name) is not None:
                options[name] = _check_point(name, options[name])
        return cls(**options)

    def layouts(self, groups: LayoutGroups) -> LayoutGroups:
        """The layouts of `groups` that agree with these options.

        Raises:
            ValueError: if a point is in a wall in every one of them.
        """
        groups = pin(groups, self.wall_x, self.door_y)
        for name, point in (("position", self.position), ("goal", self.goal)):
            if point is None:
                continue
            kept = tuple(group[is_free(point, Layout.from_array(group))] for group in groups)
            groups = tuple(group for group in kept if len(group))
            if not groups:
                raise ValueError(
                    f"{name} must be a free point, strictly inside {LOW:g} < x, y < {HIGH:g} and "
                    f"not in the inner wall, got {point.tolist()}; move it into a room or the "
                    "door, or change wall_x and door_y"
                )
        return groups

    def apply(
        self,
        task: tuple[np.ndarray, np.ndarray, np.ndarray],
        uniforms: np.ndarray,
        beside_wall: float = 0.0,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Put the given points into sampled tasks; a point not given is in the other room."""
        layout_array, start, goal = task
        layout = Layout.from_array(layout_array)
        if self.position is not None:
            start = np.broadcast_to(self.position, start.shape).copy()
            in_left = start[..., 0] > layout.wall_x
            goal = point_in_room(uniforms[..., 4:6], layout, in_left, beside_wall=beside_wall)
        if self.goal is not None:
            goal = np.broadcast_to(self.goal, goal.shape).copy()
            if self.position is None:
                in_left = goal[..., 0] > layout.wall_x
                start = point_in_room(uniforms[..., 2:4], layout, in_left, beside_wall=beside_wall)
        return layout_array, start, goal


def _grid(walls: Sequence[int], doors: Sequence[int], halfwidth: int) -> np.ndarray:
    return np.array([(w, d, halfwidth) for w in walls for d in doors], dtype=np.float32)


def _named_layouts(name: str, halfwidth: int) -> LayoutGroups:
    if name == "fixed":
        return (_grid([FIXED_LAYOUT[0]], [FIXED_LAYOUT[1]], halfwidth),)
    walls, doors = range(20, 45), range(10, 55)
    every = _grid(walls, doors, halfwidth)
    if name == "thick":
        return (np.insert(every, 3, THICK, axis=1),)
    if name == "random":
        return (every,)
    new_walls = [*range(11, 20), *range(45, 54)]
    if name == "hard":
        return (_grid(new_walls, doors, max(halfwidth - 2, 1)),)
    if name == "ood":
        return (
            _grid(new_walls, doors, halfwidth),
            _grid(walls, [8, 9, 55, 56], halfwidth),
            _grid(walls, doors, halfwidth - 1),
        )
    held_out = np.isin(every[:, 0], TEST_WALLS) | np.isin(every[:, 1], TEST_DOORS)
    return (every[held_out if name == "test" else ~held_out],)


def _listed_layouts(pairs: Sequence[tuple[int, int]], halfwidth: int) -> np.ndarray:
    rule = f"layout must be one of {LAYOUT_NAMES} or a list of pairs (wall_x, door_y)"
    if not isinstance(pairs, Sequence):
        raise TypeError(f"{rule}, got {pairs!r}; name one or list pairs")
    layouts = []
    for pair in pairs:
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
            raise TypeError(f"{rule}, got the item {pair!r}; list pairs of integers")
        _check_layout_value("wall_x", pair[0], *WALL_RANGE)
        _check_layout_value("door_y", pair[1], int(LOW), int(HIGH))
        layouts.append((pair[0], pair[1], halfwidth))
    if not layouts:
        raise ValueError(f"{rule}, got an empty list; name one or list pairs")
    return np.array(layouts, dtype=np.float32)


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def _check_number(name: str, value: Any, low: float, open_low: bool = False) -> None:
    rule = f"{name} must be a number {'>' if open_low else '>='} {low:g} and <= {LONGEST:g}"
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{rule}, got {value!r}; pass a float")
    if not low <= float(value) <= LONGEST or (open_low and value == low):
        raise ValueError(f"{rule}, got {value!r}")


def _check_layout_value(name: str, value: Any, low: int, high: int) -> None:
    rule = f"{name} must be an integer in [{low}, {high}]"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{rule}, got {value!r}; pass an int")
    if not low <= int(value) <= high:
        raise ValueError(f"{rule}, got {value!r}")


def _check_point(name: str, value: Any) -> np.ndarray:
    rule = f"{name} must be two finite pixel coordinates (x, y)"
    try:
        point = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        raise TypeError(f"{rule}, got {value!r}; pass a pair of numbers") from None
    if point.shape != (2,) or not np.isfinite(point).all():
        raise ValueError(f"{rule}, got {value!r}; pass a pair of numbers")
    return point
