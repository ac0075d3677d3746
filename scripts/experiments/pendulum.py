"""A second world, from another library: collect, train and evaluate on Gymnasium's Pendulum-v1.

python scripts/experiments/pendulum.py --out runs/pendulum

Nothing in jepa_agent/ knows this environment. The model sees vectors (cos, sin, angular velocity),
the goal is the upright pendulum at rest, and the data are random torques.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from jepa_agent.cli import collect, evaluate, train
from jepa_agent.cli.errors import errors_in_one_line

UPRIGHT = (1.0, 0.0, 0.0)
GRAVITY, MAX_TORQUE = 10.0, 2.0


@dataclass(frozen=True)
class Args:
    """The size of the experiment."""

    episodes: int = 2000
    """Episodes of 200 random steps to learn from."""
    steps: int = 3000
    """Steps of joint training, and as many of refinement."""
    evaluated: int = 200
    seed: int = 0
    out: Path = Path("runs/pendulum")


def main(args: Args) -> None:
    data = args.out / "data.h5"
    args.out.mkdir(parents=True, exist_ok=True)
    collect.main(
        collect.Args(
            policy="pendulum:Wander", episodes=args.episodes, steps=200, seed=args.seed, out=data,
            env="Pendulum-v1",
        )
    )  # fmt: skip
    preset = train.PRESETS["vector"][1]
    refinement = replace(preset.training.refinement, steps=args.steps)
    training = replace(preset.training, steps=args.steps, seed=args.seed, refinement=refinement)
    train.main(
        replace(
            preset,
            model=replace(preset.model, chunk=3),
            training=training,
            planner=replace(preset.planner, horizon=6, num_samples=128),
            data=data,
            out=args.out,
        )
    )
    evaluate.main(
        evaluate.Args(
            checkpoint=str(args.out), episodes=args.evaluated, success="pendulum:upright",
            goal=UPRIGHT, rival="pendulum:SwingUp", out=args.out / "evaluation",
        )
    )  # fmt: skip


def upright(observation: np.ndarray, info: dict[str, Any]) -> bool:
    """Within 18 degrees of upright, slower than one radian a second."""
    cos, _, velocity = observation
    return bool(cos > 0.95 and abs(velocity) < 1.0)


class Wander:
    """Random torques, each held for 3 to 15 steps."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def predict(self, observation: np.ndarray, state: Any = None, **_: Any) -> tuple:
        """The torque, and how long it is still held."""
        torque, left = state or (0.0, 0)
        if left == 0:
            torque, left = self._rng.uniform(-MAX_TORQUE, MAX_TORQUE), self._rng.integers(3, 16)
        return np.array([torque], dtype=np.float32), (torque, left - 1)


class SwingUp:
    """Pumps energy until the pendulum is nearly upright, then holds it; it knows the physics."""

    def predict(self, observation: np.ndarray, state: Any = None, **_: Any) -> tuple:
        """Torques for a batch of observations."""
        cos, sin, velocity = np.moveaxis(observation, -1, 0)
        angle = np.arctan2(sin, cos)
        missing = 1.5 * GRAVITY * (1.0 - cos) - 0.5 * velocity**2  # energy, per unit of inertia
        pump = MAX_TORQUE * np.sign(velocity) * np.sign(missing)
        hold = -12.0 * angle - 3.0 * velocity
        torque = np.where(cos > 0.9, hold, pump)[..., None]
        return np.clip(torque, -MAX_TORQUE, MAX_TORQUE).astype(np.float32), state


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.cli(Args, description=__doc__))
