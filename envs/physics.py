"""One transition function for points among walls, and the walls and shortest path of Two Rooms.

The transition asks the walls what a move meets; Two Rooms' `Layout` answers in closed form, any
other arrangement by its tiles (`tiles.py`). Everything here is batched and written over the Python
array API, so the same lines move one agent in numpy, four thousand in a vector environment and
millions on a GPU in torch. Units are pixels, x points right and y down. Numbers follow the Two
Rooms task of PLDM (arXiv 2502.14819) in the configuration of EB-JEPA (arXiv 2602.03604).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, Self

import numpy as np

from .arrays import Array, clamp, namespace

LOW, HIGH = 4.0, 60.0
"""The border walls, on both axes: the agent lives strictly between them."""
CENTRE, HALF_EXTENT = (LOW + HIGH) / 2, (HIGH - LOW) / 2
WALL_HALF_THICKNESS = 1.0
DOOR_HALFWIDTH = 4.0
MARGIN = 0.3
"""A blocked move ends at least this far inside the room."""
VANISHING = 1e-20
NEVER = 2.0
"""A time of impact beyond the end of the move, which is at time 1."""


class Impact(NamedTuple):
    """Where moves first meet a wall."""

    time: Array
    """(...,), a share of the move in [0, 1]; `NEVER` where it meets none."""
    point: Array
    """(..., 2) pixels."""
    normal_is_x: Array
    """Boolean (...,): whether what is met is crossed along x."""
    low: Array
    """(..., 2), corner of a convex free region about the point: a bounce ends inside of it."""
    high: Array
    """(..., 2), its other corner."""


class Walls(Protocol):
    """An arrangement of walls for every point of a batch (...,)."""

    def stays_clear(self, position: Array, end: Array) -> Array:
        """Where straight moves between points (..., 2) surely touch nothing: boolean (...,)."""

    def first_impact(self, position: Array, displacement: Array) -> Impact:
        """Where moves (..., 2) from free points (..., 2) first meet a wall."""

    def rows(self, shape: tuple[int, ...], chosen: Any) -> Self:
        """The walls of chosen points of a batch of a shape, for numpy."""


class Layout(NamedTuple):
    """Two Rooms: where the inner wall and its door are; each field has the batch shape (...,)."""

    wall_x: Array
    door_y: Array
    door_halfwidth: Array
    half_thickness: Array | float = WALL_HALF_THICKNESS

    @classmethod
    def from_array(cls, layout_array: Array) -> Layout:
        """Split an array of wall_x, door_y, door_halfwidth into its fields.

        It is (..., 3), or (..., 4) with the half thickness of walls that are not as usual.
        """
        return cls(*(layout_array[..., index] for index in range(layout_array.shape[-1])))

    def boxes(self) -> np.ndarray:
        """The two parts of one layout's wall (2, 4), as low x, low y, high x, high y in pixels."""
        left, right = self.wall_x - self.half_thickness, self.wall_x + self.half_thickness
        edges = (self.door_y - self.door_halfwidth, self.door_y + self.door_halfwidth)
        return np.array([(left, LOW, right, edges[0]), (left, edges[1], right, HIGH)])

    def rows(self, shape: tuple[int, ...], chosen: Any) -> Layout:
        """See `Walls`."""
        return Layout(*(_chosen(field, shape, chosen) for field in self))

    def stays_clear(self, position: Array, end: Array) -> Array:
        """See `Walls`: where both ends lie in one room, which is convex.

        Differences round monotonically, so a point on a wall is never taken for one beside it.
        """
        xp = namespace(position)
        before, after = position[..., 0] - self.wall_x, end[..., 0] - self.wall_x
        one_side = (xp.minimum(before, after) > self.half_thickness) | (
            xp.maximum(before, after) < -self.half_thickness
        )
        within = abs(end - CENTRE) < HALF_EXTENT
        return one_side & within[..., 0] & within[..., 1]

    def first_impact(self, position: Array, displacement: Array) -> Impact:
        """See `Walls`."""
        xp = namespace(position)
        end = position + displacement
        x, y = position[..., 0], position[..., 1]
        dy = displacement[..., 1]
        end_x, end_y = end[..., 0], end[..., 1]
        left = self.wall_x - self.half_thickness
        right = self.wall_x + self.half_thickness
        door_y, halfwidth = self.door_y, self.door_halfwidth
        # A vanishing component never decides a time of impact; 1 keeps the division finite.
        vanishing = abs(displacement) < VANISHING
        divisor = xp.where(vanishing, xp.ones_like(displacement), displacement)
        toward_high = displacement > 0
        rightward = toward_high[..., 0]

        # Borders. Whether one is met is read off the end point, so rounding cannot let a move out.
        border = xp.where(toward_high, HIGH, LOW) - position
        met = (end <= LOW) | (end >= HIGH)
        t_border_xy = xp.where(met, clamp(border / divisor, 0.0, 1.0), NEVER)
        t_border_x, t_border_y = t_border_xy[..., 0], t_border_xy[..., 1]
        t_border = xp.minimum(t_border_x, t_border_y)

        # The inner wall: a slab between x = left and x = right, solid outside the door.
        t_in = (xp.where(rightward, left, right) - x) / divisor[..., 0]
        t_out = (xp.where(rightward, right, left) - x) / divisor[..., 0]
        enters = xp.where(rightward, (x <= left) & (end_x >= left), (x >= right) & (end_x <= right))
        hits_face = enters & (abs(y + t_in * dy - door_y) > halfwidth)
        # Moves inside the gap may meet the door's upper or lower edge before they leave the slab.
        in_gap = ((x >= left) & (x <= right)) | (enters & ~hits_face)
        leaves = xp.where(rightward, end_x > right, end_x < left)
        y_out = xp.where(leaves, y + t_out * dy, end_y)
        hits_edge = in_gap & (abs(y_out - door_y) > halfwidth)
        t_edge = (
            xp.where(toward_high[..., 1], door_y + halfwidth, door_y - halfwidth) - y
        ) / divisor[..., 1]
        t_wall = xp.where(hits_face, t_in, t_edge)
        t_wall = xp.where(hits_face | hits_edge, clamp(t_wall, 0.0, 1.0), NEVER)

        # The first impact.
        time = xp.minimum(t_wall, t_border)
        wall_first = t_wall <= t_border
        impact = clamp(position + clamp(time, 0.0, 1.0)[..., None] * displacement, LOW, HIGH)
        impact_x, impact_y = impact[..., 0], impact[..., 1]
        normal_is_x = xp.where(wall_first, hits_face, t_border_x <= t_border_y)
        # The convex free region around the impact: the door's strip, the left or the right room.
        border_in_gap = (abs(impact_x - self.wall_x) < self.half_thickness) & (
            abs(impact_y - door_y) <= halfwidth
        )
        in_strip = xp.where(wall_first, hits_edge, border_in_gap)
        on_left = xp.where(wall_first & hits_face, rightward, impact_x < self.wall_x)
        low_x = xp.where(in_strip | on_left, LOW, right)
        high_x = xp.where(in_strip | ~on_left, HIGH, left)
        low_y = xp.where(in_strip, clamp(door_y - halfwidth, LOW, HIGH), LOW)
        high_y = xp.where(in_strip, clamp(door_y + halfwidth, LOW, HIGH), HIGH)
        low = xp.stack([low_x, low_y], axis=-1)
        high = xp.stack([high_x, high_y], axis=-1)
        return Impact(time, impact, normal_is_x, low, high)


