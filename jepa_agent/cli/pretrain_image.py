"""Pretrain an image backbone by joint embedding of two views, and probe its frozen features.

$ jepa-agent pretrain image small --out runs/fashion-mnist
$ jepa-agent pretrain image small --data folder --data-dir photos
$ jepa-agent pretrain image small --data trajectories --data-dir data/train.h5
$ jepa-agent pretrain image small --epochs 0.01 --baselines
$ jepa-agent pretrain image cifar10 --data-dir data    # EB-JEPA's; for a GPU
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
from ..models.backbones import Backbone
from ..pretraining.datasets import READERS, DataError, ImageData, folder_of, trajectory_frames
from ..pretraining.image import CIFAR10, SMALL, ImageConfig, pretrain
from ..pretraining.probes import linear_probe, pixels_of, probe
from ..training import distributed
from .console import TrainingDisplay, resumable


@dataclass(frozen=True)
class Args:
    """What to train on, what to train, and where to."""

    training: tyro.conf.OmitArgPrefixes[ImageConfig] = field(default_factory=ImageConfig)
    data: Literal["fashion-mnist", "cifar10", "folder", "trajectories"] = "fashion-mnist"
    data_dir: tuple[Path, ...] = ()
    """Where the data lie: a folder, or trajectory files of `jepa-agent collect`."""
    out: Path = Path("runs/image")
    """The run's folder: a backbone, metrics.jsonl and, for labelled data, probes.json."""
    baselines: bool = False
    """Also probe an untrained backbone and the pixels themselves."""
    probe_grid: int = 1
    """Also probe the means over the cells of a grid of this side; 2 takes minutes."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N or mps."""


PRESETS = {
    "small": (
        "A small ResNet, in under 20 minutes on two cores; milder views than EB-JEPA's.",
        Args(training=SMALL),
    ),
    "cifar10": (
        "EB-JEPA's ResNet-18 on CIFAR-10 (arXiv 2602.03604), SIGReg; meant for a GPU.",
        Args(
            training=CIFAR10,
            data="cifar10",
            out=Path("runs/cifar10"),
        ),
    ),
}


def read(args: Args) -> ImageData:
    """The data that the arguments name."""
    if args.data == "trajectories":
        if not args.data_dir:
            raise DataError("--data trajectories needs a file of jepa-agent collect as --data-dir")
        return trajectory_frames(read_data(args.data_dir))
    return READERS[args.data](folder_of(args.data_dir))


def main(args: Args) -> None:
    device = distributed.join(resolve_device(args.device))
    data = read(args)
    for reason in data.skipped:
        print(f"skipped {reason}")
    network = replace(args.training.network, image_shape=data.image_shape)
    began = time.perf_counter()
    with resumable(args.out), TrainingDisplay() as display:
        backbone = pretrain(
            data,
            replace(args.training, network=network),
            device,
            folder=args.out,
            callbacks=[display],
        )
    if not distributed.is_main_process():
        return
    print(f"trained in {time.perf_counter() - began:.0f} s, backbone and metrics in {args.out}")
    if data.test is None:
        return
    found = {"pretrained": probe(backbone, data, device, args.probe_grid)}
    if args.baselines:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(args.training.seed)
            untrained = Backbone(network)
        untrained.load_state_dict(
            {**untrained.state_dict(), "mean": backbone.mean, "std": backbone.std}
        )
        found["untrained"] = probe(untrained.to(device), data, device, args.probe_grid)
        found["pixels"] = {"linear": linear_probe(pixels_of(data.train), pixels_of(data.test))}
    (args.out / "probes.json").write_text(json.dumps(found, indent=1))
    for name, accuracies in found.items():
        for kind, accuracy in accuracies.items():
            print(f"{name:10s} {kind:20s} {100 * accuracy:.2f} %")
