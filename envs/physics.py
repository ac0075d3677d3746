"""The physics of Two Rooms: one transition function and one shortest path.

Everything here is batched and written over the Python array API, so the same lines move one agent
in numpy, four thousand in a vector environment and millions on a GPU in torch. Units are pixels,
x points right and y down. Numbers follow the Two Rooms task of PLDM (arXiv 2502.14819) in the
configuration of EB-JEPA (arXiv 2602.03604).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_numpy_array

Array = Any
"""A numpy array or a torch tensor."""

LOW, HIGH = 4.0, 60.0
"""The border walls, on both axes: the agent lives strictly between them."""
WALL_HALF_THICKNESS = 1.0
DOOR_HALFWIDTH = 4.0
MARGIN = 0.3
"""A blocked move ends at least this far inside the room."""
VANISHING = 1e-20
NEVER = 2.0
"""A time of impact beyond the end of the move, which is at time 1."""


class Layout(NamedTuple):
    """Where the inner wall and its door are; each field has the batch shape (...,)."""

    wall_x: Array
    door_y: Array
    door_halfwidth: Array

    @classmethod
    def from_array(cls, context: Array) -> Layout:
        """Split a (..., 3) array of wall_x, door_y, door_halfwidth into its fields."""
        return cls(context[..., 0], context[..., 1], context[..., 2])


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
    beside_wall = abs(x - layout.wall_x) > WALL_HALF_THICKNESS
    in_door = abs(y - layout.door_y) <= layout.door_halfwidth
    return in_border & (beside_wall | in_door)


def step(position: Array, displacement: Array, layout: Layout, bounce: Array) -> Array:
    """Move by a displacement; a move that meets a wall stops there and bounces.

    The agent stops at the first intersection with a wall. From there `bounce` carries it on, with
    the component along the wall's normal folded to point away from the wall, and the result is
    clipped to a convex free region around the point of impact (a room, or the strip of the door),
    `MARGIN` inside its walls. A convex region cannot be left by clipping, so no bounce tunnels.

    Args:
        position: (..., 2) free points.
        displacement: (..., 2) pixels, of any length.
        layout: fields of shape (...,).
        bounce: (..., 2) pixels, the random offset after an impact; zeros make the step
            deterministic. Beside numpy positions, anything that gives the rows under a mask.

    Returns:
        (..., 2) free points: exactly `position + displacement` where the move touches nothing.
    """
    end = position + displacement
    left = layout.wall_x - WALL_HALF_THICKNESS
    right = layout.wall_x + WALL_HALF_THICKNESS
    x, end_x = position[..., 0], end[..., 0]
    # A room is convex: with both ends in the same room the move touches nothing.
    same_room = ((x < left) & (end_x < left)) | ((x > right) & (end_x > right))
    inside = (end > LOW) & (end < HIGH)
    clear = same_room & inside[..., 0] & inside[..., 1]
    if not is_numpy_array(position):  # on a GPU, selecting rows would wait for the device
        xp = array_namespace(position)
        moved = _collide(position, displacement, layout, bounce)
        return xp.where(clear[..., None], end, moved)
    if clear.all():
        return end
    touched = ~clear
    rows = Layout(*(np.broadcast_to(field, clear.shape)[touched] for field in layout))
    end[touched] = _collide(position[touched], displacement[touched], rows, bounce[touched])
    return end


def _collide(position: Array, displacement: Array, layout: Layout, bounce: Array) -> Array:
    """`step` without the short cut for moves that stay in a room."""
    xp = array_namespace(position)
    end = position + displacement
    x, y = position[..., 0], position[..., 1]
    dy = displacement[..., 1]
    end_x, end_y = end[..., 0], end[..., 1]
    left = layout.wall_x - WALL_HALF_THICKNESS
    right = layout.wall_x + WALL_HALF_THICKNESS
    door_y, halfwidth = layout.door_y, layout.door_halfwidth
    # A vanishing component never decides a time of impact; 1 keeps the division finite.
    vanishing = abs(displacement) < VANISHING
    divisor = xp.where(vanishing, xp.ones_like(displacement), displacement)
    toward_high = displacement > 0
    rightward = toward_high[..., 0]

    # Borders. Whether one is met is read off the end point, so rounding cannot let a move out.
    border = xp.where(toward_high, HIGH, LOW) - position
    met = (end <= LOW) | (end >= HIGH)
    t_border_xy = xp.where(met, _clamp(xp, border / divisor, 0.0, 1.0), NEVER)
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
    t_edge = (xp.where(toward_high[..., 1], door_y + halfwidth, door_y - halfwidth) - y) / divisor[
        ..., 1
    ]
    t_wall = xp.where(hits_face, t_in, t_edge)
    t_wall = xp.where(hits_face | hits_edge, _clamp(xp, t_wall, 0.0, 1.0), NEVER)

    # The first impact, and the bounce away from it.
    time = xp.minimum(t_wall, t_border)
    wall_first = t_wall <= t_border
    impact = _clamp(xp, position + _clamp(xp, time, 0.0, 1.0)[..., None] * displacement, LOW, HIGH)
    impact_x, impact_y = impact[..., 0], impact[..., 1]
    normal_is_x = xp.where(wall_first, hits_face, t_border_x <= t_border_y)
    away = xp.where(toward_high, -abs(bounce), abs(bounce))
    folded = xp.stack([normal_is_x, ~normal_is_x], axis=-1)
    target = impact + xp.where(folded, away, bounce)

    # The convex free region around the impact: the door's strip, the left or the right room.
    border_in_gap = (abs(impact_x - layout.wall_x) < WALL_HALF_THICKNESS) & (
        abs(impact_y - door_y) <= halfwidth
    )
    in_strip = xp.where(wall_first, hits_edge, border_in_gap)
    on_left = xp.where(wall_first & hits_face, rightward, impact_x < layout.wall_x)
    low_x = xp.where(in_strip | on_left, LOW, right)
    high_x = xp.where(in_strip | ~on_left, HIGH, left)
    low_y = xp.where(in_strip, _clamp(xp, door_y - halfwidth, LOW, HIGH), LOW)
    high_y = xp.where(in_strip, _clamp(xp, door_y + halfwidth, LOW, HIGH), HIGH)
    low = xp.stack([low_x, low_y], axis=-1) + MARGIN
    high = xp.stack([high_x, high_y], axis=-1) - MARGIN
    blocked = xp.minimum(xp.maximum(target, low), high)
    return xp.where((time < NEVER)[..., None], blocked, end)


def path_through_door(
    start: Array, goal: Array, layout: Layout, margin: float = 0.0
) -> tuple[Array, Array]:
    """The shortest path between two points as its two bends, one at each face of the wall.

    The path crosses two gates, the door's openings in the left and the right face. Its length is
    convex in the two crossing heights, so the minimum is the straight line where that passes both
    gates, and otherwise has one crossing at an end of its gate: the best of five candidates.

    Args:
        start, goal: (..., 2) free points, in any room or in the gap.
        layout: fields of shape (...,).
        margin: pixels kept from the wall's corners by the bends; 0 is the shortest path.

    Returns:
        The bends in order (..., 2, 2) and the path's length (...,) in pixels. Between points of
        one room the bends lie on the straight line and the length is Euclidean.
    """
    xp = array_namespace(start)
    start, goal = xp.broadcast_arrays(start, goal)
    left = layout.wall_x - WALL_HALF_THICKNESS
    right = layout.wall_x + WALL_HALF_THICKNESS
    low = layout.door_y - layout.door_halfwidth + margin
    high = layout.door_y + layout.door_halfwidth - margin
    sx, sy, gx, gy = start[..., 0], start[..., 1], goal[..., 0], goal[..., 1]

    # Gates in the order of travel; a gate behind the start or the goal is moved onto that point.
    rightward = sx <= gx
    near, far = xp.where(rightward, sx, gx), xp.where(rightward, gx, sx)
    gates = xp.stack([left - margin + 0 * sx, right + margin + 0 * sx])
    gates = xp.minimum(xp.maximum(gates, near), far)
    first = xp.where(rightward, gates[0, ...], gates[1, ...])
    second = xp.where(rightward, gates[1, ...], gates[0, ...])

    def on_line(ax: Array, ay: Array, bx: Array, by: Array, at: Array) -> Array:
        span = bx - ax
        share = (at - ax) / xp.where(span == 0, xp.ones_like(span), span)
        return ay + share * (by - ay)

    def clamp(height: Array) -> Array:
        return xp.minimum(xp.maximum(height, low), high)

    # Heights of the crossings (5, ...): straight, then one of them at an end of its gate.
    ends = xp.stack([low + 0 * sy, high + 0 * sy])
    straight_1 = on_line(sx, sy, gx, gy, first)
    straight_2 = on_line(sx, sy, gx, gy, second)
    onward = clamp(on_line(first, ends, gx, gy, second))
    backward = clamp(on_line(sx, sy, second, ends, first))
    y1 = xp.concat([clamp(straight_1)[None, ...], ends, backward])
    y2 = xp.concat([clamp(straight_2)[None, ...], onward, ends])
    lengths = (
        _norm(xp, first - sx, y1 - sy)
        + _norm(xp, second - first, y2 - y1)
        + _norm(xp, gx - second, gy - y2)
    )
    best = xp.argmin(lengths, axis=0)[None, ...]
    same_room = ((sx <= left) & (gx <= left)) | ((sx >= right) & (gx >= right))
    best_1 = xp.where(same_room, straight_1, xp.take_along_axis(y1, best, axis=0)[0, ...])
    best_2 = xp.where(same_room, straight_2, xp.take_along_axis(y2, best, axis=0)[0, ...])
    shortest = xp.where(same_room, _norm(xp, gx - sx, gy - sy), xp.min(lengths, axis=0))
    bends = xp.stack([first, best_1, second, best_2], axis=-1)
    return xp.reshape(bends, (*bends.shape[:-1], 2, 2)), shortest


def shortest_path(start: Array, goal: Array, layout: Layout) -> Array:
    """Length (...,) in pixels of the shortest free path between two free points (..., 2)."""
    return path_through_door(start, goal, layout)[1]


def _clamp(xp: Any, values: Array, low: float, high: float) -> Array:
    if is_numpy_array(values):  # its clip costs more than the whole step of an environment
        return np.minimum(np.maximum(values, low), high)
    return xp.clip(values, low, high)


def _norm(xp: Any, dx: Array, dy: Array) -> Array:
    # The last term changes no length; it keeps the gradient of a zero length finite.
    return xp.sqrt(dx * dx + dy * dy + 1e-30)
