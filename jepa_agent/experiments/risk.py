"""Failures against steps in a dangerous Two Rooms, seen as positions, at several levels of risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np

from ..agent.agent import JEPAAgent
from ..data.trajectories import Trajectories
from ..envs import CollectConfig, collect
from ..evaluation.episodes import play
from ..evaluation.metrics import summarise
from ..models.ending import EndingConfig
from ..planners import MPPIConfig
from ..presets import VECTOR
from ..training.config import RefinementConfig
from ..worlds.reference import EnvRef, WrapperRef

HAZARD: dict[str, Any] = {"hazard": "strip", "slip": 0.1}
WORLD = EnvRef(
    "TwoRooms-v0",
    {"layout": "fixed", "obs_type": "state", **HAZARD},
    wrappers=(WrapperRef("jepa_agent.experiments.risk:Position"),),
)
DATA = CollectConfig("mixed", "fixed", episodes=2000, steps=60, **HAZARD)
PRESET = replace(
    VECTOR,
    model=replace(
        VECTOR.model,
        predictor=replace(VECTOR.model.predictor, heads=5),
        ending=EndingConfig(width=128),
    ),
    training=replace(
        VECTOR.training,
        layouts_per_batch=1,
        windows_per_layout=48,
        held_out_share=0.0,
        steps=250,
        refinement=RefinementConfig(steps=400, layouts_per_batch=1, windows_per_layout=200),
    ),
    planner=MPPIConfig(horizon=3, num_samples=32, iterations=3),
)
"""`vector` with five heads and foresight of ends, on a little of its budget."""
ALPHAS = (1.0, 0.5, 0.2, 0.1, 0.05)


class Position(gym.ObservationWrapper):
    """Shows positions alone, of agent and goal: the layout is always the same."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        spaces: Any = env.observation_space
        self.observation_space = gym.spaces.Dict(
            {name: gym.spaces.Box(box.low[:2], box.high[:2]) for name, box in spaces.items()}
        )

    def observation(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The observation without the layout."""
        return {name: value[:2] for name, value in observation.items()}


def dangerous_data(seed: int = 0) -> Trajectories:
    """Scripted walkers among hazards; an episode's states are what the world shows."""
    data = Trajectories.from_rollouts(*collect(replace(DATA, seed=seed)))
    return replace(data, metadata={**data.metadata, **WORLD.metadata()})


def curve(
    agent: JEPAAgent, seeds: Sequence[int], alphas: Sequence[float] = ALPHAS
) -> list[dict[str, Any]]:
    """Failures, with a Wilson interval, and steps of the rest, by level of risk; 1 is neutral."""
    found, cost = [], agent.cost
    for alpha in alphas:
        agent.cost = replace(cost, risk="neutral" if alpha == 1 else "cvar", alpha=alpha)
        row = summarise("agent", f"alpha {alpha}", play(agent, WORLD.make, seeds))
        found.append(
            {
                "alpha": alpha,
                "episodes": row.episodes,
                "failures": 1 - row.success,
                "failures_low": 1 - row.success_high,
                "failures_high": 1 - row.success_low,
                "steps": row.steps,
            }
        )
    agent.cost = cost
    return found
