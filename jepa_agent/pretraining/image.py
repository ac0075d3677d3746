"""Image JEPA: two views of an image have the same embedding, and embeddings do not collapse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.trajectories import CHECKED_ROWS, checksum
from ..device import resolve_device
from ..models.backbones import RESNET18, Backbone, BackboneConfig
from ..training import distributed, losses
from ..training.loop import Callback, Trainer
from ..training.task import StepOutput
from .augment import Augment, AugmentConfig
from .datasets import ImageData
from .pretrainer import Pretrainer, PretrainingConfig


@dataclass(frozen=True)
class ImageWeights:
    """Coefficients of the loss; terms of weight 0 are not computed.

    Args:
        invariance: both views have the same embedding.
        variance, covariance: VICReg's, against collapse (2105.04906).
        sigreg: LeJEPA's, in their place (2511.08544).
    """

    invariance: float = 1.0
    variance: float = 1.0
    covariance: float = 100.0
    sigreg: float = 0.0


@dataclass(frozen=True)
class ImageConfig(PretrainingConfig):
    """How an image backbone is pretrained; see also `PretrainingConfig`.

    Args:
        projector: widths of the projector's layers, the last one the embedding's; empty for none.
        augment: the views.
        epochs: passes over the training images.
        weights: coefficients of the loss.
    """

    projector: tuple[int, ...] = (512, 512, 256)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    epochs: float = 10.0
    weights: ImageWeights = field(default_factory=ImageWeights)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.epochs > 0:
            raise ValueError(f"epochs must be > 0, got {self.epochs}")
        if any(width < 1 for width in self.projector):
            raise ValueError(f"projector widths must be positive, got {self.projector}")


SMALL = ImageConfig(
    epochs=8.0,
    learning_rate=3e-3,
    augment=AugmentConfig(crop=(0.4, 1.0), solarize=0.0),
)
"""A small ResNet, in under 20 minutes on two cores; milder views than EB-JEPA's."""

CIFAR10 = ImageConfig(
    network=BackboneConfig((32, 32, 3), RESNET18),
    projector=(2048, 2048, 128),
    epochs=300,
    optimizer="lars",
    learning_rate=0.3,
    warmup=10 / 300,
    weights=ImageWeights(variance=0.0, covariance=0.0, sigreg=10.0),
)
"""EB-JEPA's ResNet-18 on CIFAR-10 (arXiv 2602.03604), SIGReg; meant for a GPU."""


class ImageModel(nn.Module):
    """A backbone, the projector on its mean features, and a linear probe beside."""

    def __init__(self, config: ImageConfig, classes: int) -> None:
        super().__init__()
        self.backbone = Backbone(config.network)
        features = self.backbone.feature_shape[0]
        layers: list[nn.Module] = []
        width = features
        for hidden in config.projector[:-1]:
            layers += [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU()]
            width = hidden
        if config.projector:
            layers.append(nn.Linear(width, config.projector[-1]))
        self.projector = nn.Sequential(*layers)
        self.probe = nn.Linear(features, max(1, classes))

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, F) and embeddings (B, E) of views (B, C, H, W) in [0, 1]."""
        features = self.backbone.maps(views).mean(dim=(2, 3))
        return features, self.projector(features)


class ImagePretrainer(Pretrainer):
    """See `Pretrainer`.

    Args:
        data: the images; labels only train the probe that watches.
        config: how to train.
        device: where to train.
    """

    model: ImageModel
    config: ImageConfig

    def __init__(self, data: ImageData, config: ImageConfig, device: torch.device) -> None:
        shape = data.image_shape
        if config.network.image_shape != shape:
            raise ValueError(
                f"network.image_shape must be that of {data.name}, {shape}, got "
                f"{config.network.image_shape}"
            )
        if len(data.train.images) < config.batch:
            raise ValueError(
                f"{data.name} must have a batch of {config.batch} images, got "
                f"{len(data.train.images)}; lower batch"
            )
        self.images = torch.as_tensor(data.train.images).to(device)
        labels = data.train.labels
        self.labels = None if labels is None else torch.as_tensor(labels).to(device)
        self.augment = Augment(config.augment, shape)
        self.per_epoch = len(self.images) // config.batch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = ImageModel(config, 0 if labels is None else int(labels.max()) + 1)
        model.backbone.standardise(self.images[:: max(1, len(self.images) // 5000)])
        steps = max(1, round(config.epochs * self.per_epoch))
        images = data.train.images
        found = checksum(images[:: max(1, len(images) // CHECKED_ROWS)])
        super().__init__(
            model, model.backbone, config.weights, config, steps, device, data.name, found
        )
        self._embed = self.compile(self.model)

    def _rows(self, step: int) -> Tensor:
        """The images of a step: every epoch is shuffled by its own seed."""
        epoch, place = divmod(step, self.per_epoch)
        generator = torch.Generator().manual_seed(self.seed_for(0, epoch))
        order = torch.randperm(len(self.images), generator=generator)
        rows = order[place * self.config.batch : (place + 1) * self.config.batch]
        return rows.to(self.device, non_blocking=True)

    def compute_losses(self, step: int, given: tuple[Tensor, ...] = ()) -> StepOutput:
        """The loss terms of two views of a step's images."""
        rows = self._rows(step)
        images = self.images[rows]
        views = [self.augment(images, self.seed_for(1, step, view)) for view in range(2)]
        own = torch.cat([distributed.shard(view) for view in views])
        with self.autocast():
            features, embeddings = self._embed(own)
        first, second = embeddings.float().chunk(2)
        terms = self.against_collapse((first, second), step)
        if self.weights.invariance:
            terms["invariance"] = losses.prediction(first, second)
        loss = self.total(terms)
        if self.labels is not None:
            labels = distributed.shard(self.labels[rows]).repeat(2)
            guess = self.model.probe(features.detach().float())
            loss = loss + F.cross_entropy(guess, labels)
            terms["accuracy"] = (guess.argmax(dim=1) == labels).float().mean()
        return StepOutput(terms, loss, len(features) * distributed.processes(), features)


def pretrain(
    data: ImageData,
    config: ImageConfig,
    device: torch.device | str = "auto",
    *,
    folder: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> Backbone:
    """Pretrain an image backbone.

    Args:
        data: the images; labels only train the probe that watches.
        config: how to train.
        device: where to train, see `resolve_device`.
        folder: where the run keeps its state and log, from which it goes on if it was
            interrupted, and its backbone; see `Trainer.fit`, also for the errors.
        callbacks: called with the progress and the backbone about every 50 steps.

    Raises:
        ValueError: if the data do not fit the config.
    """
    task = ImagePretrainer(data, config, resolve_device(device))
    Trainer(task).fit(folder, callbacks)
    return task.trained.eval()
