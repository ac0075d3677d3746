"""Frames that are rendered from states once, and kept."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .trajectories import Trajectories

if TYPE_CHECKING:
    from .windows import Renderer

AT_MOST = 8 * 2**30
"""Most bytes of frames that are kept."""
TOGETHER = 4096
"""Frames rendered at a time."""


class PaintedFrames:
    """All frames of the data by their rows, each rendered when it is asked for the first time.

    They lie in a temporary file without a name, which the system keeps in memory as far as it has
    room, and which goes with the process.

    Args:
        trajectories: the data.
        render: makes frames of states and layouts.
    """

    def __init__(self, trajectories: Trajectories, render: Renderer) -> None:
        self._render = render
        self._states = torch.as_tensor(trajectories.states)
        self._layout = torch.as_tensor(trajectories.layout)
        self._offsets = torch.as_tensor(trajectories.offsets)
        self._is_kept = torch.zeros(len(self._states), dtype=torch.bool)
        shape = (len(self._states), *self._painted(torch.zeros(1, dtype=torch.long)).shape[1:])
        self._frames: Tensor | None = None
        if np.prod(shape) <= min(AT_MOST, shutil.disk_usage(tempfile.gettempdir()).free / 4):
            with tempfile.TemporaryFile() as file:
                self._frames = torch.from_numpy(np.memmap(file, np.uint8, "w+", shape=shape))

    def __call__(self, rows: Tensor) -> Tensor:
        """Frames (..., H, W, C) of any rows (...)."""
        flat = rows.reshape(-1)
        if self._frames is None:
            frames = self._painted(flat)
        else:
            fresh = flat[~self._is_kept[flat]].unique()
            for first in range(0, len(fresh), TOGETHER):
                part = fresh[first : first + TOGETHER]
                self._frames[part] = self._painted(part)
                self._is_kept[part] = True
            frames = self._frames[flat]
        return frames.reshape(*rows.shape, *frames.shape[1:])

    def _painted(self, rows: Tensor) -> Tensor:
        episode = torch.searchsorted(self._offsets, rows, right=True) - 1
        return self._render(self._states[rows], self._layout[episode])
