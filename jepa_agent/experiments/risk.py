"""Failures against steps in a dangerous Two Rooms, seen as positions, at several levels of risk."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from ..agent.agent import JEPAAgent
from ..agent.state import AgentState
from ..data.trajectories import Trajectories
from ..envs import CollectConfig, collect
from ..envs.hazards import draw_slips, in_strip, slipped
from ..envs.physics import HIGH, LOW, Layout, step
from ..evaluation.episodes import play
from ..evaluation.metrics import wilson
from ..evaluation.policies import Policy
from ..models.distances import BlockNormConfig
from ..models.ending import Ending, EndingConfig
from ..models.predictors import ResidualMLPConfig
from ..models.world_model import WorldModel
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
DATA = CollectConfig("mixed", "fixed", episodes=100_000, steps=90, **HAZARD)
PRESET = replace(
    VECTOR,
    model=replace(
        VECTOR.model,
        predictor=ResidualMLPConfig(width=128, heads=5),
        distance_head=BlockNormConfig(width=128, depth=2),
        ending=EndingConfig(width=128),
    ),
    training=replace(
        VECTOR.training,
        layouts_per_batch=1,
        windows_per_layout=64,
        held_out_share=0.0,
        steps=1000,
        refinement=RefinementConfig(steps=3000, layouts_per_batch=1, windows_per_layout=320),
    ),
    planner=MPPIConfig(horizon=3, num_samples=32, iterations=3),
)
"""`vector` with five narrower heads and foresight of ends."""
ALPHAS = (1.0, 0.5, 0.2, 0.1, 0.05)
DRAWS = 64
"""Noise by which the true chance of an end is estimated."""
REACH, ACTIONS = 22, 11
"""Pixels from the wall from which it can be met in a chunk; actions of an axis in the table."""


@dataclass(frozen=True)
class Way:
    """How an agent minds risk.

    Args:
        alpha: the share of the worst outcomes; 1 is neutral.
        carried: the budget is carried along the episode; otherwise CVaR is taken anew at every
            decision.
        true_ends: the chance of an end is the world's own.
    """

    alpha: float = 1.0
    carried: bool = True
    true_ends: bool = False

    @property
    def name(self) -> str:
        """What it is called in tables."""
        risk = "neutral" if self.alpha == 1 else f"alpha {self.alpha:g}"
        anew = "" if self.carried else ", anew at every decision"
        return risk + anew + (", true ends" if self.true_ends else "")


WAYS = (
    *(Way(alpha) for alpha in ALPHAS),
    *(Way(alpha, carried=False) for alpha in ALPHAS[1:]),
)


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


class Anew:
    """An agent that takes CVaR anew at every decision: it forgets its budget."""

    def __init__(self, agent: JEPAAgent) -> None:
        self._agent = agent

    def predict(
        self,
        observation: Any,
        state: AgentState | None = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, AgentState]:
        """The agent's own actions, without the budget of the last state."""
        if state is not None and state.budget is not None:
            state = replace(state, budget=torch.full_like(state.budget, torch.nan))
        return self._agent.act(observation, state, episode_start)


