"""What all pretraining shares: settings, terms against collapse, the loop, the run's folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..evaluation.collapse import CollapseStats, collapse_stats
from ..io.serialisation import to_dict
from ..models.backbones import Backbone, BackboneConfig
from ..training import distributed, losses
from ..training.loss_meter import LossMeter
from ..training.optim import LARS, check_finite, cosine, pack, strip_prefix, unpack
from ..training.run_folder import Run

PROJECTIONS = 256
"""Random directions on which SIGReg looks at a batch."""
MOST_FOR_SIGREG = 2048
"""Embeddings that SIGReg looks at; its cost grows with their number."""
ACCURACY = "accuracy"
"""Of the probe, counted beside the loss terms."""


@dataclass(frozen=True)
class PretrainingConfig:
    """The settings of every pretraining.

    Args:
        network: the backbone; the data decide on its images' shape.
        batch: samples per step.
        optimizer: "lars" for large batches, or "adamw".
        learning_rate: peak of a cosine schedule; LARS multiplies it by batch / 256.
        weight_decay: of the weights, not of biases and norms.
        warmup: share of the steps that the learning rate rises.
        bfloat16: autocast to bfloat16; by default on GPUs.
        compiled: compile the model; by default on GPUs.
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
            raise ValueError(
                f"batch must be at least 16 for its statistics, got {self.batch}; raise it"
            )
        if not (self.learning_rate > 0 and 0 <= self.warmup <= 1):
            raise ValueError(
                "learning_rate must be > 0 and warmup in [0, 1], got "
                f"{self.learning_rate} and {self.warmup}; change them"
            )


@dataclass(frozen=True)
class Progress:
    """One line of the log: means since the last one.

    `accuracy` is that of a linear probe that learns beside, on samples it has not been trained on
    yet; None without labels.
    """

    step: int
    steps: int
    seconds: float
    images_per_second: float
    losses: dict[str, float]
    accuracy: float | None
    collapse: CollapseStats


class StepOutput(NamedTuple):
    """What one batch gave."""

    terms: dict[str, Tensor]
    """The loss terms, unweighted."""
    features: Tensor
    """(N, F), to watch for collapse."""
    images: int
    """How many were encoded, by this process."""
    probe: tuple[Tensor, Tensor] | None = None
    """Loss and accuracy of the probe that learns beside."""


