"""The renderer of points among walls: states to pixels, batched, for numpy and torch."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from array_api_compat import device

from .arrays import Array, cast, namespace
from .physics import HIGH, LOW, WALL_HALF_THICKNESS, Layout
from .tiles import wall_pixels

IMAGE_SIZE = 65
DOT_STD = 1.3
"""Standard deviation of the dot in pixels; sampled tasks keep two of them from every wall."""
PATCH = 10
"""The dot is below one grey level beyond 4.33 pixels: ten rows and columns hold it."""
BETWEEN_BORDERS = slice(int(LOW), int(HIGH) + 1)
"""Rows and columns of a picture that show walls, the border lines included."""


def render(position: Array, layout: Layout | Array) -> Array:
    """Draw the agent's dot in red and the walls in green.

    Args:
        position: (..., 2) pixels.
        layout: fields whose shapes broadcast against (...,), or layouts of tiles (..., 168).

    Returns:
        uint8 (..., 65, 65, 3), rows down, columns right; the blue channel is 0.
    """
    xp = namespace(position)
    walls = draw_walls(layout, position)
    shape = (*position.shape[:-1], IMAGE_SIZE, IMAGE_SIZE, 3)
    image = xp.empty(shape, dtype=xp.uint8, device=device(position))
    image[...] = walls
    draw_dot(image, position)
    return image


def draw_dot(image: Array, position: Array) -> None:
    """Draw dots into the red channel of images, in place.

    A dot is `floor(255 exp(-((col - x)^2 + (row - y)^2) / (2 * 1.3^2)))`.

    Args:
        image: contiguous uint8 (..., 65, 65, 3), red channel 0.
        position: (..., 2) pixels, within the border walls.
    """
    xp = namespace(position)
    position = position.reshape(-1, 2)
    count = position.shape[0]
    rooms = 1 << (count - 1).bit_length()
    offsets, pixels, first = _patch(xp, rooms, position.dtype, device(position))
    first = first[:count]
    corner = cast(position, xp.int64)
    offset = offsets - (position - cast(corner, position.dtype))[:, :, None]  # (B, 2, 10)
    # exp of a sum of squares is a product: two lines of exponentials instead of a square of them
    profile = xp.exp(offset * offset * (-0.5 / DOT_STD**2))
    dot = (255.0 * profile[:, 1, :, None]) * profile[:, 0, None, :]  # (B, 10, 10)
    values = cast(dot, xp.uint8)  # truncation is floor, as the values are positive
    index = (first + 3 * (IMAGE_SIZE * corner[:, 1] + corner[:, 0]))[:, None] + pixels  # (B, 100)
    image.reshape(-1)[index] = values.reshape(-1, PATCH**2)


@functools.cache
def _patch(xp: Any, count: int, dtype: Any, place: Any) -> tuple[Array, Array, Array]:
    """Constants for drawing dots, cached: they would cost as much as all the rest.

    They are kept for good, since a recorded CUDA graph reads them where they are. The count is a
    power of two, so that they are few.

    Returns:
        The patch's pixel lines relative to the pixel under the dot's centre (10,), the flat
        offsets of its red values (100,), and the flat offset of each image (B,).
    """
    lines = xp.arange(PATCH, dtype=xp.int64, device=place) - (PATCH // 2 - 1)
    pixels = 3 * (IMAGE_SIZE * lines[:, None] + lines[None, :]).reshape(-1)
    first = xp.arange(count, dtype=xp.int64, device=place) * (3 * IMAGE_SIZE**2)
    return cast(lines, dtype), pixels, first


def draw_walls(layout: Layout | Array, like: Array) -> Array:
    """Images of the walls alone: uint8 (..., 65, 65, 3), green 255 on walls.

    Args:
        layout: fields of shape (...,), or layouts of tiles (..., 168).
        like: an array whose namespace, floating type and device are used.
    """
    xp = namespace(like)
    line = xp.arange(IMAGE_SIZE, dtype=like.dtype, device=device(like))
    is_border = (line == LOW) | (line == HIGH)  # (65,)
    border = is_border[:, None] | is_border[None, :]
    if isinstance(layout, Layout):
        half: Any = layout.half_thickness
        half = half if isinstance(half, float) else half[..., None]
        in_column = abs(line - layout.wall_x[..., None]) <= half  # (..., 65)
        solid = abs(line - layout.door_y[..., None]) > layout.door_halfwidth[..., None]
        walls = border | (solid[..., :, None] & in_column[..., None, :])
    else:
        between = wall_pixels(layout)
        walls = xp.zeros((*between.shape[:-2], *border.shape), dtype=xp.bool, device=device(like))
        walls[..., BETWEEN_BORDERS, BETWEEN_BORDERS] = between
        walls = walls | border
    green = cast(walls, xp.uint8) * 255
    image = xp.zeros((*green.shape, 3), dtype=xp.uint8, device=device(like))
    image[..., 1] = green
    return image


def locate_dot(image: np.ndarray) -> np.ndarray:
    """Read the dot's position off observation images, to 0.02 pixels.

    The centre of mass of the red channel: the dot is symmetric and never cut by the image's edge.

    Args:
        image: uint8 (..., 65, 65, 3).

    Returns:
        float32 (..., 2) pixels.
    """
    red = image[..., 0].astype(np.float32)
    marginals = np.stack([red.sum(axis=-2), red.sum(axis=-1)], axis=-2)  # (..., 2, 65): x, y
    line = np.arange(IMAGE_SIZE, dtype=np.float32)
    total = np.maximum(marginals.sum(axis=-1), 1.0)
    return (marginals @ line / total).astype(np.float32)


def read_layout(image: np.ndarray) -> np.ndarray:
    """Read wall_x, door_y and door_halfwidth off observation images.

    Args:
        image: uint8 (..., 65, 65, 3).

    Returns:
        float32 (..., 3), or (..., 4) with the half thickness where a wall is not as usual.
    """
    inside = slice(int(LOW) + 1, int(HIGH))
    inner = np.asarray(image[..., inside, inside, 1] > 0)  # (..., 55, 55)
    line = np.arange(inside.start, inside.stop, dtype=np.float32)
    column = inner.any(axis=-2)
    gap = np.asarray(~inner.any(axis=-1))
    columns = column.sum(axis=-1)
    wall_x = (column * line).sum(axis=-1) / np.maximum(columns, 1)
    height = gap.sum(axis=-1)
    door_y = (gap * line).sum(axis=-1) / np.maximum(height, 1)
    halfwidth = (height - 1) / 2
    # A door is an odd number of rows: where the number is even, a border hides the outermost.
    hidden = height % 2 == 0
    door_y = door_y + np.where(hidden, np.where(gap[..., 0], -0.5, 0.5), 0.0)
    found = [wall_x, door_y, halfwidth + 0.5 * hidden]
    thickness = (columns - 1) / 2
    if (thickness != WALL_HALF_THICKNESS).any():
        found.append(thickness)
    return np.stack(found, axis=-1).astype(np.float32)