def is_free(position: Array, layout: Layout) -> Array:
    """Whether a point is inside a room or the door gap.

    Args:
        position: (..., 2) pixels.
        layout: fields of shape (...,).

    Returns:
        Boolean (...,).
    """
    x, y = position[..., 0], position[..., 1]
    in_border = (x > LOW) & (x < HIGH) & (y > LOW) & (y < HIGH)
    return in_border & is_off_wall(position, layout)


def is_off_wall(position: Array, layout: Layout, margin: float = 0.0) -> Array:
    """Whether a point is farther than a margin from the inner wall's faces, or in the door's rows.

    Args:
        position: (..., 2) pixels.
        layout: fields of shape (...,).
        margin: pixels.

    Returns:
        Boolean (...,).
    """
    x, y = position[..., 0], position[..., 1]
    beside_wall = abs(x - layout.wall_x) > layout.half_thickness + margin
    in_door = abs(y - layout.door_y) <= layout.door_halfwidth
    return beside_wall | in_door


def step(
    position: Array,
    displacement: Array,
    walls: Walls,
    bounce: Array | Callable[[np.ndarray], np.ndarray],
) -> Array:
    """Move by a displacement; a move that meets a wall stops there and bounces.

    The agent stops at the first intersection with a wall. From there `bounce` carries it on, with
    the component along the wall's normal folded to point away from the wall, and the result is
    clipped to a convex free region around the point of impact (a room, or the strip of the door),
    `MARGIN` inside its walls. A convex region cannot be left by clipping, so no bounce tunnels.

    Args:
        position: (..., 2) free points.
        displacement: (..., 2) pixels, of any length.
        walls: of every point.
        bounce: (..., 2) pixels, the random offset after an impact; zeros make the step
            deterministic. For numpy positions (n, 2) also a function that gives the bounces
            (k, 2) of the k rows which may touch something; it is called only if there are any.

    Returns:
        (..., 2) free points: exactly `position + displacement` where the move touches nothing.
    """
    end = position + displacement
    clear = walls.stays_clear(position, end)
    if not isinstance(position, np.ndarray):  # on a GPU, selecting rows would wait for the device
        moved = _collide(position, displacement, walls, bounce)
        return namespace(position).where(clear[..., None], end, moved)
    if clear.all():
        return end
    rows = np.nonzero(~clear) if clear.ndim else ()
    local = walls.rows(clear.shape, rows)
    bounces = bounce(rows[0]) if callable(bounce) else bounce[rows]
    end[rows] = _collide(position[rows], displacement[rows], local, bounces)
    return end


