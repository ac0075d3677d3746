"""What `metrics.jsonl` holds, for TensorBoard, with pictures of the learned distance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..agent.agent import JEPAAgent
from ..envs.drawing import to_array
from ..training.trainer import Progress
from .plan_view import draw
from .session import Session


class Board:
    """Writes into a run's folder, if the extra `tensorboard` is installed.

    Args:
        folder: of the run.
        settings: of the environment whose energy fields are drawn, or None for no pictures.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None) -> None:
        self._settings = settings
        self._writer: Any = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def show(self, progress: Progress, agent: JEPAAgent) -> None:
        """Add a line of the log."""
        if self._writer is None:
            return
        numbers = {f"loss/{name}": value for name, value in progress.losses.items()}
        numbers |= {"speed/frames per second": progress.frames_per_second}
        if progress.probe_error is not None:
            numbers |= {"probe/error": progress.probe_error}
        found = asdict(progress.diagnostics) if progress.diagnostics else {}
        found |= found.pop("collapse", {})
        groups = found.pop("rank_correlations", {})
        found |= {f"rank correlation, {group}": value for group, value in groups.items()}
        for name, value in found.items():
            several = value if isinstance(value, list) else [value]
            for index, each in enumerate(several):
                if each is not None:
                    place = f" {index}" if len(several) > 1 else ""
                    numbers[f"held out/{name.replace('_', ' ')}{place}"] = each
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, progress.step)
        if progress.diagnostics and self._settings is not None:
            session = Session(agent, **self._settings)
            session.fields = "learned and true"
            picture = to_array(draw(session.view(wait=True)))
            session.close()
            self._writer.add_image("energy", picture, progress.step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        if self._writer is not None:
            self._writer.close()
