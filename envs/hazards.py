"""Dangers of Two Rooms: a strip beside the wall that ends the episode, and moves that slip."""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .physics import Layout, is_off_wall

HAZARDS = ("none", "strip")
STRIP_WIDTH = 3.0
"""Pixels from each face of the inner wall within which a step may not end."""
DEGREES = 3
"""Degrees of freedom of slips' Student's t distribution: the fewest with a variance."""


def in_strip(position: Array, layout: Layout) -> Array:
    """Whether points (..., 2) are beside the inner wall, the door's rows aside; boolean (...,)."""
    return ~is_off_wall(position, layout, STRIP_WIDTH)


def strip_boxes(layout: Layout) -> np.ndarray:
    """One layout's strip with the wall in it (2, 4): `Layout.boxes`, wider."""
    return layout.boxes() + np.array([-STRIP_WIDTH, 0.0, STRIP_WIDTH, 0.0])


def slipped(displacement: Array, noise: Array) -> Array:
    """Displacements (..., 2) that slip: by as much noise (..., 2) as they are long.

    Whoever stands still does not slip.
    """
    length = (displacement * displacement).sum(axis=-1) ** 0.5
    return displacement + length[..., None] * noise


def draw_slips(rng: np.random.Generator, shape: tuple[int, ...], scale: float) -> np.ndarray:
    """Heavy-tailed noise, float32: `scale` times Student's t."""
    return (scale * rng.standard_t(DEGREES, shape)).astype(np.float32)