class TrueEnding(Ending):
    """The true chance of an end, in the place of the network's: the world's physics and its noise.

    Of held actions, from a table of places a pixel apart, between which it is interpolated.

    Args:
        model: whose probe reads positions off latents.
    """

    def __init__(self, model: WorldModel) -> None:
        super().__init__(model.config.ending, model.config.latent_dim, 0)
        self._model = (model,)  # not a part of this module
        world: Any = WORLD.make().unwrapped
        wall = float(world.layout[0])
        self._axes = (
            torch.arange(wall - REACH, wall + REACH + 1),
            torch.arange(LOW + 0.5, HIGH),
            *(torch.linspace(-1, 1, ACTIONS) for _ in range(2)),
        )
        pushes = torch.cartesian_prod(*self._axes[2:])
        places = torch.cartesian_prod(*self._axes[:2]).float().numpy()
        chances = [ends(places, push) for push in pushes.numpy()]
        shape = tuple(len(axis) for axis in self._axes)
        self._table = torch.as_tensor(np.stack(chances, axis=1)).reshape(shape)

    def forward(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Logits (...) of the chance that a held chunk (..., K * A) ends the episode."""
        (model,) = self._model
        push = actions.unflatten(-1, (model.config.chunk, -1))[..., 0, :]
        push = push * model.action_std + model.action_mean
        places = model.locate(latents)
        near = (places[..., 0] - self._axes[0].mean()).abs() < REACH
        chance = self._between(torch.cat([places, push], dim=-1))
        return torch.where(near, chance, 0.0).logit(eps=1e-6)

    def _between(self, points: Tensor) -> Tensor:
        """The table's values (...) at points (..., 4), linear between its places."""
        low, share = [], []
        for axis, value in zip(self._axes, points.unbind(dim=-1), strict=True):
            number = ((value - axis[0]) / (axis[1] - axis[0])).clamp(0, len(axis) - 1)
            low.append(number.long().clamp_max(len(axis) - 2))
            share.append(number - low[-1])
        found = torch.zeros_like(points[..., 0])
        for corner in itertools.product((0, 1), repeat=len(low)):
            weight = torch.ones_like(found)
            for up, each in zip(corner, share, strict=True):
                weight = weight * (each if up else 1 - each)
            index = tuple(each + up for each, up in zip(low, corner, strict=True))
            found = found + weight * self._table[index]
        return found


def ends(places: np.ndarray, push: np.ndarray) -> np.ndarray:
    """The share (n,) of draws in which a held action (2,) ends the episode, from places (n, 2)."""
    world: Any = WORLD.make().unwrapped
    config, rng, shape = world.config, np.random.default_rng(0), (len(places), DRAWS, 2)
    place = np.repeat(places[:, None], DRAWS, axis=1)
    walls = Layout.from_array(np.broadcast_to(world.layout, (*shape[:2], 3)))
    over = in_strip(place, walls)
    for _ in range(PRESET.model.chunk):  # every place and action meets the same noise
        slip = draw_slips(rng, (DRAWS, 2), config.slip)
        bounce = config.bounce_noise * rng.standard_normal((DRAWS, 2)).astype(np.float32)
        move = slipped(np.broadcast_to(push * config.step_length, shape), slip)
        place = step(place, move, walls, np.broadcast_to(bounce, shape))
        over |= in_strip(place, walls)
    return over.mean(axis=1, dtype=np.float32)


class Noted(gym.Wrapper):
    """Notes whether an episode ended as a failure."""

    def __init__(self, env: gym.Env, failures: list[bool]) -> None:
        super().__init__(env)
        self._failures = failures

    def step(self, action: Any) -> tuple:
        """A step; the last one of an episode is noted."""
        result = self.env.step(action)
        if result[2] or result[3]:
            self._failures.append(bool(result[4]["is_failure"]))
        return result


def measured(
    agent: JEPAAgent, way: Way, seeds: Sequence[int], parallel: int = 64
) -> dict[str, Any]:
    """Episodes that ended in the strip, those that were late, and the steps of the others."""
    ended: list[bool] = []
    chosen = copy.copy(agent)
    chosen.cost = replace(agent.cost, risk="neutral" if way.alpha == 1 else "cvar", alpha=way.alpha)
    if way.true_ends:
        chosen.model = copy.deepcopy(agent.model)
        chosen.model.ending = TrueEnding(agent.model)
    policy: Policy = chosen if way.carried else Anew(chosen)
    episodes = play(policy, lambda: Noted(WORLD.make(), ended), seeds, parallel)
    steps = [each.steps for each in episodes if each.steps is not None]
    return {
        "way": way.name,
        **asdict(way),
        "episodes": len(episodes),
        "ended": sum(ended),
        "late": len(episodes) - sum(ended) - len(steps),
        "steps": steps,
    }


def pooled(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row of a table from those of several trainings in one way; shares in per cent."""
    episodes, ended = (sum(row[name] for row in rows) for name in ("episodes", "ended"))
    late, steps = sum(row["late"] for row in rows), [n for row in rows for n in row["steps"]]
    low, high = wilson(ended + late, episodes)
    means = [float(np.mean(row["steps"])) for row in rows]
    return {
        "way": rows[0]["way"],
        "episodes": episodes,
        "failures": 100 * (ended + late) / episodes,
        "low": 100 * low,
        "high": 100 * high,
        "ended": 100 * ended / episodes,
        "late": 100 * late / episodes,
        "steps": float(np.mean(steps)),
        "least_steps": min(means),
        "most_steps": max(means),
    }


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Failures against steps, pooled rows, as a picture; needs the extra `plots`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    neutral = [row for row in rows if row["way"] == "neutral"]
    anew = [row for row in rows if row["way"].endswith("anew at every decision")]
    carried = [row for row in rows if row not in anew and "true ends" not in row["way"]]
    for label, chosen in (("carried budget", carried), ("anew", neutral + anew)):
        x, y, low, high = (
            np.array([row[name] for row in chosen]) for name in ("steps", "failures", "low", "high")
        )
        axes.errorbar(x, y, yerr=(y - low, high - y), fmt="o-", capsize=3, label=label)
        for row, place in zip(chosen, zip(x, y, strict=True), strict=True):
            name = row["way"].partition(",")[0].removeprefix("alpha ")
            axes.annotate(name, place, xytext=(4, 4), textcoords="offset points")
    axes.set(xlabel="steps of the episodes that arrived", ylabel="failures, %", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)
