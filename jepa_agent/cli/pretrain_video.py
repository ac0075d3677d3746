"""Pretrain a video backbone by predicting latents, and detect objects in what it imagines.

$ pip install "jepa-agent[pretrain,digits]"
$ jepa-agent pretrain video digits --out runs/moving-mnist
$ jepa-agent pretrain video digits --items fashion-mnist
$ jepa-agent pretrain video digits --data file --data-dir mnist_test_seq.npy
$ jepa-agent pretrain video frames --data-dir data/train.h5    # no actions
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
import tyro

from ..data.formats import read as read_data
from ..device import resolve_device
from ..pretraining.datasets import DataError, folder_of
from ..pretraining.detection import DetectionConfig, detect
from ..pretraining.video import VideoConfig, pretrain
from ..pretraining.videos import MovingDigits, TrajectoryVideos, VideoFile, Videos, moving_digits
from ..training import distributed
from .console import TrainingDisplay, resumable


@dataclass(frozen=True)
class Args:
    """What to train on, what to train, and where to."""

    training: tyro.conf.OmitArgPrefixes[VideoConfig] = field(default_factory=VideoConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    data: Literal["digits", "file", "trajectories"] = "digits"
    items: Literal["mnist", "fashion-mnist"] = "mnist"
    """What moves in the generated videos, and in those that detection is tested on."""
    data_dir: tuple[Path, ...] = ()
    """Where the data lie: the items' folder, videos (Moving MNIST's file, GIFs, MP4s or a folder of
    them), or trajectory files."""
    every: int = 5
    """Environment steps per frame, for trajectories."""
    out: Path = Path("runs/video")
    """The run's folder: a backbone, metrics.jsonl and, for digits, detection.json and GIFs."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""


PRESETS = {
    "digits": ("Moving digits, in under 60 minutes on two cores.", Args()),
    "frames": (
        "What an environment showed along trajectories, without their actions.",
        Args(data="trajectories"),
    ),
}


def sources(
    args: Args, device: torch.device
) -> tuple[Videos, tuple[MovingDigits, MovingDigits] | None]:
    """The videos to train on; for digits, also those that detection is trained and tested on."""
    if args.data == "trajectories":
        if not args.data_dir:
            raise DataError("--data trajectories needs a file of jepa-agent collect as --data-dir")
        return TrajectoryVideos(read_data(args.data_dir), args.every, device), None
    if args.data == "digits":
        digits = moving_digits(args.items, folder_of(args.data_dir), device)
        return digits[0], digits
    folder = folder_of(args.data_dir)
    if folder is None:
        raise DataError("--data file needs a file of videos, or a folder of them, as --data-dir")
    videos = VideoFile(folder, device)
    fits = videos.image_shape == MovingDigits.image_shape
    return videos, moving_digits(args.items, None, device) if fits else None


def main(args: Args) -> None:
    device = distributed.join(resolve_device(args.device))
    for name, precision in (run(args, device) or {}).items():
        steps = "  ".join(f"{value:.3f}" for value in precision)
        print(f"{name:6s} mAP {sum(precision) / len(precision):.3f}  AP_t {steps}")


def run(args: Args, device: torch.device) -> dict[str, list[float]] | None:
    """Pretrain; for digits, print the average precision at each step ahead of every row."""
    videos, digits = sources(args, device)
    network = replace(args.training.network, image_shape=videos.image_shape)
    began = time.perf_counter()
    with resumable(args.out), TrainingDisplay() as display:
        training = replace(args.training, network=network)
        model = pretrain(videos, training, device, folder=args.out, callbacks=[display])
    if not distributed.is_main_process():
        return None
    print(f"trained in {time.perf_counter() - began:.0f} s, backbone and metrics in {args.out}")
    if digits is None:
        return None
    found = detect(model, *digits, args.detection, args.out)
    (args.out / "detection.json").write_text(json.dumps(found, indent=1))
    return found
