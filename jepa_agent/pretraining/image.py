"""Image JEPA: two views of an image have the same embedding, and embeddings do not collapse."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import losses
from ..configs import to_dict
from ..optim import LARS, check_finite, cosine, pack, part, unpack
from ..runs import Run
from .augment import Augment, AugmentConfig
from .backbones import Backbone, BackboneConfig
from .datasets import ImageData
from .probes import Health, health

PROJECTIONS = 256
"""Random directions on which SIGReg looks at a batch."""


@dataclass(frozen=True)
class ImageWeights:
    """Coefficients of the loss; what has the weight 0 is not computed.

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
class ImageConfig:
    """How an image backbone is pretrained.

    Args:
        network: the backbone; the data decide on its images' shape.
        projector: widths of the projector's layers, the last one the embedding's; empty for none.
        augment: the views.
        epochs: passes over the training images.
        batch: images per step.
        optimizer: "lars" for large batches, or "adamw".
        learning_rate: peak of a cosine schedule; LARS multiplies it by batch / 256.
        weight_decay: of the weights, not of biases and norms.
        warmup: share of the steps that the learning rate rises.
        weights: coefficients of the loss.
        bfloat16: autocast to bfloat16; by default on GPUs.
        compiled: compile the model; by default on GPUs.
        seed: of parameters, data order and views.
    """

    network: BackboneConfig = field(default_factory=BackboneConfig)
    projector: tuple[int, ...] = (512, 512, 256)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    epochs: float = 10.0
    batch: int = 256
    optimizer: Literal["lars", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.05
    weights: ImageWeights = field(default_factory=ImageWeights)
    bfloat16: bool | None = None
    compiled: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 16:
            raise ValueError(
                f"batch must be at least 16 for its statistics, got {self.batch}; raise it"
            )
        if not (self.epochs > 0 and self.learning_rate > 0 and 0 <= self.warmup <= 1):
            raise ValueError(
                "epochs and learning_rate must be > 0 and warmup in [0, 1], got "
                f"{self.epochs}, {self.learning_rate} and {self.warmup}; change them"
            )
        if any(width < 1 for width in self.projector):
            raise ValueError(f"projector widths must be positive, got {self.projector}; raise them")


@dataclass(frozen=True)
class ImageProgress:
    """One line of the log: means since the last one.

    `accuracy` is that of a linear probe that learns beside, on augmented images it has not been
    trained on yet; None without labels.
    """

    step: int
    steps: int
    seconds: float
    images_per_second: float
    losses: dict[str, float]
    accuracy: float | None
    health: Health


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


class ImagePretrainer:
    """One pretraining; `run` yields its progress.

    Args:
        data: the images; labels only train the probe that watches.
        config: how to train.
        device: where to train.
    """

    def __init__(self, data: ImageData, config: ImageConfig, device: torch.device) -> None:
        shape = data.image_shape
        if config.network.image_shape != shape:
            raise ValueError(
                f"network.image_shape must be that of {data.name}, {shape}, got "
                f"{config.network.image_shape}; change it"
            )
        if len(data.train.images) < config.batch:
            raise ValueError(
                f"{data.name} must have a batch of {config.batch} images, got "
                f"{len(data.train.images)}; lower batch"
            )
        self.config, self.device = config, device
        self.images = torch.as_tensor(data.train.images).to(device)
        labels = data.train.labels
        self.labels = None if labels is None else torch.as_tensor(labels).to(device)
        self.augment = Augment(config.augment, shape)
        self.per_epoch = len(self.images) // config.batch
        self.steps = max(1, round(config.epochs * self.per_epoch))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model = ImageModel(config, 0 if labels is None else int(labels.max()) + 1)
        sample = self.images[:: max(1, len(self.images) // 5000)].float() / 255.0
        self.model.backbone.mean.copy_(sample.mean(dim=(0, 1, 2)))
        self.model.backbone.std.copy_(sample.std(dim=(0, 1, 2)).clamp_min(1e-3))
        self.model.to(device)
        on_gpu = device.type == "cuda"
        self._bfloat16 = on_gpu if config.bfloat16 is None else config.bfloat16
        self._embed: Callable[[Tensor], tuple[Tensor, Tensor]] = self.model
        if on_gpu if config.compiled is None else config.compiled:
            self._embed = torch.compile(self.model)
        self.optimizer = self._new_optimizer()
        self.step, self.seconds = 0, 0.0

    def _new_optimizer(self) -> torch.optim.Optimizer:
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return LARS(groups) if self.config.optimizer == "lars" else torch.optim.AdamW(groups)

    def _learning_rate(self) -> float:
        config = self.config
        peak = config.learning_rate * (config.batch / 256 if config.optimizer == "lars" else 1.0)
        return peak * cosine(self.step, self.steps, config.warmup * self.steps)

    def _seed(self, *what: int) -> int:
        state = np.random.SeedSequence((self.config.seed, *what)).generate_state(1, np.uint64)[0]
        return int(state) >> 1

    def _rows(self) -> Tensor:
        """The images of this step: epochs are shuffled by their own seeds, so any step can be
        begun without the ones before."""
        epoch, place = divmod(self.step, self.per_epoch)
        generator = torch.Generator().manual_seed(self._seed(0, epoch))
        order = torch.randperm(len(self.images), generator=generator)
        first = place * self.config.batch
        return order[first : first + self.config.batch].to(self.device)

    def update(self) -> tuple[dict[str, Tensor], Tensor | None, Tensor]:
        """One step; the terms, unweighted, the share of labels that the probe knew, features."""
        rows = self._rows()
        images = self.images[rows]
        views = [self.augment(images, self._seed(1, self.step, view)) for view in range(2)]
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16):
            features, embeddings = self._embed(torch.cat(views))
        first, second = embeddings.float().chunk(2)
        weights, terms = self.config.weights, {}
        if weights.invariance:
            terms["invariance"] = losses.prediction(first, second)
        if weights.variance:
            terms["variance"] = 0.5 * (losses.variance(first) + losses.variance(second))
        if weights.covariance:
            terms["covariance"] = 0.5 * (losses.covariance(first) + losses.covariance(second))
        if weights.sigreg:
            directions = self._directions(first.shape[1])
            terms["sigreg"] = 0.5 * (
                losses.sigreg(first, directions) + losses.sigreg(second, directions)
            )
        loss = sum(getattr(weights, name) * term for name, term in terms.items())
        known = None
        if self.labels is not None:
            labels = self.labels[rows].repeat(2)
            guess = self.model.probe(features.detach().float())
            known = (guess.argmax(dim=1) == labels).float().mean()
            loss = loss + F.cross_entropy(guess, labels)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return {name: term.detach() for name, term in terms.items()}, known, features.detach()

    def _directions(self, dim: int) -> Tensor:
        generator = torch.Generator().manual_seed(self._seed(2, self.step))
        return torch.randn(dim, PROJECTIONS, generator=generator).to(self.device)

    def run(self, log_every: int = 50) -> Iterator[ImageProgress]:
        """Train to the last step, yielding progress every `log_every` steps.

        Raises:
            FloatingPointError: when a loss term is not finite; names it.
        """
        last, first = time.perf_counter(), self.step
        sums: dict[str, list[Tensor]] = {}
        knowns: list[Tensor] = []
        while self.step < self.steps:
            terms, known, features = self.update()
            for name, term in terms.items():
                sums.setdefault(name, []).append(term)
            knowns += [] if known is None else [known]
            if self.step % log_every and self.step != self.steps:
                continue
            means = {name: torch.stack(values).mean().item() for name, values in sums.items()}
            check_finite(means, self.model.parameters(), self.step)
            now = time.perf_counter()
            self.seconds += now - last
            yield ImageProgress(
                step=self.step,
                steps=self.steps,
                seconds=self.seconds,
                images_per_second=(self.step - first) * self.config.batch / (now - last),
                losses=means,
                accuracy=torch.stack(knowns).mean().item() if knowns else None,
                health=health(features),
            )
            last, first = time.perf_counter(), self.step
            sums.clear()
            knowns.clear()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that `load_state` needs to go on with the same bits: tensors and JSON."""
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        return tensors | pack(self.optimizer), {"step": self.step, "seconds": self.seconds}

    def load_state(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Go on from a state of a pretrainer with the same config and data."""
        self.step, self.seconds = progress["step"], progress["seconds"]
        self.model.load_state_dict(part(tensors, "model."))
        unpack(self.optimizer, tensors)


def pretrain(
    data: ImageData,
    config: ImageConfig,
    device: torch.device | str = "cpu",
    on_progress: Callable[[ImageProgress], None] | None = None,
    folder: str | Path | None = None,
) -> Backbone:
    """Pretrain an image backbone.

    Args:
        data: the images.
        config: how to train.
        device: where to train.
        on_progress: called about every 50 steps.
        folder: where the run keeps its state, its log `metrics.jsonl` and its backbone; a run that
            was interrupted goes on from there.

    Raises:
        ValueError: if the data do not fit the config, or the folder's run had another config.
        FloatingPointError: if a loss term is not finite; the folder keeps the last good state.
    """
    trainer = ImagePretrainer(data, config, torch.device(device))
    notes = {"data": data.name, "pretraining": to_dict(config)}
    run = None if folder is None else Run(folder, notes)
    try:
        restored = run.restore() if run else None
        if restored:
            trainer.load_state(*restored)
        for progress in trainer.run():
            if run:
                run.log(asdict(progress))
                trainer.model.backbone.save(run.folder, notes)
                run.save(*trainer.state())
            if on_progress is not None:
                on_progress(progress)
    finally:
        if run:
            run.close()
    return trainer.model.backbone.eval()
