"""Find how an agent's plans tell its chance of failure, and keep it in the checkpoint.

$ jepa-agent calibrate --checkpoint runs/risk
$ jepa-agent calibrate --checkpoint runs/risk --suite ood hard --episodes 2000

Half of the episodes are fitted, the other half is foreseen. The agent's model must
have several heads (--model.predictor.heads 5) or foresee ends.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from ..agent.agent import JEPAAgent
from ..evaluation.failures import Watchings, calibrate, forecast, watch
from ..evaluation.two_rooms import SETTINGS
from ..io.serialisation import write_json
from .environments import WorldArgs, play_in


@dataclass(frozen=True)
class Args:
    """What to calibrate on."""

    checkpoint: str
    """A folder that `jepa-agent train` wrote; the calibration is kept in it."""
    allow_code: bool = False
    """Import the modules of planners, encoders and the like that the checkpoint names; they run."""
    world: Annotated[WorldArgs, tyro.conf.OmitArgPrefixes] = field(default_factory=WorldArgs)
    suite: tuple[str, ...] = ()
    """Suites of TwoRooms-v0, see `jepa-agent evaluate`; by default the agent's environment."""
    episodes: int = 1000
    """For each suite; half of them serve the fit."""
    seed: int = 2_000_000
    """Episode i is played with seed + i; take others than those of evaluations."""
    parallel: int = 64
    """Environments side by side, planned together; the result does not depend on it."""


def main(args: Args) -> None:
    if unknown := [suite for suite in args.suite if suite not in SETTINGS]:
        raise ValueError(f"--suite must be among {sorted(SETTINGS)}, got {unknown}")
    if args.episodes < 4 or args.parallel < 1 or args.seed < 0:
        raise ValueError(
            "--episodes must be >= 4, --parallel >= 1 and --seed >= 0, got "
            f"{args.episodes}, {args.parallel} and {args.seed}"
        )
    agent = JEPAAgent.load(args.checkpoint, allow_code=args.allow_code)
    own = agent.env_ref if agent.has_environment else None
    play_in(agent, args.world)
    half = args.episodes // 2
    shares = range(args.seed, args.seed + half), range(args.seed + half, args.seed + args.episodes)
    settings: dict[str, dict[str, Any]] = {
        suite: {**SETTINGS[suite], "terminate_on_success": True} for suite in args.suite
    }  # plans made at the goal tell nothing of arriving there
    settings = settings or {"its environment": {}}
    seen = {
        (suite, part): watch(agent, partial(agent.env_ref.make, **kwargs), seeds, args.parallel)
        for suite, kwargs in settings.items()
        for part, seeds in enumerate(shares)
    }
    fitted = [found for (_, part), found in seen.items() if part == 0]
    agent.calibration = calibrate(together(fitted))
    document = {}
    for (suite, part), found in seen.items():
        if part == 1:
            chances = agent.calibration.chance(found.features[found.first])
            document[suite] = asdict(forecast(chances.numpy(), found.failed.numpy()))
            show(suite, document[suite])
    if own is not None:
        agent.set_environment(own)
    agent.save(args.checkpoint)
    path = Path(args.checkpoint).expanduser() / "failures.json"
    write_json(path, document)
    print("wrote", path, "and the calibration into the checkpoint")


def together(parts: list[Watchings]) -> Watchings:
    """Episodes of several suites as if they were of one."""
    counts = torch.tensor([0, *(len(part.failed) for part in parts)]).cumsum(dim=0)
    return Watchings(
        torch.cat([part.features for part in parts]),
        torch.cat([part.episode + count for part, count in zip(parts, counts, strict=False)]),
        torch.cat([part.failed for part in parts]),
    )


def show(suite: str, found: dict) -> None:
    """Print how failures on a suite were foreseen at the first decision."""
    ranked = "-" if found["auroc"] is None else f"{found['auroc']:.3f}"
    print(
        f"{suite}: {found['failures']} of {found['episodes']} episodes failed; AUROC {ranked}, "
        f"calibration error {found['calibration_error']:.3f}; without the "
        f"{100 * found['abstain']:.1f} % most doubtful, 99.9 % succeed"
    )
    print("  foreseen  failed  episodes")
    for count, mean, share in found["reliability"]:
        print(f"  {100 * mean:6.1f} %  {100 * share:4.1f} %  {count:8d}")
