"""What is trained: the interface between the training loop and world models or backbones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..device import check_compiler, missing_compiler
from ..evaluation.collapse import CollapseStats
from ..evaluation.diagnostics import Diagnostics

COMPILED_FROM = 10_000
"""Steps from which compiling is taken to pay on a GPU: a minute or so, for 6 ms less a step."""


class StepOutput(NamedTuple):
    """The losses of one batch."""

    terms: dict[str, Tensor]
    """The unweighted loss terms, whose means are logged."""
    loss: Tensor
    """The weighted sum of the terms."""
    frames: int
    """Number of frames in the batches of all processes."""
    features: Tensor | None = None
    """(N, F), checked for collapse."""


@dataclass(frozen=True)
class Progress:
    """One line of a training's log, with means over the steps since the last line.

    Args:
        step: optimiser steps done.
        steps: optimiser steps of the whole training.
        seconds: time that all steps so far took.
        frames_per_second: throughput since the last line.
        losses: the loss terms, unweighted.
        probe_error: root mean square error of the states that a world model's probe reads off
            latents, in the environment's units (pixels).
        accuracy: accuracy of the linear probe beside an image backbone, on images before it is
            trained on them; None without labels.
        collapse: whether a backbone's features have collapsed.
        diagnostics: a world model's errors on held-out data, where they are due.
    """

    step: int
    steps: int
    seconds: float
    frames_per_second: float
    losses: dict[str, float]
    probe_error: float | None = None
    accuracy: float | None = None
    collapse: CollapseStats | None = None
    diagnostics: Diagnostics | None = None

    def metrics(self) -> dict[str, float]:
        """All numbers but the steps by name, such as `losses/prediction`."""

        def numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
            if isinstance(value, dict | list):
                for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                    yield from numbers(f"{name}/{key}", part)
            elif isinstance(value, int | float) and name not in ("step", "steps"):
                yield name, value

        return dict(found for item in asdict(self).items() for found in numbers(*item))


class Task(ABC):
    """What is trained.

    Args:
        model: the network; its parameters are checked to stay finite.
        config: has `seed`, `bfloat16` and `compiled`; None for the latter two means on CUDA GPUs,
            and compiled only where that pays: see `compile`.
        device: where to train.
    """

    model: nn.Module
    stages: tuple[int, ...]
    """The steps at which a stage ends; the next one begins with a new optimiser."""
    trained: Any
    """The agent or backbone that callbacks get."""
    run_config: dict[str, Any]
    """JSON data that must be the same when a run is resumed."""
    clipped: tuple[nn.Module, ...] = ()
    """Modules whose gradient's norm is limited, each by `max_grad_norm`."""
    max_grad_norm: float
    generator: torch.Generator | None = None
    """A random generator that is part of the state."""
    is_static: bool = False
    """Whether all steps of a stage do the same to tensors that stay where they are, so that a GPU
    may replay one of them; see `StepGraph`."""

    def __init__(self, model: nn.Module, config: Any, device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        self.model, self.config, self.device = model.to(device), config, device
        self.modules = {"model": self.model}
        """All modules that learn, by their names in a run's state."""
        self._bfloat16 = on_gpu if config.bfloat16 is None else config.bfloat16

    def given(self, step: int) -> tuple[Tensor, ...]:
        """What the host gives a step, on the device; nothing where the batch is made there."""
        return ()

    @abstractmethod
    def compute_losses(self, step: int, given: tuple[Tensor, ...] = ()) -> StepOutput:
        """The losses of a step's batch, of which `given` is what the host gives."""

    @abstractmethod
    def new_optimizer(self, step: int) -> torch.optim.Optimizer:
        """An optimiser for the stage that a step belongs to."""

    @abstractmethod
    def learning_rate(self, step: int) -> float:
        """The learning rate's schedule."""

    @abstractmethod
    def report(self, progress: Progress, output: StepOutput) -> Progress:
        """Complete a line of the log; `output` is the last step's."""

    @abstractmethod
    def save(self, folder: Path, step: int, seconds: float) -> None:
        """Write the agent or backbone into the run's folder."""

    def close(self) -> None:
        """End what works beside the training; it begins anew with the next step."""
        return

    def autocast(self) -> torch.autocast:
        """The precision of forward passes."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16)

    def compile(self, module: Callable[..., Any]) -> Callable[..., Any]:
        """The module, compiled if the settings say so, or where it pays and they say nothing.

        Raises:
            ValueError: if the settings say so and this machine has no compiler.
        """
        wanted = self.config.compiled
        if wanted is None:
            long = self.device.type == "cuda" and self.stages[-1] >= COMPILED_FROM
            wanted = long and missing_compiler(self.device) is None
        elif wanted:
            check_compiler(self.device)
        return torch.compile(module) if wanted else module
