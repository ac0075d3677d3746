"""Video JEPA: the latents of coming frames are predicted from the last two, without actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.trajectories import CHECKED_ROWS, checksum
from ..device import resolve_device
from ..io import checkpoint
from ..io.serialisation import from_dict, to_dict
from ..memory import lack_of_memory
from ..models.backbones import Backbone, BackboneConfig, ResNetConfig
from ..training import distributed, losses
from ..training.loop import Callback, Trainer
from ..training.task import StepOutput
from .pretrainer import Pretrainer, PretrainingConfig
from .videos import Videos

PAST = 2
"""Number of frames that a prediction is made from: they show positions and velocities."""
SEEN_FOR_STATISTICS = 256


@dataclass(frozen=True)
class VideoWeights:
    """Coefficients of the loss; terms of weight 0 are not computed.

    Args:
        prediction: imagined latents match the encoded ones, over all steps.
        variance, covariance: against collapse; every place of every map is a sample.
        sigreg: against collapse, instead of those two.
    """

    prediction: float = 1.0
    variance: float = 10.0
    covariance: float = 100.0
    sigreg: float = 0.0


@dataclass(frozen=True)
class VideoConfig(PretrainingConfig):
    """How a video backbone is pretrained; see also `PretrainingConfig`.

    Args:
        width: channels of the predictor's first level; the deeper ones have twice as many.
        prediction_steps: frames that are predicted, each from the two before, imagined or not.
        steps: optimiser steps.
        within_place: subtract each position's mean before the terms against collapse, so that a
            constant code of the position does not count as variance.
        weights: coefficients of the loss.
    """

    network: BackboneConfig = field(
        default_factory=lambda: BackboneConfig((64, 64, 1), ResNetConfig(2, (32, 64), (1, 1), 8))
    )
    batch: int = 32
    learning_rate: float = 3e-3
    width: int = 32
    prediction_steps: int = 4
    steps: int = 6000
    within_place: bool = True
    weights: VideoWeights = field(default_factory=VideoWeights)

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.width, self.prediction_steps, self.steps) < 1:
            raise ValueError(
                "width, prediction_steps and steps must be positive, got "
                f"{self.width}, {self.prediction_steps} and {self.steps}"
            )


class Convolutions(nn.Sequential):
    """Two 3x3 convolutions with group norms."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        groups = 8 if outputs % 8 == 0 else 1
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1),
            nn.GroupNorm(groups, outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1),
            nn.GroupNorm(groups, outputs),
            nn.ReLU(),
        )


