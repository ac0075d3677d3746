"""Worlds whose pictures are painted of flat shapes, for agents and for people, at any size."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np

from .goal_world import GoalWorld, WorldConfig
from .pictures import Canvas


@dataclass(frozen=True)
class PaintedConfig(WorldConfig):
    """What every one of these worlds accepts besides `render_mode`.

    Args:
        image_size: rows and columns of the images, 16 to 512.
    """

    image_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        is_whole = isinstance(self.image_size, Integral) and not isinstance(self.image_size, bool)
        if not is_whole or not 16 <= self.image_size <= 512:
            raise ValueError(f"image_size must be a whole number 16 to 512, got {self.image_size}")


class PaintedWorld(GoalWorld):
    """A `GoalWorld` that says what its background is, and how states are painted onto it."""

    config_class: ClassVar[type[WorldConfig]] = PaintedConfig
    config: PaintedConfig
    frame_size = 256
    """Rows and columns of pictures for people."""

    @property
    def image_size(self) -> int:
        """Rows and columns of the images."""
        return self.config.image_size

    def render_states(self, states: Any, layout: Any = None) -> Any:
        """Images (..., H, W, 3) of states (..., S) in layouts (..., C), if they differ; batched."""
        canvas = self._background(states, layout, self.image_size)
        self._paint(canvas, states)
        return canvas.image()

    @abstractmethod
    def _background(self, states: Any, layout: Any, size: int) -> Canvas:
        """A picture of what states (..., S) do not change, in their namespace."""

    @abstractmethod
    def _paint(self, canvas: Canvas, states: Any, is_goal: bool = False) -> None:
        """Paint states (..., S), or goals in colours of their own."""

    def _frame(self) -> np.ndarray:
        canvas = self._background(self.state, self.layout, self.frame_size)
        self._paint(canvas, self.goal, is_goal=True)
        self._paint(canvas, self.state)
        return canvas.image()
