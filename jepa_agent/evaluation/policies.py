"""The interface of policies, and the random policy."""

from __future__ import annotations

import zlib
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from ..worlds.sampling import sampling_space


class Policy(Protocol):
    """An object with Stable-Baselines3's `predict`."""

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]: ...


class StandStill:
    """Always the same action, for batches.

    Args:
        action: the one that does nothing.
    """

    def __init__(self, action: np.ndarray) -> None:
        self._action = action

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """One action for each of n observations."""
        some = next(iter(observation.values())) if isinstance(observation, dict) else observation
        return np.stack([self._action] * len(some)), state


class RandomActions:
    """Random actions for batches: uniform, or normal where a box is unbounded.

    An episode's actions depend on the seed and its first observation alone.

    Args:
        space: the space of one action.
        seed: seed of all episodes.
    """

    def __init__(self, space: gym.Space, seed: int = 0) -> None:
        self._space, self._seed = space, seed

    def predict(
        self,
        observation: Any,
        state: list[gym.Space] | None = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, list[gym.Space]]:
        """Actions (n, A); the state holds a seeded space for each environment."""
        parts = list(observation.values()) if isinstance(observation, dict) else [observation]
        started = np.broadcast_to(False if episode_start is None else episode_start, len(parts[0]))
        spaces = []
        for row, fresh in enumerate(started):
            if state is None or fresh:
                space = sampling_space(self._space)
                content = b"".join(np.ascontiguousarray(part[row]).tobytes() for part in parts)
                space.seed(zlib.crc32(content, self._seed & 0xFFFFFFFF))
                spaces.append(space)
            else:
                spaces.append(state[row])
        return np.stack([space.sample() for space in spaces]), spaces
