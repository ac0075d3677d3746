"""Detection of objects in frozen latents, EB-JEPA's measure of video JEPA (2602.03604).

A small head learns on true latents which cells of an 8x8 grid contain an object's centre. Its
average precision on imagined latents measures how well the future was predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..training.optim import cosine
from .video import PAST, VideoModel
from .videos import MovingDigits, Videos

GRID = 8


GIFS = 3


@dataclass(frozen=True)
class DetectionConfig:
    """How the head is trained and where it is tested.

    Args:
        steps: optimiser steps of the head.
        batch: clips per step.
        frames: per clip; the first two are seen, the others predicted.
        clips: number of clips in the test.
        learning_rate: peak of AdamW's cosine schedule.
        seed: of the head and of all clips.
    """

    steps: int = 1000
    batch: int = 32
    frames: int = 10
    clips: int = 1000
    learning_rate: float = 2e-3
    seed: int = 0


class Head(nn.Sequential):
    """Maps (B, F, h, w) to logits (B, 8, 8): pooled to the grid, two 3x3 convolutions."""

    def __init__(self, features: int, width: int = 64) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(GRID),
            nn.BatchNorm2d(features),
            nn.Conv2d(features, width, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(width, 1, 3, 1, 1),
            nn.Flatten(1, 2),
        )


class Decoder(nn.Sequential):
    """Maps (B, F, h, w) to images (B, C, H, W), for pictures only."""

    def __init__(self, features: int, image_shape: tuple[int, int, int], width: int = 32) -> None:
        height, wide, colours = image_shape
        super().__init__(
            nn.Conv2d(features, width, 3, 1, 1),
            nn.ReLU(),
            nn.Upsample(size=(height // 2, wide // 2)),
            nn.Conv2d(width, width, 3, 1, 1),
            nn.ReLU(),
            nn.Upsample(size=(height, wide)),
            nn.Conv2d(width, colours, 3, 1, 1),
        )


def cells(centres: Tensor, side: float) -> Tensor:
    """Which cells (..., 8, 8) of a square of `side` pixels hold a centre (..., N, 2)."""
    place = (centres * (GRID / side)).long().clamp(0, GRID - 1)
    flat = place[..., 0] * GRID + place[..., 1]  # (..., N)
    return F.one_hot(flat, GRID * GRID).amax(dim=-2).unflatten(-1, (GRID, GRID)).float()


@torch.no_grad()
def _latents(model: VideoModel, frames: Tensor) -> Tensor:
    return torch.cat([model.encode(part) for part in frames.split(64)])


def train_readers(
    model: VideoModel, videos: Videos, config: DetectionConfig
) -> tuple[Head, Decoder]:
    """A detection head and a pixel decoder, on the true latents of a frozen model."""
    device = next(model.parameters()).device
    features, side = model.backbone.feature_shape[0], model.backbone.config.image_shape[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        head = Head(features).to(device)
        decoder = Decoder(features, model.backbone.config.image_shape).to(device)
    parameters = [*head.parameters(), *decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, weight_decay=1e-4)
    for step in range(config.steps):
        clips = videos.clips(config.batch, 4, seed=_seed(config, 0, step))
        assert clips.centres is not None
        maps = _latents(model, clips.frames).float()
        truth = cells(clips.centres, side).flatten(0, 1)
        pixels = clips.frames[:, 0].permute(0, 3, 1, 2).float() / 255.0
        loss = F.binary_cross_entropy_with_logits(head(maps.flatten(0, 1)), truth)
        loss = loss + F.mse_loss(
            decoder(maps[:, 0]), pixels
        )  # first frames suffice for the decoder
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * cosine(step, config.steps, 0.05 * config.steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return head.eval(), decoder.eval()


@torch.no_grad()
def average_precision(
    model: VideoModel, head: Head, videos: Videos, config: DetectionConfig
) -> dict[str, list[float]]:
    """AP at each step ahead, over all cells of all clips, of three rows.

    `model` is the head on imagined latents, `copy` on the last latent seen, `truth` on the true
    latents of those frames.
    """
    from sklearn.metrics import average_precision_score

    side, ahead = model.backbone.config.image_shape[0], config.frames - PAST
    scores: dict[str, list[Tensor]] = {"model": [], "copy": [], "truth": []}
    truths = []
    for begin in range(0, config.clips, config.batch):
        count = min(config.batch, config.clips - begin)
        clips = videos.clips(count, config.frames, seed=_seed(config, 1, begin))
        assert clips.centres is not None
        maps = _latents(model, clips.frames)
        seen = {
            "model": model.imagine(maps[:, :PAST], ahead),
            "copy": maps[:, PAST - 1 : PAST].expand(-1, ahead, -1, -1, -1),
            "truth": maps[:, PAST:],
        }
        for name, shown in seen.items():
            scores[name].append(head(shown.flatten(0, 1).float()).unflatten(0, (count, ahead)))
        truths.append(cells(clips.centres[:, PAST:], side))
    truth = torch.cat(truths).cpu().numpy()
    return {
        name: [
            float(average_precision_score(truth[:, t].ravel(), found[:, t].ravel()))
            for t in range(ahead)
        ]
        for name, found in ((n, torch.cat(parts).cpu().numpy()) for n, parts in scores.items())
    }


@torch.no_grad()
def picture(
    model: VideoModel, head: Head, decoder: Decoder, frames: Tensor, scale: int = 3
) -> np.ndarray:
    """One clip as a strip per frame: truth, decoded prediction, detection.

    Args:
        model: the video model.
        head: the detection head.
        decoder: the pixel decoder.
        frames: uint8 (T, H, W, 1).
        scale: pixels of the picture per pixel of the clip.

    Returns:
        uint8 (T, H * scale, 3 * W * scale, 3).
    """
    maps = _latents(model, frames[None])
    shown = torch.cat([maps[:, :PAST], model.imagine(maps[:, :PAST], len(frames) - PAST)], dim=1)[0]
    decoded = decoder(shown.float()).clamp(0, 1).permute(0, 2, 3, 1)
    found = head(shown.float()).sigmoid()[:, None]
    found = F.interpolate(found, size=frames.shape[1:3]).permute(0, 2, 3, 1)
    truth = frames.float() / 255.0
    rest = decoded * 0.5
    strip = torch.cat([truth, decoded, torch.maximum(found, rest)], dim=2)
    strip = strip.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
    return (strip.expand(-1, -1, -1, 3) * 255).byte().cpu().numpy()


def _seed(config: DetectionConfig, *what: int) -> int:
    words = np.random.SeedSequence((config.seed, 7, *what)).generate_state(1, np.uint64)
    return int(words[0]) >> 1


def detect(
    model: VideoModel,
    known: MovingDigits,
    held_out: MovingDigits,
    config: DetectionConfig,
    folder: Path,
) -> dict[str, list[float]]:
    """Average precision at each step ahead, and GIFs, on items that were never trained on.

    Args:
        model: the video model.
        known: items that head and decoder are trained on.
        held_out: other items, for the test.
        config: settings of the detection.
        folder: where the GIFs go.
    """
    head, decoder = train_readers(model, known, config)
    for number in range(GIFS):
        clip = held_out.clips(1, config.frames, seed=number).frames[0]
        shown = picture(model, head, decoder, clip)
        iio.imwrite(folder / f"clip-{number}.gif", shown, duration=250, loop=0)
    return average_precision(model, head, held_out, config)
