"""The training loop, one for world models and for the backbones of images and videos.

A `Task` says what is trained: its losses, its optimiser, its learning rate. `Trainer` trains it:
every step, the log, the state from which an interrupted run goes on, and the callbacks are here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..device import memory_kept
from . import distributed
from .graph import StepGraph
from .loss_meter import LossMeter
from .optim import check_finite, pack, set_learning_rate, strip_prefix, unpack
from .run_folder import Run
from .task import Progress, StepOutput, Task

LOG_EVERY = 50
"""Steps per line of the log."""


class Callback(Protocol):
    """Called at every line of the log, once the run's state is kept.

    The second argument is the current agent or backbone. A callback with a method `close`, as the
    loggers have, is closed when the training ends.
    """

    def __call__(self, progress: Progress, trained: Any, /) -> None: ...


class Trainer:
    """Trains a task, from the beginning or from where an interrupted run ended.

    On a CUDA GPU, every step of a task that is static is launched as one graph; see `StepGraph`.

    Args:
        task: what is trained.
        graphs: whether to use graphs where they can be.
    """

    def __init__(self, task: Task, graphs: bool = True) -> None:
        self.task, self.step, self.meter = task, 0, LossMeter()
        on_gpu = task.device.type == "cuda" and distributed.processes() == 1
        self._graphs = graphs and on_gpu and task.is_static
        self.optimizer = self._begin_stage(0)

    @memory_kept()
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
            task.close()
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
        set_learning_rate(self.optimizer, task.learning_rate(self.step))
        output = self._take(task.given(self.step))
        self.step += 1
        return output

    def _update(self, given: tuple[Tensor, ...]) -> StepOutput:
        """Losses, gradients and the optimiser's step: all that a graph holds."""
        task = self.task
        output = task.compute_losses(self.step, given)
        self.optimizer.zero_grad(set_to_none=True)
        output.loss.backward()
        distributed.average_gradients(p for g in self.optimizer.param_groups for p in g["params"])
        for module in task.clipped:
            nn.utils.clip_grad_norm_(module.parameters(), task.max_grad_norm)
        self.optimizer.step()
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
        self._take = StepGraph(self._update, self.task) if self._graphs else self._update
        return optimizer
