"""Episodes to write in the formats of others, and to find again."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest


class Logged(NamedTuple):
    """Three episodes of 4, 2 and 3 steps, the last actions of which led nowhere."""

    lengths: np.ndarray
    images: np.ndarray
    """uint8 (9, 16, 12, 3), each of one colour and all different, so that videos keep them."""
    states: np.ndarray
    """float32 (9, 3)."""
    actions: np.ndarray
    """float32 (9, 2)."""
    kept: np.ndarray
    """(6, 2), the actions that led somewhere."""

    @property
    def last(self) -> np.ndarray:
        """The last rows of the episodes."""
        return np.cumsum(self.lengths) - 1

    @property
    def ids(self) -> np.ndarray:
        return np.repeat(np.arange(3), self.lengths)


@pytest.fixture(scope="session")
def logged() -> Logged:
    rng, lengths = np.random.default_rng(0), np.array([4, 2, 3])
    colours = np.stack([np.arange(9) * 25 + 20, 220 - np.arange(9) * 20, np.full(9, 120)], axis=1)
    images = np.broadcast_to(colours[:, None, None], (9, 16, 12, 3)).astype(np.uint8)
    states = rng.normal(size=(9, 3)).astype(np.float32)
    actions = rng.uniform(-1, 1, (9, 2)).astype(np.float32)
    kept = np.delete(actions, np.cumsum(lengths) - 1, axis=0)
    return Logged(lengths, images, states, actions, kept)
