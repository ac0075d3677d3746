"""Large images made small, on the device where they are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

COLOURS = 3
"""Channels that torch scales fastest on CPUs; other numbers are scaled in parts of 3, or of 1."""
SCALED_TOGETHER = 256
"""Images that are scaled at once, since their floats need memory on GPUs."""


def scaled_shape(shape: tuple[int, ...], longest: int) -> tuple[int, ...]:
    """The shape (H, W, C) of images scaled so that their longer side is at most `longest`.

    Args:
        shape: their shape; vectors (S,) are left alone.
        longest: in pixels; 0 for any size.
    """
    if len(shape) != 3 or not longest or max(shape[:2]) <= longest:
        return shape
    height, width, channels = shape
    factor = longest / max(height, width)
    return max(1, round(factor * height)), max(1, round(factor * width)), channels


def scaled(images: Tensor, shape: tuple[int, ...]) -> Tensor:
    """uint8 images (B, H, W, C) scaled to a shape (h, w, C), bilinear and antialiased."""
    if images.shape[1:] == shape:
        return images
    return torch.cat([_scaled(part, shape[:2]) for part in images.split(SCALED_TOGETHER)])


def _scaled(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """(B, H, W, C) to (B, h, w, C)."""
    if images.device.type != "cpu":
        found = _interpolated(images.float(), size)
        return found.round().clamp(0, 255).to(torch.uint8).contiguous()
    together = COLOURS if images.shape[-1] % COLOURS == 0 else 1
    parts = images.unflatten(-1, (-1, together)).permute(0, 3, 1, 2, 4)  # (B, P, H, W, 3 or 1)
    found = _interpolated(parts.flatten(0, 1), size).unflatten(0, parts.shape[:2])
    return found.permute(0, 2, 3, 1, 4).flatten(3)


def _interpolated(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """(B, H, W, C) to (B, h, w, C)."""
    channels_first = images.permute(0, 3, 1, 2)
    found = F.interpolate(channels_first, size=size, mode="bilinear", antialias=True)
    return found.permute(0, 2, 3, 1)
