"""Collect offline trajectories into one HDF5 file.

$ jepa-agent collect --layout train --policy mixed --out data/train.h5
$ jepa-agent collect --env Pendulum-v1 --policy random --out data/pendulum.h5
$ jepa-agent collect --env Pendulum-v1 --pixels --size 64
$ jepa-agent collect --env Pendulum-v1 --policy my.module:solve --workers 8
$ jepa-agent collect --env my:Maze-v0 --env-kwargs max_episode_steps=9 \\
    --wrapper "gymnasium.wrappers:RescaleAction min_action=-1 max_action=1"
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.progress import Progress

from ..data.behaviour import NAMED
from ..data.recording import record
from ..data.trajectories import Trajectories
from ..envs import CollectConfig, collect
from ..registry import import_object
from ..worlds.arguments import parse
from .environments import reference

TWO_ROOMS = "TwoRooms-v0"


@dataclass(frozen=True)
class Args:
    """What to collect and where to."""

    policy: str = ""
    """In TwoRooms-v0: reference (by default), bump, door, uniform, oracle or mixed. Anywhere:
    "random", "wander" (random actions, each held for some steps; slower ones as "wander
    scale=0.2"), or package.module:Name of a class with `predict`, or of a function
    policy(env, rng) that may look into the simulator."""
    layout: str = "random"
    """TwoRooms-v0's layouts: random, fixed, train, test, ood or hard."""
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
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, key=value with JSON values, or one JSON object; among them
    max_episode_steps, its time limit. Training, evaluation and plans use the same. Two Rooms' own
    policies know hazard=strip and slip=0.1."""
    wrapper: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A wrapper, "package.module:Name key=value ...", called with the environment; the first is
    the innermost. It is kept like the arguments."""
    pixels: bool = False
    """Show rendered frames as observations, inside of the wrappers, and keep vectors as states."""
    size: int = 0
    """Height and width of these frames; 0 for those that the environment renders."""
    history: int = 1
    """Frames per observation, where one frame is not a state."""
    rewards: bool = False
    """Store the reward as the last number of the states, so that an agent can seek it."""
    workers: int = 1
    """Processes that share the episodes; the file does not depend on their number. Two Rooms' own
    policies need one."""


def main(args: Args) -> None:
    began = time.perf_counter()
    with Progress(transient=True) as progress:
        task = progress.add_task("episodes", total=args.episodes)

        def on_episodes(done: int) -> None:
            progress.update(task, completed=done)

        if is_scripted(args):
            config = CollectConfig(
                args.policy or "reference",
                args.layout,
                args.episodes,
                args.steps,
                args.episodes_per_layout,
                seed=args.seed,
                **parse(args.env_kwargs),
            )
            Trajectories.from_rollouts(*collect(config, on_episodes)).save(args.out)
        else:
            named = ":" not in args.policy
            policy = (args.policy or "random") if named else import_object(args.policy)
            kwargs = args.env_kwargs
            if args.env == TWO_ROOMS:
                kwargs = (f"layout={args.layout}", *kwargs)
            env = reference(args.env, kwargs, args.wrapper, args.pixels, args.size, args.history)
            record(
                env, args.out, args.episodes, args.steps, policy, args.seed,
                progress=on_episodes, workers=args.workers, rewards=args.rewards,
            )  # fmt: skip
    seconds = time.perf_counter() - began
    megabytes = args.out.stat().st_size / 1e6
    print(f"{args.episodes} episodes in {seconds:.1f} s -> {args.out} ({megabytes:.0f} MB)")


def is_scripted(args: Args) -> bool:
    """Whether a policy of Two Rooms' own plays, in many environments at once."""
    if args.env != TWO_ROOMS or args.policy.partition(" ")[0] in NAMED or ":" in args.policy:
        return False
    others = parse(args.env_kwargs).keys() - {"hazard", "slip"}
    changed = others or args.wrapper or args.pixels or args.rewards
    is_plain = not changed and args.history == 1
    if args.policy and not is_plain:
        raise ValueError(
            f"the policy {args.policy} plays {TWO_ROOMS} as it is, got other --env-kwargs than "
            "hazard and slip, --wrapper, --pixels, --rewards or --history; take --policy random or "
            "a class of yours"
        )
    return is_plain