def _collide(position: Array, displacement: Array, walls: Walls, bounce: Array) -> Array:
    """`step` without the short cut for moves that touch nothing."""
    xp = namespace(position)
    impact = walls.first_impact(position, displacement)
    away = xp.where(displacement > 0, -abs(bounce), abs(bounce))
    folded = xp.stack([impact.normal_is_x, ~impact.normal_is_x], axis=-1)
    target = impact.point + xp.where(folded, away, bounce)
    blocked = xp.minimum(xp.maximum(target, impact.low + MARGIN), impact.high - MARGIN)
    return xp.where((impact.time < NEVER)[..., None], blocked, position + displacement)


def path_through_door(
    start: Array, goal: Array, layout: Layout, margin: float = 0.0
) -> tuple[Array, Array]:
    """The shortest path between two points as its two bends, one at each face of the wall.

    Args:
        start, goal: (..., 2) free points, in any room or in the gap.
        layout: fields of shape (...,).
        margin: pixels kept from the wall's corners by the bends; 0 is the shortest path.

    Returns:
        The bends in order (..., 2, 2) and the path's length (...,) in pixels. Between points of
        one room the bends lie on the straight line and the length is Euclidean.
    """
    xp = namespace(start)
    gates, heights, lengths = _taut_paths(start, goal, layout, margin)
    best = xp.argmin(lengths, axis=0)[None, ...]
    chosen = [xp.take_along_axis(height, best, axis=0)[0, ...] for height in heights]
    left = xp.stack([gates[0], chosen[0]], axis=-1)
    right = xp.stack([gates[1], chosen[1]], axis=-1)
    rightward = (start[..., 0] <= goal[..., 0])[..., None]
    bends = [xp.where(rightward, left, right), xp.where(rightward, right, left)]
    return xp.stack(bends, axis=-2), xp.min(lengths, axis=0)


