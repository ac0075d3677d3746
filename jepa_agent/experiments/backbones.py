"""When pretraining pays: Two Rooms world models on backbones from videos and images.

Every variant takes as many steps on action-labelled trajectories of the
fixed layout; the backbones were pretrained before, without actions, on all of the trajectories.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ..data.trajectories import Trajectories
from ..device import resolve_device
from ..envs import collect
from ..models.backbones import Backbone, BackboneConfig, ResNetConfig
from ..models.encoders import BackboneEncoderConfig, EncoderConfig
from ..presets import DATA, QUICK
from ..pretraining import image, video
from ..pretraining.datasets import READERS, trajectory_frames
from ..pretraining.videos import TrajectoryVideos
from ..training.config import Preset
from ..training.world_model import train
from .ablations import pooled_success
from .systems import Budget, Figures, System, Variant, folder_name, with_values
from .world_variants import WORLD_COLUMNS, Setting, measure_world

NETWORK = ResNetConfig(stride=4, channels=(32, 64), blocks=(1, 1))
"""Network of every backbone, for 65 x 65 images on two cores."""
SHARES = {"0.1 %": 8, "1 %": 80, "10 %": 800, "100 %": 8_000}
"""Action-labelled trajectories."""
STEPS_PER_MINUTE = 200
"""Steps per minute of `quick` on these backbones, on two cores."""
VIDEO_STEPS, IMAGE_STEPS = 2_000, 1_000
"""Steps of pretraining on videos and on images."""

Pretraining = Callable[[Trajectories, int, torch.device, Path], Backbone]


def untrained(data: Trajectories, seed: int, device: torch.device, folder: Path) -> Backbone:
    """An untrained backbone with the statistics of its input."""
    frames = trajectory_frames(data, 5_000)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = Backbone(BackboneConfig(frames.image_shape, NETWORK))
    backbone.standardise(torch.as_tensor(frames.train.images))
    return backbone


def from_videos(data: Trajectories, seed: int, device: torch.device, folder: Path) -> Backbone:
    """By predicting the coming frames of the trajectories, without their actions."""
    videos = TrajectoryVideos(data, 5, device)
    config = video.VideoConfig(
        network=BackboneConfig(videos.image_shape, replace(NETWORK, outputs=16)),
        steps=VIDEO_STEPS, seed=seed,
    )  # fmt: skip
    return video.pretrain(videos, config, device, folder=folder).backbone


def from_frames(data: Trajectories, seed: int, device: torch.device, folder: Path) -> Backbone:
    """By two views of single frames of the trajectories."""
    return _from_images(trajectory_frames(data), seed, device, folder)


def from_fashion(data: Trajectories, seed: int, device: torch.device, folder: Path) -> Backbone:
    """By two views of the images of Fashion-MNIST."""
    return _from_images(READERS["fashion-mnist"](None), seed, device, folder)


def _from_images(
    images: image.ImageData, seed: int, device: torch.device, folder: Path
) -> Backbone:
    epochs = IMAGE_STEPS * 256 / len(images.train.images)
    config = image.ImageConfig(
        network=BackboneConfig(images.image_shape, NETWORK), epochs=epochs, seed=seed
    )
    return image.pretrain(images, config, device, folder=folder)


SOURCES: dict[str, Pretraining] = {
    "untrained": untrained,
    "videos": from_videos,
    "frames": from_frames,
    "Fashion-MNIST": from_fashion,
}
"""Where backbones come from."""
BACKBONES = {
    f"{source}, {share}": Variant({"collect.episodes": episodes}, shares=source.split(", ")[0])
    for share, episodes in SHARES.items()
    for source in ("no backbone", *(f"{s}, {how}" for s in SOURCES for how in ("frozen", "tuned")))
}
"""The preset's own encoder and every backbone, frozen and fine-tuned, on few and many actions."""


def run_backbones(out: Path, budget: Budget, name: str, seed: int) -> Figures:
    """Pretrain a backbone unless it is there, train a world model on it, and measure that."""
    source, *how, _ = name.split(", ")
    settings = Setting(**vars(QUICK), collect=DATA["quick"])
    steps = max(2, round(budget.minutes * STEPS_PER_MINUTE))
    refinement = steps * settings.training.refinement.steps // settings.training.steps
    changes = {
        "training.seed": seed, "collect.seed": seed,
        "training.steps": steps, "training.refinement.steps": refinement,
    }  # fmt: skip
    everything = with_values(settings, changes)
    settings = with_values(everything, BACKBONES[name].changes)
    episodes = max(1, round(budget.data_scale * settings.collect.episodes))
    settings = with_values(settings, {"collect.episodes": episodes})
    device, backbone = resolve_device(), None
    model = settings.model
    if source in SOURCES:
        unlabelled = Trajectories.from_rollouts(*collect(everything.collect))
        folder = out / "pretrained" / f"{source}-{seed}"
        backbone = SOURCES[source](unlabelled, seed, device, folder)
        model = replace(model, encoder=encoder_on(backbone, source, how == ["frozen"]))
    data = Trajectories.from_rollouts(*collect(settings.collect))
    preset = Preset(model, settings.training, settings.planner, settings.cost)
    folder = out / folder_name(name, seed) / f"{budget.minutes:g}-minutes"
    agent = train(data, preset, device, folder=folder, backbone=backbone)
    return measure_world(name, agent, data, "fixed", budget)


def encoder_on(backbone: Backbone, source: str, freeze: bool) -> EncoderConfig:
    """An encoder for the images of Two Rooms."""
    if source == "Fashion-MNIST":
        return BackboneEncoderConfig(backbone.config, freeze, size="any", channels="mean")
    return BackboneEncoderConfig(backbone.config, freeze)


SYSTEM = System(
    BACKBONES, run_backbones, 3.0, "success on the fixed layout", pooled_success, WORLD_COLUMNS
)
