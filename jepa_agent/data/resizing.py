"""Large images made small, on the device where they are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

NATIVE_CHANNELS = (1, 3)
"""Channels for which torch scales bytes fast on CPUs; images of others are scaled one by one."""
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
    parts = images.split(SCALED_TOGETHER)
    return torch.cat([_scaled(part.permute(0, 3, 1, 2), shape[:2]) for part in parts])


def _scaled(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """(B, C, H, W) to (B, h, w, C)."""
    if images.device.type == "cpu":
        channels = images.shape[1]
        if channels not in NATIVE_CHANNELS:
            images = images.flatten(0, 1)[:, None]
        found = F.interpolate(images, size=size, mode="bilinear", antialias=True)
        found = found.reshape(-1, channels, *size)
    else:
        found = F.interpolate(images.float(), size=size, mode="bilinear", antialias=True)
        found = found.round().clamp(0, 255).to(torch.uint8)
    return found.permute(0, 2, 3, 1).contiguous()
