"""Find how an agent's plans tell its chance of failure, and keep it in the checkpoint.

$ jepa-agent calibrate --checkpoint runs/risk
$ jepa-agent calibrate --checkpoint runs/risk --suite ood hard --episodes 2000

Half of the layouts are fitted, or of the episodes where there are no layouts, and failures in the
other half are foreseen. The agent's model must have several heads (--model.predictor.heads 5) or
foresee ends.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from ..agent.agent import JEPAAgent
from ..agent.calibration import Calibration
from ..evaluation.failures import MOMENTS, Watchings, calibrate, forecast, watch
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
    """For each suite; about half of them serve the fit."""
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
    settings: dict[str, dict[str, Any]] = {
        suite: {**SETTINGS[suite], "terminate_on_success": True} for suite in args.suite
    }  # plans made at the goal tell nothing of arriving there
    settings = settings or {"its environment": {}}
    seeds = range(args.seed, args.seed + args.episodes)
    fitted, judged = {}, {}
    for suite, kwargs in settings.items():
        played = watch(agent, partial(agent.env_ref.make, **kwargs), seeds, args.parallel)
        fitted[suite], judged[suite] = played.halves()
    agent.calibration = calibrate(together(list(fitted.values())))
    document = {suite: foreseen(agent.calibration, found) for suite, found in judged.items()}
    for suite, found in document.items():
        show(suite, found)
    if own is not None:
        agent.set_environment(own)
    agent.save(args.checkpoint)
    path = Path(args.checkpoint).expanduser() / "failures.json"
    write_json(path, document)
    print("wrote", path, "and the calibration into the checkpoint")


def foreseen(calibration: Calibration, played: Watchings) -> dict[str, Any]:
    """How failures were foreseen at the first decision, and at later ones by their numbers."""
    later = {}
    for decision in MOMENTS:
        seen, failed = played.at(decision)
        if len(failed):
            later[decision] = asdict(forecast(calibration.chance(seen).numpy(), failed.numpy()))
    return {**later[0], "later": {str(number): found for number, found in later.items() if number}}


def together(parts: list[Watchings]) -> Watchings:
    """Episodes of several suites as if they were of one."""
    counts = torch.tensor([0, *(len(part.failed) for part in parts)]).cumsum(dim=0)
    numbered = list(zip(parts, counts, strict=False))
    return Watchings(
        torch.cat([part.features for part in parts]),
        torch.cat([part.episode + count for part, count in numbered]),
        torch.cat([part.failed for part in parts]),
        torch.cat([part.layout for part in parts]),
    )


def show(suite: str, found: dict) -> None:
    """Print how failures on a suite were foreseen."""
    print(
        f"{suite}: {found['failures']} of {found['episodes']} episodes failed; AUROC "
        f"{ranked(found)}, calibration error {found['calibration_error']:.3f}; without the "
        f"{100 * found['abstain']:.1f} % most doubtful, 99.9 % succeed"
    )
    print("  foreseen  failed  episodes")
    for count, mean, share in found["reliability"]:
        print(f"  {100 * mean:6.1f} %  {100 * share:4.1f} %  {count:8d}")
    for number, each in found["later"].items():
        print(
            f"  after {number} decisions: {each['failures']} of {each['episodes']} under way "
            f"failed; AUROC {ranked(each)}, calibration error {each['calibration_error']:.3f}"
        )


def ranked(found: dict) -> str:
    """The area under the ROC curve with its interval."""
    if found["auroc"] is None:
        return "-"
    return f"{found['auroc']:.3f} ({found['auroc_low']:.3f}-{found['auroc_high']:.3f})"
