"""The training loop, one for world models and for the backbones of images and videos.

A `Task` says what is trained: its losses, its optimiser, its learning rate. `Trainer` trains it:
every step, the log, the state from which an interrupted run goes on, and the callbacks are here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from ..device import check_compiler, missing_compiler
from ..evaluation.collapse import CollapseStats
from ..evaluation.diagnostics import Diagnostics
from . import distributed
from .loss_meter import LossMeter
from .optim import check_finite, pack, strip_prefix, unpack
from .run_folder import Run

LOG_EVERY = 50
"""Steps per line of the log."""

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


class Callback(Protocol):
    """Called at every line of the log, once the run's state is kept.

    The second argument is the current agent or backbone. A callback with a method `close`, as the
    loggers have, is closed when the training ends.
    """

    def __call__(self, progress: Progress, trained: Any, /) -> None: ...


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

    def __init__(self, model: nn.Module, config: Any, device: torch.device) -> None:
        on_gpu = device.type == "cuda"
        self.model, self.config, self.device = model.to(device), config, device
        self.modules = {"model": self.model}
        """All modules that learn, by their names in a run's state."""
        self._bfloat16 = on_gpu if config.bfloat16 is None else config.bfloat16

    @abstractmethod
    def compute_losses(self, step: int) -> StepOutput:
        """The losses of a step's batch."""

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


class Trainer:
    """Trains a task, from the beginning or from where an interrupted run ended.

    Args:
        task: what is trained.
    """

    def __init__(self, task: Task) -> None:
        self.task, self.step, self.meter = task, 0, LossMeter()
        self.optimizer = self._begin_stage(0)

    def fit(self, folder: str | Path | None = None, callbacks: Sequence[Callback] = ()) -> None:
        """Train to the last step.

        Args:
            folder: keeps state, log (`metrics.jsonl`) and result; an interrupted run continues
                from it. None keeps nothing.
            callbacks: called about every 50 steps, see `Callback`.

        Raises:
            KeyboardInterrupt: at Ctrl-C, in a folder after the step in progress, which is kept.
            RunError: if the folder's run had another config, or is in use.
            FloatingPointError: if a loss term or a parameter is not finite; names the term, and
                the folder keeps the last good state.
        """
        task, is_main = self.task, distributed.is_main_process()
        run = Run(folder, task.run_config) if is_main and folder is not None else None
        try:
            restored = distributed.broadcast_object(run.restore() if run else None)
            if restored:
                self.load_state(*restored)
            if restored and run:  # the planner may be another one now
                task.save(run.folder, self.step, self.meter.seconds)
            self.meter.begin()
            while self.step < task.stages[-1]:
                output = self.update()
                self.meter.add(output.terms, output.frames)
                ends_line = self.step % LOG_EVERY == 0 or self.step in task.stages
                if not ends_line and not (run and run.overdue):
                    continue
                means = self.meter.means()
                check_finite(means, task.model.parameters(), self.step, task.config.seed)
                progress = None
                if ends_line:
                    self.meter.clear()
                if ends_line and is_main:
                    line = (self.step, task.stages[-1], self.meter.seconds, self.meter.rate, means)
                    progress = task.report(Progress(*line), output)
                if run and progress:
                    run.log(asdict(progress))
                    task.save(run.folder, self.step, self.meter.seconds)
                if run:
                    run.save(*self.state())
                if progress:
                    for callback in callbacks:
                        callback(progress, task.trained)
                if run and run.interrupted:
                    raise KeyboardInterrupt
                self.meter.begin()
        finally:
            for callback in callbacks:
                if hasattr(callback, "close"):
                    callback.close()
            if run:
                run.close()

    def update(self) -> StepOutput:
        """One step of the optimiser."""
        task = self.task
        if self.step in task.stages:
            self.optimizer = self._begin_stage(self.step)
        task.model.train()
        output = task.compute_losses(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = task.learning_rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        output.loss.backward()
        distributed.average_gradients(p for g in self.optimizer.param_groups for p in g["params"])
        for module in task.clipped:
            nn.utils.clip_grad_norm_(module.parameters(), task.max_grad_norm)
        self.optimizer.step()
        self.step += 1
        return output

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and JSON from which `load_state` continues bit for bit."""
        tensors = pack(self.optimizer) | self.meter.state()
        for name, module in self.task.modules.items():
            tensors |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
        if self.task.generator is not None:
            tensors["generator"] = self.task.generator.get_state()
        return tensors, {"step": self.step, "seconds": self.meter.seconds}

    def load_state(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Continue from the state of a trainer of the same task."""
        self.step = progress["step"]
        self.meter.load_state(tensors, progress["seconds"])
        for name, module in self.task.modules.items():
            module.load_state_dict(strip_prefix(tensors, f"{name}."))
        if self.task.generator is not None:
            self.task.generator.set_state(tensors["generator"])
        self.optimizer = self._begin_stage(self.step - 1)
        unpack(self.optimizer, tensors)

    def _begin_stage(self, step: int) -> torch.optim.Optimizer:
        """The stage's optimiser; no other parameters get gradients, and all old ones are gone."""
        optimizer = self.task.new_optimizer(step)
        trained = {p for group in optimizer.param_groups for p in group["params"]}
        for module in self.task.modules.values():
            for parameter in module.parameters():
                parameter.requires_grad_(parameter in trained).grad = None
        return optimizer
