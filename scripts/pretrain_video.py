"""Pretrain a video backbone by predicting latents, and detect objects in what it imagines.

pip install -e ".[pretrain,digits]"
python scripts/pretrain_video.py digits --out runs/moving-mnist
python scripts/pretrain_video.py digits --items fashion-mnist
python scripts/pretrain_video.py digits --data file --data-dir data/mnist_test_seq.npy
python scripts/pretrain_video.py frames --data-dir data/train.h5   # action-free, of trajectories
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import imageio.v3 as iio
import torch
import tyro

from jepa_agent import Trajectories, distributed
from jepa_agent.agent import default_device
from jepa_agent.console import errors_in_one_line, pretraining_display, resumable
from jepa_agent.pretraining.datasets import DataError
from jepa_agent.pretraining.detection import (
    DetectionConfig,
    average_precision,
    picture,
    train_readers,
)
from jepa_agent.pretraining.video import VideoConfig, VideoModel, pretrain
from jepa_agent.pretraining.videos import (
    ITEMS,
    MovingDigits,
    TrajectoryVideos,
    VideoFile,
    Videos,
    hold_out,
)

GIFS = 3


@dataclass(frozen=True)
class Args:
    """What to train on, what to train, and where to."""

    training: tyro.conf.OmitArgPrefixes[VideoConfig] = field(default_factory=VideoConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)
    data: Literal["digits", "file", "trajectories"] = "digits"
    items: Literal["mnist", "fashion-mnist"] = "mnist"
    """What moves in the generated videos, and in those that detection is tested on."""
    data_dir: Path | None = None
    """Where the data lie: the items' folder, Moving MNIST's file, or a trajectory file."""
    every: int = 5
    """Of trajectories: environment steps per frame."""
    out: Path = Path("runs/video")
    """The run's folder: a backbone, metrics.jsonl and, of digits, detection.json and GIFs."""
    device: Literal["auto", "cpu", "cuda"] = "auto"


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
    """The videos to train on; and, of digits, those that detection is trained and tested on."""
    if args.data == "trajectories":
        if args.data_dir is None:
            raise DataError("--data trajectories needs a file of scripts/collect.py as --data-dir")
        return TrajectoryVideos(Trajectories.load(args.data_dir), args.every, device), None
    if args.data == "file" and args.data_dir is None:
        raise DataError("--data file needs Moving MNIST's file or its folder as --data-dir")
    items = ITEMS[args.items](args.data_dir if args.data == "digits" else None)
    name, (seen, held) = f"moving {args.items}", hold_out(items)
    known = MovingDigits(seen, name, device)
    videos = known if args.data == "digits" else VideoFile(args.data_dir, device)
    return videos, (known, MovingDigits(held, f"{name}, held out", device))


def main(args: Args) -> None:
    device = default_device() if args.device == "auto" else torch.device(args.device)
    device = distributed.join(device)
    for name, precision in (run(args, device) or {}).items():
        steps = "  ".join(f"{value:.3f}" for value in precision)
        print(f"{name:6s} mAP {sum(precision) / len(precision):.3f}  AP_t {steps}")


def run(args: Args, device: torch.device) -> dict[str, list[float]] | None:
    """Pretrain; of digits, the average precision at each step ahead of every row."""
    videos, digits = sources(args, device)
    network = replace(args.training.network, image_shape=videos.image_shape)
    began = time.perf_counter()
    with resumable(args.out), pretraining_display() as show:
        training = replace(args.training, network=network)
        model = pretrain(videos, training, device, show, args.out)
    if not distributed.is_first():
        return None
    print(f"trained in {time.perf_counter() - began:.0f} s, backbone and metrics in {args.out}")
    if digits is None:
        return None
    found = detect(model, *digits, args)
    (args.out / "detection.json").write_text(json.dumps(found, indent=1))
    return found


def detect(
    model: VideoModel, known: MovingDigits, held_out: MovingDigits, args: Args
) -> dict[str, list[float]]:
    """Average precision at each step ahead, and GIFs, on items that no part has seen."""
    head, decoder = train_readers(model, known, args.detection)
    for number in range(GIFS):
        clip = held_out.clips(1, args.detection.frames, seed=number).frames[0]
        shown = picture(model, head, decoder, clip)
        iio.imwrite(args.out / f"clip-{number}.gif", shown, duration=250, loop=0)
    return average_precision(model, head, held_out, args.detection)


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.extras.overridable_config_cli(PRESETS, description=__doc__))
