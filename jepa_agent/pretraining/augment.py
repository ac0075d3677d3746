"""Random views of images, batched on the training device (kornia, extra `pretrain`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class AugmentConfig:
    """The views of an image; the defaults are EB-JEPA's for CIFAR-10 (2602.03604).

    Colours are left alone where images have one channel.

    Args:
        crop: least and largest share of the area that a random crop keeps.
        jitter: chance of a change of brightness, contrast, saturation and hue.
        brightness, contrast, saturation, hue: largest relative changes.
        grayscale: chance to lose the colours.
        solarize: chance to invert bright pixels.
        flip: chance to mirror left and right.
    """

    crop: tuple[float, float] = (0.2, 1.0)
    jitter: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1
    grayscale: float = 0.2
    solarize: float = 0.1
    flip: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.crop[0] <= self.crop[1] <= 1:
            raise ValueError(f"crop must rise within (0, 1], got {self.crop}")
        for name in ("jitter", "grayscale", "solarize", "flip"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a chance in [0, 1], got {getattr(self, name)}")
        for name in ("brightness", "contrast", "saturation", "hue"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")


class Augment:
    """Makes views; see `AugmentConfig`.

    Args:
        config: what to change.
        image_shape: (H, W, C) of the images.

    Raises:
        ImportError: if kornia is missing; names the extra.
    """

    def __init__(self, config: AugmentConfig, image_shape: tuple[int, ...]) -> None:
        try:
            import kornia.augmentation as kornia
        except ImportError:
            raise ImportError(
                "augmentation needs kornia; run pip install 'jepa-agent[pretrain]'"
            ) from None
        height, width, colours = image_shape
        changes: list[nn.Module] = [
            kornia.RandomResizedCrop((height, width), scale=config.crop, cropping_mode="resample")
        ]
        if config.flip:
            changes.append(kornia.RandomHorizontalFlip(p=config.flip))
        if config.jitter and colours == 3:
            strengths = (config.brightness, config.contrast, config.saturation, config.hue)
            changes.append(kornia.ColorJitter(*strengths, p=config.jitter))
        elif config.jitter:
            for kind, strength in (
                (kornia.RandomBrightness, config.brightness),
                (kornia.RandomContrast, config.contrast),
            ):
                if strength:
                    changes.append(kind((1 - strength, 1 + strength), p=config.jitter))
        if config.grayscale and colours == 3:
            changes.append(kornia.RandomGrayscale(p=config.grayscale))
        if config.solarize:
            changes.append(kornia.RandomSolarize(0.5, 0.0, p=config.solarize))
        self._changes = changes

    @torch.no_grad()
    def __call__(self, images: Tensor, seed: int) -> Tensor:
        """A view (B, C, H, W) in [0, 1] of uint8 images (B, H, W, C); the seed decides which."""
        views = images.permute(0, 3, 1, 2).float() / 255.0
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices):  # kornia draws from the global generator
            torch.manual_seed(seed)
            for change in self._changes:
                views = change(views)
        return views.clamp(0.0, 1.0)
