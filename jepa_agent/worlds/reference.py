"""An environment by its name: what `gym.make` takes, and how observations are framed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from .history import stack_frames


@dataclass(frozen=True)
class EnvRef:
    """The environment that a model was trained for, as `gym.make` takes it.

    Args:
        id: the environment's registered name.
        kwargs: its keyword arguments.
        history: frames per observation; see `stack_frames`.
    """

    id: str
    kwargs: dict
    history: int = 1

    def make(self, **overrides: Any) -> gym.Env:
        """Build the environment; overrides win over the recorded arguments."""
        return stack_frames(gym.make(self.id, **{**self.kwargs, **overrides}), self.history)
