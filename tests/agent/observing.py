"""What tiny agents are shown."""

from __future__ import annotations

import numpy as np

from jepa_agent import JEPAAgent

Observation = dict[str, np.ndarray]
CHUNK = 3
"""Steps per decision of the tiny agent."""


def observations(agent: JEPAAgent, count: int) -> Observation:
    """The first observations of seeds 0, 1, ..."""
    env = agent.env_ref.make()
    each = [env.reset(seed=seed)[0] for seed in range(count)]
    return {key: np.stack([observation[key] for observation in each]) for key in each[0]}


def row(batch: Observation, index: int) -> Observation:
    return {key: value[index] for key, value in batch.items()}
