"""Do rounds see more of a maze than wandering, with as many frames?

python scripts/experiments/rounds.py --seeds 0 1 2

In PointMaze-v0's large maze every episode begins in the same corner. Counted are the cells in which
the ball has ever been.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import tyro

from jepa_agent import EnvRef, Trajectories
from jepa_agent.data.recording import record
from jepa_agent.presets import VECTOR
from jepa_agent.training.rounds import RoundsConfig, train_in_rounds
from jepa_agent.worlds.reference import WrapperRef


class Corner(gym.Wrapper):
    """Every episode begins in the first free cell."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        world: Any = self.unwrapped
        place = world.centre_of(np.argwhere(world.maze == 0)[0])
        return self.env.reset(seed=seed, options={**(options or {}), "state": [*place, 0, 0]})


@dataclass(frozen=True)
class Args:
    """What to measure."""

    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 30
    """Episodes of the first data, and of each of two rounds."""
    steps: int = 150
    """Steps of training, and as many of refinement, in each round."""
    out: Path = Path("runs/rounds")


def main(args: Args) -> None:
    kwargs = {"maze": "large", "obs_type": "state"}
    ref = EnvRef("jepa_agent:PointMaze-v0", kwargs, wrappers=(WrapperRef("rounds:Corner"),))
    world: Any = ref.make().unwrapped

    def cells(*data: Trajectories) -> int:
        places = np.concatenate([each.states[:, :2] for each in data])
        return len(np.unique(world.cell_of(places), axis=0))

    refinement = replace(VECTOR.training.refinement, steps=args.steps)
    for seed in args.seeds:
        folder = args.out / f"seed-{seed}"
        for name, count, first in (("first", 1, 0), ("more", 2, 500)):
            path, begin = folder / f"{name}.h5", seed * 1000 + first
            folder.mkdir(parents=True, exist_ok=True)
            record(ref, path, count * args.episodes, 100, "wander", seed=begin)
        start, more = (Trajectories.load(folder / f"{name}.h5") for name in ("first", "more"))
        training = replace(
            VECTOR.training, steps=args.steps, refinement=refinement, seed=seed, diagnose_episodes=0
        )
        rounds = RoundsConfig(2, args.episodes, 100)
        train_in_rounds(start, replace(VECTOR, training=training), rounds, folder=folder / "run")
        new = [Trajectories.load(folder / "run" / f"round-{number}.h5") for number in range(2)]
        row = {"seed": seed, "of": int((world.maze == 0).sum()), "first": cells(start)}
        row |= {"wandering": cells(start, more), "rounds": cells(start, *new)}
        print(row, json.loads((folder / "run" / "rounds.json").read_text()), flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