class UNet(nn.Module):
    """The change from the last map to the next one, from the last two (Ronneberger, 1505.04597).

    Two levels down, so that each place sees all of a small map, and up again.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.fine = Convolutions(PAST * features, width)
        self.middle = Convolutions(width, 2 * width, stride=2)
        self.coarse = Convolutions(2 * width, 2 * width, stride=2)
        self.to_middle = Convolutions(4 * width, 2 * width)
        self.to_fine = Convolutions(3 * width, width)
        self.out = nn.Conv2d(width, features, 1)

    def forward(self, past: Tensor) -> Tensor:
        """Maps (B, 2, F, h, w) of two frames to those of the next one (B, F, h, w)."""
        fine = self.fine(past.flatten(1, 2))
        middle = self.middle(fine)
        coarse = F.interpolate(self.coarse(middle), size=middle.shape[-2:])
        middle = self.to_middle(torch.cat([middle, coarse], dim=1))
        middle = F.interpolate(middle, size=fine.shape[-2:])
        return past[:, -1] + self.out(self.to_fine(torch.cat([fine, middle], dim=1)))


class VideoModel(nn.Module):
    """A backbone and the predictor of its maps."""

    def __init__(self, config: VideoConfig) -> None:
        super().__init__()
        self.backbone = Backbone(config.network)
        self.predictor = UNet(self.backbone.feature_shape[0], config.width)

    def encode(self, frames: Tensor) -> Tensor:
        """Maps (B, T, F, h, w) of uint8 frames (B, T, H, W, C)."""
        return self.backbone(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])

    def imagine(self, past: Tensor, steps: int) -> Tensor:
        """The next maps (B, steps, F, h, w) after maps (B, 2, F, h, w)."""
        imagined = []
        for _ in range(steps):
            following = self.predictor(past)
            past = torch.stack([past[:, -1], following], dim=1)
            imagined.append(following)
        return torch.stack(imagined, dim=1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """True maps (B, T, F, h, w) of frames, and the T - 2 imagined from the first two."""
        maps = self.encode(frames)
        return maps, self.imagine(maps[:, :PAST], frames.shape[1] - PAST)


class VideoPretrainer(Pretrainer):
    """See `Pretrainer`.

    Args:
        videos: where clips come from.
        config: how to train.
        device: where to train.
    """

    model: VideoModel
    config: VideoConfig

    def __init__(self, videos: Videos, config: VideoConfig, device: torch.device) -> None:
        if config.network.image_shape != videos.image_shape:
            raise ValueError(
                f"network.image_shape must be that of {videos.name}, {videos.image_shape}, got "
                f"{config.network.image_shape}"
            )
        self.videos = videos
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = VideoModel(config)
        found = checksum(videos.clips(CHECKED_ROWS, PAST, seed=0).frames.cpu().numpy())
        super().__init__(
            model, model.backbone, config.weights, config, config.steps, device, videos.name, found
        )
        seen = videos.clips(SEEN_FOR_STATISTICS, PAST, self.seed_for(0)).frames
        self.model.backbone.standardise(seen.flatten(0, 1))
        self._imagine = self.compile(self.model)

    def compute_losses(self, step: int, given: tuple[Tensor, ...] = ()) -> StepOutput:
        """The loss terms of a step's clips."""
        frames = PAST + self.config.prediction_steps
        clips = self.videos.clips(self.config.batch, frames, self.seed_for(1, step)).frames
        with self.autocast():
            maps, imagined = self._imagine(distributed.shard(clips))
        maps, imagined = maps.float(), imagined.float()
        seen = maps
        if self.config.within_place:
            always = distributed.all_gather(maps.mean(dim=(0, 1), keepdim=True))
            seen = maps - always.mean(dim=0)
        places = seen.movedim(2, -1).flatten(0, -2)  # every place of every map, (N, F)
        terms = self.against_collapse([places], step)
        if self.weights.prediction:
            terms["prediction"] = losses.prediction(imagined, maps[:, PAST:])
        features = places[:: max(1, len(places) // 4096)]
        return StepOutput(terms, self.total(terms), len(clips) * frames, features)


def pretrain(
    videos: Videos,
    config: VideoConfig,
    device: torch.device | str = "auto",
    *,
    folder: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> VideoModel:
    """Pretrain a video backbone and its predictor; for arguments see also `image.pretrain`.

    The folder gets the backbone, and the whole model below `model`, for `load_video_model`.

    Raises:
        ValueError: if the videos do not fit the config.
    """
    task = VideoPretrainer(videos, config, resolve_device(device))
    Trainer(task).fit(folder, callbacks)
    if folder is not None and distributed.is_main_process():
        document = {"video": to_dict(config)}
        checkpoint.save(Path(folder) / "model", task.model.state_dict(), document)
    return task.model.eval()


def load_video_model(folder: str | Path) -> VideoModel:
    """The backbone and predictor that `pretrain` left in a folder.

    Raises:
        CheckpointError: if it is missing, damaged or of another kind.
    """
    tensors, document = checkpoint.load(Path(folder) / "model")
    try:
        model = VideoModel(from_dict(VideoConfig, document.get("video"), "video"))
        model.load_state_dict(tensors)
    except (ValueError, RuntimeError) as error:
        if lack_of_memory(error) is not None:  # no fault of the checkpoint
            raise
        raise checkpoint.CheckpointError(
            f"{folder} must hold a video model of this version, got {error}; pretrain it again"
        ) from error
    return model.eval()
