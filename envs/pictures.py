"""Pictures of flat shapes by their signed distances, batched, for numpy and torch.

A signed distance is negative inside of a shape, in the world's units. Points are (...,) per
coordinate; distances are (..., H, W).
"""

from __future__ import annotations

import math
from typing import Any

from array_api_compat import device

from .arrays import Array, cast, clamp, namespace

Colour = tuple[float, float, float]
WHITE: Colour = (255.0, 255.0, 255.0)


class Canvas:
    """Square images of a square piece of a plane, painted from back to front.

    Args:
        like: an array whose namespace, floating type and device are used.
        size: rows and columns.
        corner: (x, y) of the picture's top left corner.
        extent: its width in the world's units.
        up: whether y points up in the picture; rows always count down.
        background: RGB.
    """

    def __init__(
        self,
        like: Array,
        size: int,
        corner: tuple[float, float],
        extent: float,
        up: bool = False,
        background: Colour = WHITE,
    ) -> None:
        self._xp = xp = namespace(like)
        self.pitch = extent / size
        """World units a pixel."""
        centres = (xp.arange(size, dtype=like.dtype, device=device(like)) + 0.5) * self.pitch
        self.x = corner[0] + centres
        """(W,), of the pixels' centres."""
        self.y = (corner[1] - centres if up else corner[1] + centres)[:, None]
        """(H, 1)."""
        self._planes: list[Any] = [(self.x + self.y) * 0 + value for value in background]

    def around(self, x: Array, y: Array, reach: float) -> Piece:
        """The pieces about points (...), to paint in what lies within a reach of them.

        Painting a small shape there gives the same picture as painting it everywhere, sooner.
        """
        return Piece(self, x, y, reach)

    def blend(self, share: Array, colour: Colour) -> None:
        """Put a colour over a share (..., H, W) in [0, 1] of each pixel."""
        self._planes = [
            plane + share * (value - plane)
            for plane, value in zip(self._planes, colour, strict=True)
        ]

    def paint(self, distance: Array, colour: Colour) -> None:
        """Paint a shape, given its signed distances (..., H, W); edges are as wide as a pixel."""
        self.blend(clamp(0.5 - distance / self.pitch, 0.0, 1.0), colour)

    def image(self) -> Array:
        """What was painted: uint8 (..., H, W, 3)."""
        xp = self._xp
        planes = [cast(plane + 0.5, xp.uint8) for plane in self._planes]  # to the nearest
        return xp.stack(planes, axis=-1)

    def disc(self, x: Array, y: Array, radius: float) -> Array:
        """Signed distances (..., H, W) of discs about points."""
        return _length(self.x - _wide(x), self.y - _wide(y)) - radius

    def capsule(self, start: tuple[Array, Array], end: tuple[Array, Array], radius: float) -> Array:
        """Signed distances (..., H, W) of what lies within a radius of line segments."""
        x, y = self.x - _wide(start[0]), self.y - _wide(start[1])
        along_x, along_y = _wide(end[0]) - _wide(start[0]), _wide(end[1]) - _wide(start[1])
        squared = along_x * along_x + along_y * along_y
        share = clamp((x * along_x + y * along_y) / squared, 0.0, 1.0)
        return _length(x - share * along_x, y - share * along_y) - radius

    def columns(self, left: Any, right: Any) -> Array:
        """The share (..., 1, W) of each pixel's width between two x, exactly."""
        left, right = _wide(left), _wide(right)
        half = self.pitch / 2
        inside = clamp(right - self.x, -half, half) - clamp(left - self.x, -half, half)
        return inside / self.pitch

    def rows(self, top: Any, bottom: Any) -> Array:
        """The share (..., H, 1) of each pixel's height between two y, top <= bottom, exactly."""
        top, bottom = _wide(top), _wide(bottom)
        half = self.pitch / 2
        inside = clamp(bottom - self.y, -half, half) - clamp(top - self.y, -half, half)
        return inside / self.pitch

    def turned(self, x: Array, y: Array, cosine: Array, sine: Array) -> tuple[Array, Array]:
        """Coordinates (..., H, W) of the pixels in frames at points, turned by angles."""
        x, y = self.x - _wide(x), self.y - _wide(y)
        cosine, sine = _wide(cosine), _wide(sine)
        return x * cosine + y * sine, y * cosine - x * sine

    def box_in(self, frame: tuple[Array, Array], box: tuple[float, float, float, float]) -> Array:
        """Signed distances (..., H, W) of a box (left, right, top, bottom) in turned frames.

        They are too small beyond its corners, which edges as wide as a pixel do not show.
        """
        left, right, top, bottom = box
        across = abs(frame[0] - (left + right) / 2) - (right - left) / 2
        down = abs(frame[1] - (top + bottom) / 2) - (bottom - top) / 2
        return self._xp.maximum(across, down)

    def nearest(self, first: Array, second: Array) -> Array:
        """Signed distances (..., H, W) of two shapes together, which should overlap."""
        return self._xp.minimum(first, second)


class Piece(Canvas):
    """Square pieces (..., n, n) of the pictures (..., H, W) of a canvas; see `Canvas.around`."""

    def __init__(self, canvas: Canvas, x: Array, y: Array, reach: float) -> None:
        self._xp, self.pitch = canvas._xp, canvas.pitch
        height, width = canvas.y.shape[0], canvas.x.shape[0]
        batch = (*x.shape, height, width)
        canvas._planes = [
            plane if plane.shape == batch else self._xp.broadcast_to(plane, batch) + 0.0
            for plane in canvas._planes
        ]
        side = min(height, width, math.ceil(2 * reach / self.pitch) + 3)
        rows, columns = _about(y, canvas.y[:, 0], side), _about(x, canvas.x, side)
        self.x, self.y = canvas.x[columns][..., None, :], canvas.y[:, 0][rows][..., :, None]
        self._pictures = [plane.reshape(-1, height, width) for plane in canvas._planes]
        count = self._pictures[0].shape[0]
        which = self._xp.arange(count, device=device(x))[:, None, None]
        self._where = which, rows.reshape(-1, side, 1), columns.reshape(-1, 1, side)

    def blend(self, share: Array, colour: Colour) -> None:
        """Put a colour over a share (..., n, n) in [0, 1] of each pixel."""
        share = share.reshape(-1, *share.shape[-2:])
        for picture, value in zip(self._pictures, colour, strict=True):
            old = picture[self._where]
            picture[self._where] = old + share * (value - old)


def _about(places: Array, centres: Array, count: int) -> Array:
    """The numbers (..., count) of the pixels about places (...), by the pixels' centres (N,)."""
    xp = namespace(centres)
    first = (places - centres[0]) / (centres[1] - centres[0]) - (count - 1) / 2
    first = cast(clamp(xp.floor(first + 0.5), 0, len(centres) - count), xp.int64)
    return first[..., None] + xp.arange(count, device=device(first))


def _wide(values: Any) -> Any:
    """Numbers (...,) as (..., 1, 1), beside rows and columns."""
    return values[..., None, None] if hasattr(values, "ndim") and values.ndim else values


def _length(x: Array, y: Array) -> Array:
    return namespace(x).sqrt(x * x + y * y)
