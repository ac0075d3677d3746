"""Callbacks that write a training's numbers to a dashboard; each needs the extra of its name.

They write what `Progress.metrics` gives, and open at the first line of the log, so that of several
processes only one does.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from .task import Progress


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        extra = name.rpartition(".")[2]
        raise ImportError(
            f"logging to {extra} needs its package, got {error}; run "
            f"pip install 'jepa-agent[{extra}]'"
        ) from None


class TensorBoard:
    """Writes event files for `tensorboard --logdir FOLDER`."""

    def __init__(self, folder: str | Path) -> None:
        self._package, self._folder = _package("torch.utils.tensorboard"), str(folder)
        self.writer: Any = None

    def __call__(self, progress: Progress, trained: Any) -> None:
        self.writer = self.writer or self._package.SummaryWriter(self._folder)
        for name, value in progress.metrics().items():
            self.writer.add_scalar(name, value, progress.step)
        for warning in progress.diagnostics.warnings if progress.diagnostics else ():
            self.writer.add_text("warnings", warning, progress.step)

    def close(self) -> None:
        """Write what is left."""
        if self.writer is not None:
            self.writer.close()


class WandB:
    """Logs to Weights & Biases; the arguments are those of `wandb.init`."""

    package = "wandb"

    def __init__(
        self,
        project: str = "jepa-agent",
        name: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        self._package = _package(self.package)
        self._run: Any = None
        self._arguments = {"project": project, "name": name, "config": config}

    def __call__(self, progress: Progress, trained: Any) -> None:
        self._run = self._run or self._package.init(**self._arguments)
        self._run.log(progress.metrics(), step=progress.step)

    def close(self) -> None:
        """Write what is left."""
        if self._run is not None:
            self._run.finish()


class Trackio(WandB):
    """Logs to trackio, on this machine; the arguments are those of `trackio.init`."""

    package = "trackio"
