"""What scripted behaviour does: how far a state moves in some steps, and what is solved by itself.

python scripts/experiments/behaviour.py PushT-v0 jepa_agent.envs.pushing:Pusher
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import gymnasium as gym
import numpy as np
import tyro

from jepa_agent import EnvRef, Trajectories
from jepa_agent.data.recording import record
from jepa_agent.registry import import_object


@dataclass(frozen=True)
class Args:
    """What to play, and how far ahead to look."""

    env: tyro.conf.Positional[str]
    policy: tyro.conf.Positional[str]
    episodes: int = 100
    steps: int = 100
    offsets: tuple[int, ...] = (25, 50)
    seed: int = 0


def main(args: Args) -> None:
    ref = EnvRef(f"jepa_agent:{args.env}", {"obs_type": "state"})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "played.h5"
        policy = import_object(args.policy)
        record(ref, path, args.episodes, args.steps, policy, args.seed)
        data = Trajectories.load(path)
    for offset in args.offsets:
        print(f"{offset} steps ahead: {described(ref.make(), data, offset)}")


def described(env: gym.Env, data: Trajectories, offset: int) -> str:
    """Moves of each number of the state, and the share of pairs that are solved at the start."""
    world = env.unwrapped
    pairs = np.concatenate(
        [
            np.stack([states[:-offset], states[offset:]], axis=1)
            for states in np.split(data.states, data.offsets[1:-1])
        ]
    )
    start, end = pairs[:, 0], pairs[:, 1]
    moved = np.abs(end - start)
    names = zip(world.state_names, moved.T, strict=True)
    each = ", ".join(f"{name} {np.median(m):.3g} ({np.quantile(m, 0.9):.3g})" for name, m in names)
    measure = world.measure(start, end)
    return (
        f"median distance {np.median(measure.distance):.3g}, solved at the start "
        f"{100 * measure.success.mean():.1f} %, strictly {100 * measure.strict.mean():.1f} %; "
        f"median move (90th percentile): {each}"
    )


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
