"""Callbacks that write a training's numbers to a dashboard; each needs the extra of its name."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from .loop import Progress


class Logger(ABC):
    """Writes the numbers of `Progress.metrics` at every line of the log.

    It opens its dashboard at the first line, so that of several processes only one does.
    """

    package = ""
    """What to import; the extra that installs it has the last part of its name."""

    def __init__(self) -> None:
        self.run: Any = None
        extra = self.package.rpartition(".")[2]
        try:
            self.module = importlib.import_module(self.package)
        except ImportError as error:
            raise ImportError(
                f"logging to {extra} needs its package, got {error}; run "
                f"pip install 'jepa-agent[{extra}]'"
            ) from None

    def __call__(self, progress: Progress, trained: Any) -> None:
        self.run = self.run or self.start()
        self.log(progress.step, progress.metrics())

    @abstractmethod
    def start(self) -> Any:
        """Open the dashboard."""

    @abstractmethod
    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Write numbers by name."""

    @abstractmethod
    def close(self) -> None:
        """Write what is left."""


class TensorBoard(Logger):
    """Writes event files for `tensorboard --logdir FOLDER`.

    Args:
        folder: where to.
    """

    package = "torch.utils.tensorboard"

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self._folder = str(folder)

    def start(self) -> Any:
        """See `Logger`."""
        return self.module.SummaryWriter(self._folder)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """See `Logger`."""
        for name, value in metrics.items():
            self.run.add_scalar(name, value, step)

    def close(self) -> None:
        """See `Logger`."""
        if self.run is not None:
            self.run.close()


class WandB(Logger):
    """Logs to Weights & Biases.

    Args:
        project: the dashboard's project.
        name: of the run; one is made up by default.
        config: JSON data to show beside it.
    """

    package = "wandb"

    def __init__(
        self,
        project: str = "jepa-agent",
        name: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._named = {"project": project, "name": name, "config": config}

    def start(self) -> Any:
        """See `Logger`."""
        return self.module.init(**self._named)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """See `Logger`."""
        self.run.log(metrics, step=step)

    def close(self) -> None:
        """See `Logger`."""
        if self.run is not None:
            self.run.finish()


class Trackio(WandB):
    """Logs to trackio, which keeps its data on this machine; see `WandB`."""

    package = "trackio"
