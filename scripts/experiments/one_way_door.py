"""A ring of corridors with a door that opens one way: a metric beside a quasimetric.

python scripts/experiments/one_way_door.py --out runs/one-way-door

Hard tasks begin just behind the door, with the goal just before it: 0.5 away as the crow flies, but
the way leads around the ring.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro

from jepa_agent import Trajectories, train
from jepa_agent.cli.errors import errors_in_one_line
from jepa_agent.data.recording import record
from jepa_agent.evaluation.episodes import play
from jepa_agent.evaluation.metrics import summarise
from jepa_agent.evaluation.policies import RandomActions
from jepa_agent.io.serialisation import write_json
from jepa_agent.models.distances import BlockNormConfig, DistanceHeadConfig, QuasimetricConfig
from jepa_agent.presets import VECTOR

STEP, BLOCK, DOOR, RADIUS = 0.08, 0.35, 0.1, 0.12
"""The longest step on an axis, half the sides of block and door, and the goal's radius."""
HEADS: dict[str, DistanceHeadConfig] = {
    "block_norm": BlockNormConfig(depth=2),
    "quasimetric": QuasimetricConfig(),
}


class Ring(gym.Env):
    """A square around a block; in the door, above the block, there is only one way: right.

    Args:
        hard: begin just behind the door, with the goal just before it, instead of anywhere.
    """

    def __init__(self, hard: bool = False) -> None:
        self.hard = hard
        box = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = gym.spaces.Dict(observation=box, desired_goal=box)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        """Draw a place and a goal."""
        super().reset(seed=seed)
        if self.hard:
            self.place = self.np_random.uniform([0.15, 0.5], [0.35, 0.9])
            self.goal = self.np_random.uniform([-0.35, 0.5], [-0.15, 0.9])
        else:
            self.place, self.goal = self._draw(), self._draw()
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        """Four small moves, each axis by itself, so that one slides along walls."""
        for axis in (0, 1) * 4:
            there = self.place.copy()
            there[axis] = np.clip(there[axis] + STEP / 4 * float(action[axis]), -1, 1)
            in_door = abs(there[0]) < DOOR and there[1] > 0
            if is_free(there) and not (in_door and there[0] < self.place[0]):
                self.place = there
        reached = bool(np.linalg.norm(self.place - self.goal) < RADIUS)
        return self._observe(), 0.0, False, False, {"is_success": reached}

    def _draw(self) -> np.ndarray:
        while not is_free(place := self.np_random.uniform(-1, 1, 2)):
            pass
        return place

    def _observe(self) -> dict[str, np.ndarray]:
        return {"observation": np.float32(self.place), "desired_goal": np.float32(self.goal)}


def is_free(place: np.ndarray) -> bool:
    """Whether a place (2,) is in the ring."""
    return bool(BLOCK < np.abs(place).max() <= 1)


if "Ring-v0" not in gym.registry:  # as a script, and as the module that `gym.make` imports
    gym.register("Ring-v0", "one_way_door:Ring", max_episode_steps=150)


class Wander:
    """Random directions, each held for 3 to 19 steps."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def predict(self, observation: Any, state: Any = None, **_: Any) -> tuple:
        """The action, and how long it is still held."""
        action, left = state or (None, 0)
        if left == 0:
            action = np.clip(self._rng.normal(size=2), -1, 1).astype(np.float32)
            left = int(self._rng.integers(3, 20))
        return action, (action, left - 1)


@dataclass(frozen=True)
class Args:
    """The size of the experiment."""

    heads: tuple[str, ...] = tuple(HEADS)
    """Distance heads, each trained with every seed."""
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 800
    """Episodes of 100 steps to learn from."""
    steps: int = 1000
    """Steps of joint training; refinement has half as many."""
    evaluated: int = 100
    out: Path = Path("runs/one-way-door")


def main(args: Args) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    record(gym.make("Ring-v0"), args.out / "data.h5", args.episodes, 100, Wander())
    data, rows = Trajectories.load(args.out / "data.h5"), []
    for head in args.heads:
        for seed in args.seeds:
            rows += measure(args, data, head, seed)
            write_json(args.out / f"{head}.json", rows)


def measure(args: Args, data: Trajectories, head: str, seed: int) -> list[dict[str, Any]]:
    """Rows of one training, printed as they come."""
    refinement = replace(VECTOR.training.refinement, steps=args.steps // 2)
    training = replace(
        VECTOR.training, steps=args.steps, seed=seed, refinement=refinement, diagnose_episodes=0
    )
    model = replace(VECTOR.model, distance_head=HEADS[head])
    agent = train(data, replace(VECTOR, model=model, training=training), "cpu")
    agent.save(args.out / f"{head}-{seed}")
    before, behind = agent.model.encode(torch.tensor([[-0.2, 0.7], [0.2, 0.7]]))
    ways = {"through": (before, behind), "back": (behind, before)}
    lengths = {name: agent.model.distance(*way).item() for name, way in ways.items()}
    rows = []
    for tasks, hard in (("hard", True), ("any", False)):
        make = partial(agent.env_ref.make, hard=hard)
        chance = RandomActions(make().action_space)
        for policy in (agent, chance) if head == args.heads[0] and seed == 0 else (agent,):
            name = f"{head}, seed {seed}" if policy is agent else "random"
            seeds = range(10_000, 10_000 + args.evaluated)
            row = asdict(summarise(name, tasks, play(policy, make, seeds)))
            rows.append(row | (lengths if policy is agent else {}))
            print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.cli(Args, description=__doc__))
