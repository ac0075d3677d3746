"""TensorBoard with pictures of the learned distance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..envs.drawing import to_array
from ..training.loggers import TensorBoard
from ..training.task import Progress
from .plan_view import draw
from .session import Session


class DistanceMaps(TensorBoard):
    """Writes the training's numbers and, with its diagnostics, a map of the learned distance.

    Args:
        folder: where to write.
        settings: keyword arguments of the environment that is drawn.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        super().__init__(folder)
        self._settings = settings

    def __call__(self, progress: Progress, trained: Any) -> None:
        super().__call__(progress, trained)
        if progress.diagnostics:
            session = Session(trained, **self._settings)
            session.fields = "learned and true"
            picture = to_array(draw(session.view(wait=True)))
            session.close()
            self.writer.add_image("distance", picture, progress.step, dataformats="HWC")
