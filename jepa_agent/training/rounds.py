"""Rounds: an agent collects its next data by planning to what its model has rarely seen.

It goes to a rare observation and wanders about there, as in Go-Explore (arXiv 1901.10995); then it
is trained on with everything, and so on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..agent.agent import JEPAAgent
from ..data.behaviour import wander
from ..data.recording import record
from ..data.source import env_of, world_shape
from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource
from ..io.serialisation import write_json
from ..models.backbones import Backbone
from . import distributed
from .config import Preset
from .loop import Callback
from .world_model import train

LOOKED_AT = 2048
"""Observations of which the rare ones are goals."""
NEIGHBOURS = 10
"""How rare an observation is, is the distance of its latent from this neighbour."""
RARE = 0.05
"""Share of these observations that are goals."""
SEEDS = 100_000
"""Seeds from one round's episodes to the next's; those of evaluation begin at 1,000,000."""


@dataclass(frozen=True)
class RoundsConfig:
    """How often an agent collects more data by itself, after it was trained on the first.

    Args:
        count: rounds; 0 for none.
        episodes: of each round.
        steps: actions per episode at most; half of them lead to a goal, the others wander.
    """

    count: int = 0
    episodes: int = 200
    steps: int = 100

    def __post_init__(self) -> None:
        if not (0 <= self.count < 10 and 1 <= self.episodes <= SEEDS and self.steps >= 1):
            raise ValueError(
                f"rounds.count must be in [0, 9], rounds.episodes in [1, {SEEDS}] and rounds.steps "
                f">= 1, got {self.count}, {self.episodes} and {self.steps}; correct them"
            )


@dataclass(frozen=True)
class Round:
    """What a round took.

    Args:
        episodes: that the agent was trained on.
        frames: of these.
        collecting: seconds to collect the new ones.
        training: seconds of training, on all of them.
    """

    episodes: int
    frames: int
    collecting: float
    training: float


class Explorer:
    """Plans to a rare observation for half of an episode, and wanders about from there.

    Args:
        agent: who plans.
        goals: (G, ...), observations.
        steps: of an episode.
    """

    def __init__(self, agent: JEPAAgent, goals: np.ndarray, steps: int) -> None:
        self._agent, self._goals, self._steps = agent, goals, steps
        self._env = agent.env_ref.make()
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Draw the goal and the wandering of the next episode."""
        goal = np.random.default_rng(seed).integers(len(self._goals))
        self._agent.set_goal(self._goals[goal])
        self._wander, self._played = wander(self._env, seed), 0

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """An action for one observation."""
        self._played += 1
        if 2 * self._played > self._steps:
            return self._wander(observation), state
        return self._agent.predict(observation, state, episode_start)


def rare_observations(
    agent: JEPAAgent, trajectories: Trajectories, generator: np.random.Generator
) -> np.ndarray:
    """Observations (G, ...) whose latents lie far from those of others.

    Args:
        agent: whose latents these are.
        trajectories: the data, of which some observations are looked at.
        generator: draws them.
    """
    _, render, _ = world_shape(env_of(trajectories), trajectories)
    source = ObservationSource(trajectories, render, agent.device)
    total = len(trajectories.states)
    rows = generator.choice(total, min(LOOKED_AT, total), replace=False)
    with torch.no_grad():
        parts = [source.at(each) for each in torch.as_tensor(rows).split(256)]
        latents = torch.cat([agent.model.encode(part) for part in parts])  # (N, D)
        apart = torch.cdist(latents, latents)
    nearest = apart.kthvalue(min(NEIGHBOURS + 1, len(rows)), dim=1).values  # it is its own first
    rare = nearest.topk(max(1, round(RARE * len(rows)))).indices
    return source.at(torch.as_tensor(rows)[rare.cpu()]).cpu().numpy()


def train_in_rounds(
    trajectories: Trajectories,
    preset: Preset,
    rounds: RoundsConfig,
    device: torch.device | str = "auto",
    *,
    folder: str | Path,
    watch: Callable[[Path], Sequence[Callback]] = lambda folder: (),
    start: JEPAAgent | str | Path | None = None,
    backbone: Backbone | None = None,
) -> JEPAAgent:
    """Train an agent, let it collect more data, train it on with them, and so on.

    The folder gets the last agent, `round-N` for those before it, the data `round-N.h5` that each
    of them collected, and `rounds.json`, a list of `Round`. What is complete is not done again.

    Args:
        trajectories: the first data; their metadata name the environment.
        preset: of each training, with its whole schedule.
        rounds: how often, and how much to collect.
        device: where to train, see `resolve_device`.
        folder: for all that is written.
        watch: callbacks of the training in a folder; see `train`.
        start: of the first training; see `train`.
        backbone: of the first training; see `train`.

    Raises:
        ValueError: if the data name no environment or are of several layouts, or several processes
            train.
    """
    world = env_of(trajectories)
    if world is None:
        raise ValueError(
            "rounds need an environment to collect data in, got data that name none; give them one "
            "by `jepa-agent import --env module:Name-v0`"
        )
    if distributed.processes() > 1:
        raise ValueError(
            f"rounds need one process, got {distributed.processes()}; run without torchrun"
        )
    layouts = len(np.unique(trajectories.layout, axis=0)) if trajectories.layout.size else 1
    if layouts > 1:
        raise ValueError(
            f"rounds need data of one layout, whose goals can be reached, got {layouts}; fix the "
            "layout by --env-kwargs"
        )
    folder, data, done = Path(folder), [trajectories], list[Round]()
    collecting = 0.0
    for number in range(rounds.count + 1):
        last = number == rounds.count
        everything = data[0] if len(data) == 1 else Trajectories.concatenate(data)
        place = folder if last else folder / f"round-{number}"
        agent = train(
            everything, preset, device, folder=place,
            callbacks=watch(place), start=start, backbone=backbone,
        )  # fmt: skip
        seconds = agent.notes["seconds"]
        done.append(Round(len(everything), len(everything.states), collecting, seconds))
        write_json(folder / "rounds.json", [asdict(each) for each in done])
        if last:
            break
        path, seed = folder / f"round-{number}.h5", (number + 1) * SEEDS
        took = path.with_suffix(".json")
        if not (path.exists() and took.exists()):
            began = time.perf_counter()
            rare = rare_observations(agent, everything, np.random.default_rng(seed))
            explorer = Explorer(agent, rare, rounds.steps)
            record(world, path, rounds.episodes, rounds.steps, explorer, seed)
            agent.set_goal(None)
            write_json(took, {"seconds": time.perf_counter() - began})
        collecting = json.loads(took.read_text())["seconds"]
        data.append(Trajectories.load(path))
        start, backbone = agent, None
    return agent