def shortest_path(start: Array, goal: Array, layout: Layout) -> Array:
    """Length (...,) in pixels of the shortest free path between two free points (..., 2)."""
    return namespace(start).min(_taut_paths(start, goal, layout, 0.0)[2], axis=0)


def _taut_paths(
    start: Array, goal: Array, layout: Layout, margin: float
) -> tuple[list[Array], list[Array], Array]:
    """Paths of which one is the shortest.

    A path crosses two gates, the door's openings in the wall's left and right face. Its length is
    convex in the two heights at which it does, so the minimum is the straight line where that
    passes both gates, and otherwise has one crossing at an end of its gate: the best of five.

    Returns:
        The gates' x (...,), left and right; the heights (5, ...) of the crossings there; the
        lengths (5, ...), all that of the straight line between points of one room.
    """
    xp = namespace(start)
    (sx, sy), (gx, gy) = (start[..., 0], start[..., 1]), (goal[..., 0], goal[..., 1])
    left, right = layout.wall_x - layout.half_thickness, layout.wall_x + layout.half_thickness
    low, high = layout.door_y - layout.door_halfwidth, layout.door_y + layout.door_halfwidth
    one_room = ((sx <= left) & (gx <= left)) | ((sx >= right) & (gx >= right))

    # From the point further left to the other. A gate that is not between them moves onto one.
    near, far = xp.minimum(sx, gx), xp.maximum(sx, gx)
    rightward = sx <= gx
    near_y, far_y = xp.where(rightward, sy, gy), xp.where(rightward, gy, sy)
    first = xp.minimum(xp.maximum(left - margin, near), far)
    second = xp.minimum(xp.maximum(right + margin, near), far)
    before, between, after = first - near, second - first, far - second
    rise = _divide(xp, far_y - near_y, far - near)
    straight_1, straight_2 = near_y + before * rise, far_y - after * rise

    # In one room every height is allowed: the gate is as wide as the straight line needs.
    low, high = low + margin, high - margin
    low = xp.where(one_room, xp.minimum(straight_1, straight_2), low)
    high = xp.where(one_room, xp.maximum(straight_1, straight_2), high)
    ends = xp.stack([low, high])
    onward = ends + (far_y - ends) * _divide(xp, between, between + after)
    backward = ends + (near_y - ends) * _divide(xp, between, before + between)
    heights_1 = xp.concat([straight_1[None, ...], ends, backward])
    heights_2 = xp.concat([straight_2[None, ...], onward, ends])
    heights_1 = xp.minimum(xp.maximum(heights_1, low), high)
    heights_2 = xp.minimum(xp.maximum(heights_2, low), high)
    lengths = (
        _norm(xp, before, heights_1 - near_y)
        + _norm(xp, between, heights_2 - heights_1)
        + _norm(xp, after, far_y - heights_2)
    )
    lengths = xp.where(one_room, _norm(xp, far - near, far_y - near_y), lengths)
    return [first, second], [heights_1, heights_2], lengths


def _chosen(field: Any, shape: tuple[int, ...], chosen: Any) -> Any:
    if isinstance(field, float):
        return field
    return (field if field.shape == shape else np.broadcast_to(field, shape))[chosen]


def _divide(xp: Any, part: Array, whole: Array) -> Array:
    return part / xp.where(whole == 0, xp.ones_like(whole), whole)


def _norm(xp: Any, dx: Array, dy: Array) -> Array:
    # The last term changes no length; it keeps the gradient of a zero length finite.
    return xp.sqrt(dx * dx + dy * dy + 1e-30)