class Pretrainer(ABC):
    """One pretraining; `run` yields its progress.

    Args:
        model: everything that learns.
        weights: coefficients of the loss, by the terms' names.
        config: how to train.
        steps: optimiser steps.
        device: where to train.
    """

    def __init__(
        self,
        model: nn.Module,
        weights: Any,
        config: PretrainingConfig,
        steps: int,
        device: torch.device,
    ) -> None:
        self.model, self.weights, self.steps, self.device = model.to(device), weights, steps, device
        distributed.share_norms(self.model)
        self._settings = config
        on_gpu = device.type == "cuda"
        self._bfloat16 = on_gpu if config.bfloat16 is None else config.bfloat16
        self.optimizer = self._new_optimizer()
        self.step, self.meter = 0, LossMeter()

    @abstractmethod
    def compute_losses(self) -> StepOutput:
        """The loss terms of this step's batch."""

    def compiled(self, module: Callable[..., Any]) -> Callable[..., Any]:
        """A module, compiled if the settings say so."""
        chosen = self._settings.compiled
        compile_it = self.device.type == "cuda" if chosen is None else chosen
        return torch.compile(module) if compile_it else module

    def autocast(self) -> torch.autocast:
        """Bfloat16, if the settings say so."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16)

    def seed(self, *what: int) -> int:
        """A seed for one purpose at one step, so that any step can be begun without the others."""
        words = np.random.SeedSequence((self._settings.seed, *what)).generate_state(1, np.uint64)
        return int(words[0]) >> 1

    def against_collapse(self, batches: Sequence[Tensor]) -> dict[str, Tensor]:
        """Variance, covariance and SIGReg of embeddings (N, E), means over several batches."""
        weights, terms = self.weights, {}
        batches = [distributed.all_gather(batch) for batch in batches]
        if weights.variance:
            terms["variance"] = _mean([losses.variance(batch) for batch in batches])
        if weights.covariance:
            terms["covariance"] = _mean([losses.covariance(batch) for batch in batches])
        if weights.sigreg:
            generator = torch.Generator().manual_seed(self.seed(2, self.step))
            directions = torch.randn(batches[0].shape[1], PROJECTIONS, generator=generator)
            directions = directions.to(self.device)
            chosen = torch.randperm(len(batches[0]), generator=generator)[:MOST_FOR_SIGREG]
            chosen = chosen.to(self.device)
            terms["sigreg"] = _mean([losses.sigreg(batch[chosen], directions) for batch in batches])
        return terms

    def update(self) -> StepOutput:
        """One step of the optimiser."""
        self.model.train()
        look = self.compute_losses()
        loss = sum(getattr(self.weights, name) * term for name, term in look.terms.items())
        if look.probe is not None:
            loss = loss + look.probe[0]
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        distributed.average_gradients(self.model.parameters())
        self.optimizer.step()
        self.step += 1
        return look

    def run(
        self, log_every: int = 50, pause: Callable[[], bool] = lambda: False
    ) -> Iterator[Progress | None]:
        """Train to the last step, yielding progress every `log_every` steps.

        Args:
            log_every: steps.
            pause: asked after every step; whether to yield None, though no line ends.

        Raises:
            FloatingPointError: when a loss term or a parameter is not finite; names the term.
        """
        features = torch.empty(0)

        def work() -> tuple[dict[str, Tensor], int]:
            nonlocal features
            look = self.update()
            features = look.features.detach()
            known = {} if look.probe is None else {ACCURACY: look.probe[1]}
            return look.terms | known, look.images * distributed.processes()

        def due() -> bool:
            return self.step % log_every == 0 or self.step == self.steps

        def check(means: dict[str, float]) -> None:
            check_finite(means, self.model.parameters(), self.step, self._settings.seed)

        lines = self.meter.lines(work, due, check, pause)
        while self.step < self.steps:
            means = next(lines)
            yield None if means is None else self._line(means, features)

    def _line(self, means: dict[str, float], features: Tensor) -> Progress:
        return Progress(
            step=self.step,
            steps=self.steps,
            seconds=self.meter.seconds,
            images_per_second=self.meter.rate,
            accuracy=means.pop(ACCURACY, None),
            losses=means,
            collapse=collapse_stats(features),
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that `load_state` needs to go on with the same bits: tensors and JSON."""
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        tensors |= pack(self.optimizer) | self.meter.state()
        return tensors, {"step": self.step, "seconds": self.meter.seconds}

    def load_state(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Go on from a state of a pretrainer with the same config and data."""
        self.step = progress["step"]
        self.meter.load_state(tensors, progress["seconds"])
        self.model.load_state_dict(strip_prefix(tensors, "model."))
        unpack(self.optimizer, tensors)

    def _new_optimizer(self) -> torch.optim.Optimizer:
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": self._settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        return LARS(groups) if self._settings.optimizer == "lars" else torch.optim.AdamW(groups)

    def _learning_rate(self) -> float:
        config = self._settings
        peak = config.learning_rate * (config.batch / 256 if config.optimizer == "lars" else 1.0)
        return peak * cosine(self.step, self.steps, config.warmup * self.steps)


def fit(
    trainer: Pretrainer,
    backbone: Backbone,
    config: PretrainingConfig,
    data: str,
    on_progress: Callable[[Progress], None] | None,
    folder: str | Path | None,
) -> Backbone:
    """Run a pretraining to its end, in a folder where it goes on if it was interrupted.

    Args:
        trainer: the pretraining.
        backbone: what it is for, a part of the trainer's model.
        config: its settings, which a resumed run must share.
        data: the data's name.
        on_progress: called about every 50 steps.
        folder: where state, log (`metrics.jsonl`) and backbone are kept; None keeps nothing.

    Raises:
        KeyboardInterrupt: at Ctrl-C, in a folder after the step in progress, which is kept.
        RunError: if the folder's run had another config, or is in use.
        FloatingPointError: if a loss term is not finite; the folder keeps the last good state.
    """
    notes = {"data": data, "pretraining": to_dict(config)}
    first = distributed.is_main_process()
    run = Run(folder, notes) if first and folder is not None else None
    try:
        restored = distributed.broadcast_object(run.restore() if run else None)
        if restored:
            trainer.load_state(*restored)
        for progress in trainer.run(pause=lambda: run is not None and run.overdue):
            if run and progress:
                run.log(asdict(progress))
                backbone.save(run.folder, notes)
            if run:
                run.save(*trainer.state())
            if first and progress and on_progress is not None:
                on_progress(progress)
            if run and run.interrupted:
                raise KeyboardInterrupt
    finally:
        if run:
            run.close()
    return backbone.eval()


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean()
