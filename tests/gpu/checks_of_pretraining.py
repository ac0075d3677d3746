"""Pretraining of images and videos."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from made import CUDA, steps_of
from pretended import Seen

from jepa_agent.models.backbones import BackboneConfig, ResNetConfig
from jepa_agent.pretraining import image, video
from jepa_agent.pretraining.datasets import ImageData, Split
from jepa_agent.pretraining.videos import MovingDigits


def check_images(seen: Seen) -> None:
    """Image pretraining."""
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (32, 16, 16, 3), dtype=np.uint8), rng.integers(0, 3, 32))
    network = BackboneConfig((16, 16, 3), ResNetConfig(2, (8,), (1,)))
    weights = image.ImageWeights(sigreg=1.0)
    config = image.ImageConfig(network, 16, epochs=1.0, projector=(8, 8), weights=weights)
    with mock.patch.object(image, "Augment", return_value=plain):
        steps_of(seen, image.ImagePretrainer(ImageData("noise", split), config, CUDA))


def plain(images: torch.Tensor, seed: int) -> torch.Tensor:
    """Views that are not augmented: kornia's operators wait for the device as they please."""
    return images.permute(0, 3, 1, 2).float() / 255.0


def check_videos(seen: Seen) -> None:
    """Video pretraining."""
    rng = np.random.default_rng(0)
    clips = MovingDigits(rng.integers(0, 256, (8, 28, 28), dtype=np.uint8), "noise", CUDA)
    network = BackboneConfig((64, 64, 1), ResNetConfig(4, (8,), (1,), 4))
    config = video.VideoConfig(network, 16, width=8, steps=2, prediction_steps=2)
    steps_of(seen, video.VideoPretrainer(clips, config, CUDA))


CHECKS: dict[str, Callable[[Seen], None]] = {"images": check_images, "videos": check_videos}
