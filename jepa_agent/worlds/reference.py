"""An environment by its name: what `gym.make` takes, and how observations are framed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from .history import stack_frames


def importable_id(env: gym.Env) -> str:
    """The id by which a fresh process makes an environment: with the package that registers it."""
    if env.spec is None:
        return type(env.unwrapped).__name__
    entry: Any = env.spec.entry_point
    module = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    package = module.partition(".")[0]
    known = package in ("", "__main__", "gymnasium")
    return env.spec.id if known else f"{package}:{env.spec.id}"


@dataclass(frozen=True)
class EnvRef:
    """The environment that a model was trained for, as `gym.make` takes it.

    Args:
        id: the environment's registered name, after the module that registers it and a colon where
            that is not Gymnasium.
        kwargs: its keyword arguments.
        history: frames per observation; see `stack_frames`.
    """

    id: str
    kwargs: dict
    history: int = 1

    def make(self, **overrides: Any) -> gym.Env:
        """Build the environment; overrides win over the recorded arguments."""
        return stack_frames(gym.make(self.id, **{**self.kwargs, **overrides}), self.history)
