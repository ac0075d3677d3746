"""Any arrangement of walls, on a square of 56 x 56 tiles between the borders, each free or solid.

A tile is a pixel wide; tile (row, column) covers x from `LOW` + column to `LOW` + column + 1, and y
likewise. From every free tile two boxes of free tiles are known, the widest and the highest that
hold it: rooms, corridors and doors. Moves are followed from box to box, so that they cost the same
whatever their length, and none passes a wall or slips between two that touch at a corner.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import device, to_device

from .arrays import Array, cast, clamp, namespace
from .physics import HIGH, LOW, NEVER, VANISHING, Impact

TILES = int(HIGH - LOW)
"""Tiles along a side."""
RIM = TILES + 2
"""Tiles along a side with a solid rim around them."""
WORD_BITS, WORDS = 19, 3
"""A layout stores a row of tiles as so many whole numbers of so many bits, exact in float32."""
LAYOUT_SIZE = TILES * WORDS


def pack(solid: np.ndarray) -> np.ndarray:
    """Solid tiles, boolean (..., 56, 56), as a layout of numbers: float32 (..., 168)."""
    bits = np.zeros((*solid.shape[:-1], WORDS * WORD_BITS), dtype=np.int64)
    bits[..., :TILES] = solid
    words = bits.reshape(*solid.shape[:-1], WORDS, WORD_BITS) @ (1 << np.arange(WORD_BITS))
    return words.reshape(*solid.shape[:-2], LAYOUT_SIZE).astype(np.float32)


def unpack(layout_array: Array) -> Array:
    """The inverse of `pack`, for numpy and torch."""
    xp = namespace(layout_array)
    words = cast(layout_array, xp.int64).reshape(*layout_array.shape[:-1], TILES, WORDS, 1)
    bits = words // 2 ** xp.arange(WORD_BITS, dtype=xp.int64, device=device(layout_array)) % 2
    return bits.reshape(*layout_array.shape[:-1], TILES, WORDS * WORD_BITS)[..., :TILES] == 1


def with_rim(solid: Array) -> Array:
    """Tiles (..., 56, 56) with a rim of solid ones around them: boolean (..., 58, 58)."""
    shape = (*solid.shape[:-2], RIM, RIM)
    rim = namespace(solid).ones(shape, dtype=solid.dtype, device=device(solid))
    rim[..., 1:-1, 1:-1] = solid
    return rim


def wall_pixels(layout_array: Array) -> Array:
    """Which pixels between the border lines show a wall: those whose centres touch a solid tile.

    Args:
        layout_array: (..., 168).

    Returns:
        Boolean (..., 57, 57), the border lines included.
    """
    rim = with_rim(unpack(layout_array))
    rows = rim[..., 1:, :] | rim[..., :-1, :]
    return rows[..., 1:] | rows[..., :-1]


class TileWalls:
    """The walls of a batch of points; see `physics.Walls`.

    Args:
        boxes: uint8 (P * 58 * 58, 8), see `box_table`, of P layouts one after the other.
        first: integers (...,): which row of `boxes` is the first of a point's layout.
    """

    def __init__(self, boxes: Array, first: Array) -> None:
        self._boxes, self._first = boxes, first

    @classmethod
    def from_array(cls, layout_array: Array) -> TileWalls:
        """The walls of layouts (..., 168), each of which is looked at once."""
        xp = namespace(layout_array)
        flat = np.asarray(to_device(layout_array, "cpu"), dtype=np.float32).reshape(-1, LAYOUT_SIZE)
        distinct, index = np.unique(flat, axis=0, return_inverse=True)
        tables = np.concatenate([box_table(solid) for solid in unpack(distinct)])
        first = (index * RIM**2).reshape(layout_array.shape[:-1])
        place = device(layout_array)
        return cls(xp.asarray(tables, device=place), xp.asarray(first, device=place))

    def rows(self, shape: tuple[int, ...], chosen: Any) -> TileWalls:
        """See `Walls`."""
        return TileWalls(self._boxes, np.broadcast_to(self._first, shape)[chosen])

    def is_free(self, position: Array) -> Array:
        """Whether points (..., 2) are in free tiles: boolean (...,)."""
        inside = (position >= LOW) & (position < HIGH)
        tile = cast(clamp(position, LOW, HIGH), namespace(position).int64)
        return inside[..., 0] & inside[..., 1] & (self._look_up(tile, position)[..., 2] > 0)

    def stays_clear(self, position: Array, end: Array) -> Array:
        """See `Walls`: where the end lies in one of the boxes of the tile where the move begins."""
        boxes = self._look_up(cast(position, namespace(position).int64), position)
        inside = (end > boxes[..., 0:2]) & (end < boxes[..., 2:4])
        other = (end > boxes[..., 4:6]) & (end < boxes[..., 6:8])
        return (inside[..., 0] & inside[..., 1]) | (other[..., 0] & other[..., 1])

    def first_impact(self, position: Array, displacement: Array) -> Impact:
        """See `Walls`; the convex region is the larger box of the last tile before the wall."""
        xp = namespace(position)
        end, toward_high = position + displacement, displacement > 0
        moves = displacement != 0
        divisor = xp.where(abs(displacement) < VANISHING, xp.ones_like(end), displacement)
        tile = cast(position, xp.int64)  # (..., 2): column and row, counted from the picture's
        walking = tile[..., 0] >= 0
        point, before, normal_is_x = position, tile, walking
        time = xp.full_like(position[..., 0], NEVER)
        while xp.any(walking):
            boxes = self._look_up(tile, position)
            # Whether a box is left is read off the end point, so rounding cannot let a move out.
            first, second = (
                xp.where(
                    moves & xp.where(toward_high, end >= box[..., 2:], end <= box[..., :2]),
                    clamp(
                        (xp.where(toward_high, box[..., 2:], box[..., :2]) - position) / divisor,
                        0.0,
                        1.0,
                    ),
                    NEVER,
                )
                for box in (boxes[..., :4], boxes[..., 4:])
            )  # (..., 2), the shares of the move at which it leaves the boxes along x and y
            is_second = (xp.min(second, axis=-1) > xp.min(first, axis=-1))[..., None]
            times = xp.where(is_second, second, first)
            box = xp.where(is_second, boxes[..., 4:], boxes[..., :4])
            now = xp.min(times, axis=-1)
            along_x = times[..., 0] <= times[..., 1]
            # Where the move leaves the box, and the tile behind. Tiles never go back, even where
            # rounding does: so the walk ends.
            here = position + clamp(now, 0.0, 1.0)[..., None] * displacement
            here = xp.minimum(xp.maximum(here, box[..., :2]), box[..., 2:])
            corner = cast(box, xp.int64)
            within = xp.minimum(cast(here, xp.int64), corner[..., 2:] - 1)
            within = xp.where(toward_high, xp.maximum(within, tile), xp.minimum(within, tile))
            behind = xp.where(toward_high, corner[..., 2:], corner[..., :2] - 1)
            is_left = xp.stack([along_x, ~along_x], axis=-1)
            following = xp.where(is_left, behind, within)
            leaves = walking & (now < NEVER)
            hits = leaves & (self._look_up(following, position)[..., 2] == 0)
            time = xp.where(hits, now, time)
            normal_is_x = xp.where(hits, along_x, normal_is_x)
            point = xp.where(hits[..., None], here, point)
            before = xp.where(hits[..., None], within, before)
            walking = leaves & ~hits
            tile = xp.where(walking[..., None], following, tile)
        box = self._look_up(before, position)
        return Impact(time, point, normal_is_x, box[..., :2], box[..., 2:4])

    def _look_up(self, tile: Array, like: Array) -> Array:
        """The boxes (..., 8) of tiles (..., 2), as numbers of the type of `like`."""
        corner = int(LOW) - 1
        index = self._first + (RIM * (tile[..., 1] - corner) + (tile[..., 0] - corner))
        return cast(self._boxes[index], like.dtype)


def box_table(solid: np.ndarray) -> np.ndarray:
    """The two boxes of every tile and of a solid rim: uint8 (58 * 58, 8).

    Args:
        solid: boolean (56, 56).

    Returns:
        For each tile low x, low y, high x, high y in pixels of the larger of its boxes, then of the
        other; zeros for solid tiles.
    """
    widest, highest = widest_and_highest(~solid)
    sizes = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (widest, highest)]
    swap = (sizes[1] > sizes[0])[..., None]
    both = [np.where(swap, highest, widest), np.where(swap, widest, highest)]
    table = np.zeros((RIM, RIM, 8), dtype=np.uint8)
    table[1:-1, 1:-1] = np.where(solid[..., None], 0, np.concatenate(both, axis=-1) + int(LOW))
    return table.reshape(-1, 8)


def widest_and_highest(marked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The `maximal_boxes` of runs of marked tiles (rows, columns) along rows and along columns."""
    turned = maximal_boxes(marked.T)
    return maximal_boxes(marked), turned[..., [1, 0, 3, 2]].swapaxes(0, 1)


def maximal_boxes(marked: np.ndarray) -> np.ndarray:
    """The highest box about the whole run of marked tiles in its row, for every marked tile.

    Args:
        marked: boolean (rows, columns).

    Returns:
        Integers (rows, columns, 4): low x, low y, high x, high y, counted in tiles.
    """
    rows, columns = marked.shape
    line = np.arange(columns)
    low = np.maximum.accumulate(np.where(marked, 0, line + 1), axis=1)
    high = np.minimum.accumulate(np.where(marked, columns, line)[:, ::-1], axis=1)[:, ::-1]
    boxes = np.zeros((rows, columns, 4), dtype=np.int64)
    lines = [sum(1 << at for at in np.flatnonzero(each).tolist()) for each in marked]  # as bits
    for row, left in np.argwhere(marked & (low == line)).tolist():
        right, top, bottom = int(high[row, left]), row, row + 1
        run = (1 << right) - (1 << left)
        while top > 0 and lines[top - 1] & run == run:
            top -= 1
        while bottom < rows and lines[bottom] & run == run:
            bottom += 1
        boxes[row, left:right] = (left, top, right, bottom)
    return boxes
