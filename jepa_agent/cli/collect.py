"""Collect offline trajectories into one HDF5 file.

$ jepa-agent collect --layout train --policy mixed --out data/train.h5
$ jepa-agent collect --env Pendulum-v1 --policy random --out data/pendulum.h5
$ jepa-agent collect --env Pendulum-v1 --policy mypkg.mymod:MyPolicy --pixels
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
from rich.progress import Progress

from ..data.recording import record
from ..data.trajectories import Trajectories
from ..envs import CollectConfig, collect
from ..registry import import_object


@dataclass(frozen=True)
class Args:
    """What to collect and where to."""

    policy: str = "reference"
    """In TwoRooms-v0: reference, bump, door, uniform, oracle or mixed. Anywhere: "random", or a
    class with `predict`, named package.module:Name."""
    layout: str = "random"
    """TwoRooms-v0's layouts: random, fixed, train, test or ood."""
    episodes: int = 20_000
    steps: int = 90
    """Actions per episode, at most."""
    episodes_per_layout: int = 16
    """Consecutive episodes that share a layout (TwoRooms-v0)."""
    seed: int = 0
    out: Path = Path("data/trajectories.h5")
    """The file to write; an existing one is replaced once the new one is complete."""
    env: str = "TwoRooms-v0"
    """Any registered Gymnasium environment; "module:Name-v0" imports the module first."""
    pixels: bool = False
    """Store rendered frames as observations, in environments other than TwoRooms-v0."""
    history: int = 1
    """Frames per observation, where one frame is not a state."""


def main(args: Args) -> None:
    began = time.perf_counter()
    with Progress(transient=True) as progress:
        task = progress.add_task("episodes", total=args.episodes)

        def on_episodes(done: int) -> None:
            progress.update(task, completed=done)

        if args.env == "TwoRooms-v0" and args.policy != "random" and ":" not in args.policy:
            config = CollectConfig(
                args.policy,
                args.layout,
                args.episodes,
                args.steps,
                args.episodes_per_layout,
                seed=args.seed,
            )
            Trajectories.from_rollouts(*collect(config, on_episodes)).save(args.out)
        else:
            policy = None if args.policy == "random" else import_object(args.policy)()
            kwargs: dict[str, Any] = {"layout": args.layout} if args.env == "TwoRooms-v0" else {}
            env = gym.make(args.env, render_mode="rgb_array" if args.pixels else None, **kwargs)
            record(
                env, args.out, args.episodes, args.steps, policy, args.seed, args.pixels,
                args.history, on_episodes,
            )  # fmt: skip
    seconds = time.perf_counter() - began
    megabytes = args.out.stat().st_size / 1e6
    print(f"{args.episodes} episodes in {seconds:.1f} s -> {args.out} ({megabytes:.0f} MB)")
