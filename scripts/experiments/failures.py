"""How failures are foreseen, and by what: the tables of docs/experiments/failures.md.

$ python scripts/experiments/failures.py --checkpoint runs/heads --out runs/failures

Plays what `jepa-agent calibrate` plays, and foresees both halves of the layouts, each by a
calibration that was fitted to the other one. Every 64 episodes are written as they are done, and
not played again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from safetensors.torch import load_file, save_file
from torch import Tensor

from jepa_agent import JEPAAgent
from jepa_agent.agent.calibration import FEATURES
from jepa_agent.cli.calibrate import show, together
from jepa_agent.evaluation.failures import MOMENTS, Watchings, calibrate, forecast, watch
from jepa_agent.evaluation.metrics import wilson
from jepa_agent.evaluation.two_rooms import SETTINGS
from jepa_agent.io.serialisation import write_json

SETS = {
    "all": FEATURES,
    "disagreement alone": ("log disagreement",),
    "arrival alone": ("arrival",),
    "all but disagreement": FEATURES[1:],
}
"""Features that calibrations are fitted to, by what the rows are called."""


@dataclass(frozen=True)
class Args:
    """What to play."""

    checkpoint: str
    """An agent of several heads."""
    out: Path = Path("runs/failures")
    """A folder for what was played, and rows.json."""
    suite: tuple[str, ...] = ("ood", "hard", "thick")
    """Suites of TwoRooms-v0."""
    episodes: tuple[int, ...] = (1000,)
    """For each suite, or one number for all."""
    seed: int = 2_000_000
    """Episode i is played with seed + i."""


def played(args: Args, agent: JEPAAgent, suite: str, episodes: int) -> Watchings:
    """The episodes of a suite, 64 at a time, of which those of an earlier call are read."""
    parts = []
    make_env = partial(agent.env_ref.make, **{**SETTINGS[suite], "terminate_on_success": True})
    for first in range(args.seed, args.seed + episodes, 64):
        seeds = range(first, min(first + 64, args.seed + episodes))
        path = args.out / f"{suite}-{seeds.start}-{seeds.stop}.safetensors"
        if not path.exists():
            found = watch(agent, make_env, seeds)
            save_file({name: part.contiguous() for name, part in found._asdict().items()}, path)
            print(f"{path.name}: {int(found.failed.sum())} failed", flush=True)
        parts.append(Watchings(**load_file(path)))
    return together(parts)


def only(played: Watchings, names: tuple[str, ...]) -> Watchings:
    """The same with all other features 0."""
    chosen = torch.tensor([name in names for name in FEATURES])
    return played._replace(features=played.features * chosen)


def crossed(halves: list[tuple[Watchings, Watchings]], suite: int) -> dict[str, Any]:
    """How failures in either half of a suite were foreseen by the other halves of all suites."""
    told: dict[int, list[tuple[Tensor, Tensor]]] = {decision: [] for decision in MOMENTS}
    for side in (0, 1):
        calibration = calibrate(together([pair[1 - side] for pair in halves]))
        for decision, parts in told.items():
            seen, failed = halves[suite][side].at(decision)
            parts.append((calibration.chance(seen), failed))
    later = {}
    for decision, parts in told.items():
        chances, failed = (torch.cat(each).numpy() for each in zip(*parts, strict=True))
        if len(failed):
            later[str(decision)] = asdict(forecast(chances, failed))
    return {**later.pop("0"), "later": later}


def main(args: Args) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    agent = JEPAAgent.load(args.checkpoint, "cpu")
    counts = args.episodes * len(args.suite) if len(args.episodes) == 1 else args.episodes
    halves = {
        suite: played(args, agent, suite, count).halves()
        for suite, count in zip(args.suite, counts, strict=True)
    }
    rows: dict[str, dict[str, Any]] = {}
    for name, features in SETS.items():
        chosen = [(only(one, features), only(other, features)) for one, other in halves.values()]
        print(f"\n{name}")
        rows[name] = {}
        for number, suite in enumerate(halves):
            found = crossed(chosen, number)
            low, high = wilson(found["failures"], found["episodes"])
            rows[name][suite] = {**found, "low": low, "high": high}
            show(suite, found)
    write_json(args.out / "rows.json", rows)


if __name__ == "__main__":
    main(tyro.cli(Args))
