"""Episodes kept back from training, to measure on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .trajectories import Trajectories

FEWEST = 10
"""Episodes from which on some can be spared."""


def held_out_episodes(trajectories: Trajectories, share: float, length: int) -> np.ndarray:
    """Numbers of the episodes to keep back: at least one, evenly spread over the data.

    Args:
        trajectories: the data.
        share: of their episodes; 0 for none.
        length: states that an episode needs to count.

    Returns:
        (n,), in order; none if fewer than 10 episodes count.
    """
    usable = np.flatnonzero(np.diff(trajectories.offsets) >= length)
    if share == 0 or len(usable) < FEWEST:
        return usable[:0]
    count = max(1, round(share * len(usable)))
    return usable[((np.arange(count) + 0.5) * len(usable) / count).astype(np.int64)]


def selected(trajectories: Trajectories, episodes: np.ndarray) -> Trajectories:
    """A copy of some episodes, in memory.

    Args:
        trajectories: the data.
        episodes: their numbers (n,).
    """
    spans = [np.arange(*trajectories.offsets[[each, each + 1]]) for each in episodes]
    rows = np.concatenate(spans)
    starts = np.concatenate([span[:-1] - each for span, each in zip(spans, episodes, strict=True)])
    seen = trajectories.observations
    return replace(
        trajectories,
        states=trajectories.states[rows],
        actions=trajectories.actions[starts],
        layout=trajectories.layout[episodes],
        offsets=np.cumsum([0, *map(len, spans)], dtype=np.int64),
        observations=None if seen is None else seen[rows],
        terminal=None if trajectories.terminal is None else trajectories.terminal[rows],
    )
