"""Shared by all pretraining: settings, the optimiser, terms against collapse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..evaluation.collapse import collapse_stats
from ..io.serialisation import to_dict
from ..models.backbones import Backbone, BackboneConfig
from ..training import distributed, losses
from ..training.optim import LARS, adamw, cosine
from ..training.task import Progress, StepOutput, Task

PROJECTIONS = 256
"""Number of random directions for SIGReg."""
MOST_FOR_SIGREG = 2048
"""Largest number of embeddings for SIGReg; its cost grows with their number."""


@dataclass(frozen=True)
class PretrainingConfig:
    """The settings of every pretraining.

    Args:
        network: the backbone; the data determine its images' shape.
        batch: samples per step.
        optimizer: "lars" for large batches, or "adamw".
        learning_rate: peak of a cosine schedule; LARS multiplies it by batch / 256.
        weight_decay: of the weights, not of biases and norms.
        warmup: share of the steps that the learning rate rises.
        bfloat16: autocast to bfloat16; by default on GPUs.
        compiled: compile the model (`torch.compile`); by default on GPUs that have a compiler
            beside them, in trainings of 10,000 steps and more.
        seed: of parameters, data order and everything else.
    """

    network: BackboneConfig = field(default_factory=BackboneConfig)
    batch: int = 256
    optimizer: Literal["lars", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warmup: float = 0.05
    bfloat16: bool | None = None
    compiled: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 16:
            raise ValueError(f"batch must be at least 16 for its statistics, got {self.batch}")
        if not (self.learning_rate > 0 and 0 <= self.warmup <= 1):
            raise ValueError(
                "learning_rate must be > 0 and warmup in [0, 1], got "
                f"{self.learning_rate} and {self.warmup}"
            )


class Pretrainer(Task):
    """The base of the pretrainings of images and of videos.

    Args:
        model: everything that learns.
        backbone: the part of it that is kept.
        weights: coefficients of the loss, by the terms' names.
        config: how to train.
        steps: optimiser steps.
        device: where to train.
        data: the data's name.
        data_checksum: what tells them from others of this name.
    """

    config: PretrainingConfig

    def __init__(
        self,
        model: nn.Module,
        backbone: Backbone,
        weights: Any,
        config: PretrainingConfig,
        steps: int,
        device: torch.device,
        data: str,
        data_checksum: str,
    ) -> None:
        super().__init__(model, config, device)
        distributed.share_norms(model)
        self.trained, self.weights, self.stages = backbone, weights, (steps,)
        self.notes = {"data": data, "pretraining": to_dict(config)}
        self.run_config = {**self.notes, "data_checksum": data_checksum}

    def seed_for(self, *what: int) -> int:
        """A seed for one purpose at one step, so that any step can be begun without the others."""
        words = np.random.SeedSequence((self.config.seed, *what)).generate_state(1, np.uint64)
        return int(words[0]) >> 1

    def against_collapse(self, batches: Sequence[Tensor], step: int) -> dict[str, Tensor]:
        """Variance, covariance and SIGReg of embeddings (N, E), means over several batches."""
        weights, terms = self.weights, {}
        batches = [distributed.all_gather(batch) for batch in batches]
        if weights.variance:
            terms["variance"] = _mean([losses.variance(batch) for batch in batches])
        if weights.covariance:
            terms["covariance"] = _mean([losses.covariance(batch) for batch in batches])
        if weights.sigreg:
            generator = torch.Generator().manual_seed(self.seed_for(2, step))
            directions = torch.randn(batches[0].shape[1], PROJECTIONS, generator=generator)
            directions = directions.to(self.device, non_blocking=True)
            chosen = torch.randperm(len(batches[0]), generator=generator)[:MOST_FOR_SIGREG]
            chosen = chosen.to(self.device, non_blocking=True)
            terms["sigreg"] = _mean([losses.sigreg(batch[chosen], directions) for batch in batches])
        return terms

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum."""
        parts = (getattr(self.weights, name) * term for name, term in terms.items())
        return sum(parts, start=torch.zeros((), device=self.device))

    def new_optimizer(self, step: int) -> torch.optim.Optimizer:
        """LARS or AdamW; biases and norms do not decay."""
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": self.config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return LARS(groups) if self.config.optimizer == "lars" else adamw(groups, 0.0)

    def learning_rate(self, step: int) -> float:
        """A cosine after a warm-up."""
        config, (steps,) = self.config, self.stages
        peak = config.learning_rate * (config.batch / 256 if config.optimizer == "lars" else 1.0)
        return peak * cosine(step, steps, config.warmup * steps)

    def report(self, progress: Progress, output: StepOutput) -> Progress:
        """Watch for collapse, and give the probe's accuracy its own place."""
        terms = dict(progress.losses)
        accuracy = terms.pop("accuracy", None)
        stats = None if output.features is None else collapse_stats(output.features.detach())
        return replace(progress, losses=terms, accuracy=accuracy, collapse=stats)

    def save(self, folder: Path, step: int, seconds: float) -> None:
        """Write the backbone."""
        self.trained.save(folder, self.notes)


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
