"""Which label-free measure ranks trained models by planning?

python scripts/experiments/what_predicts.py --runs runs/ablation/world --data held-out.h5 \\
    --play train-layouts test-layouts ood --episodes 100

Every checkpoint below --runs is measured on --data. Its planning scores are those of a report.json
(`jepa-agent evaluate --out`) and a scores.json ({"environment": success}) in its folder; --play
adds suites of Two Rooms. Each row is written when it is known, and nothing twice: the same command
goes on, and one with the runs of another world (--world) adds them. The table is that of --out.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import tyro

from jepa_agent import JEPAAgent
from jepa_agent.cli.errors import errors_in_one_line
from jepa_agent.data.formats import read
from jepa_agent.evaluation.episodes import play
from jepa_agent.evaluation.metrics import Report, summarise
from jepa_agent.evaluation.two_rooms import SETTINGS
from jepa_agent.experiments.ranking import HeldOut, checkpoints, weights_of
from jepa_agent.experiments.what_predicts import Planned, columns, taus
from jepa_agent.io.serialisation import from_dict, write_json

SEED = 4_000_000
"""The seed of the first episode that is played."""


@dataclass(frozen=True)
class Args:
    """Models, and where their rows go."""

    runs: Path
    """A folder of runs."""
    data: tuple[Path, ...]
    """Trajectory files that no model was trained on."""
    world: str = "two rooms"
    """Name of the models' world."""
    play: tuple[str, ...] = ()
    """Suites that models without their score play: train-layouts, test-layouts, ood."""
    episodes: int = 100
    windows: int = 512
    """Windows of the data that are measured."""
    draws: int = 1000
    """Draws of the bootstrap."""
    out: Path = Path("docs/experiments/what-predicts.json")


def main(args: Args) -> None:
    document: dict[str, Any] = {"tables": {}, "models": []}
    if args.out.exists():
        document = json.loads(args.out.read_text())
    known = {row["model"]: from_dict(Planned, row) for row in document["models"]}
    held_out = HeldOut(read(args.data), windows=args.windows)

    def keep(model: Planned) -> None:
        known[model.model] = model
        document["models"] = [asdict(each) for each in known.values()]
        write_json(args.out, document)

    for path in checkpoints(args.runs):
        name = f"{args.world}: {path.relative_to(args.runs)}"
        model = known.get(name)
        if model is None or model.weights != weights_of(path):
            print(f"measuring {name}", flush=True)
            run = name.partition("/step-")[0]
            model = Planned(name, run, weights_of(path), held_out.measure(path), {})
        keep(with_scores(model, args.world, scores_of(path)))
        for suite in args.play:
            if f"{args.world}, {suite}" not in known[name].scores:
                print(f"playing {name} on {suite}", flush=True)
                score = {suite: played(path, suite, args.episodes)}
                keep(with_scores(known[name], args.world, score))
    models = [*known.values()]
    rows = taus(models, args.draws)
    document["tables"]["taus"] = {
        "conditions": f"{len(models)} models of {len({each.run for each in models})} trainings",
        "columns": columns(models), "rows": rows,
    }  # fmt: skip
    write_json(args.out, document)
    for row in rows:
        print("  ".join(f"{name} {_shown(value)}" for name, value in row.items()))
    print("wrote", args.out)


def with_scores(model: Planned, world: str, scores: dict[str, float]) -> Planned:
    """A model with more scores."""
    named = {f"{world}, {where}": score for where, score in scores.items()}
    return replace(model, scores=model.scores | named)


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}"


def scores_of(folder: Path) -> dict[str, float]:
    """Planning scores that lie beside a checkpoint."""
    scores = {}
    if (folder / "report.json").exists():
        rows = Report.load(folder / "report.json").rows
        scores = {row.suite: row.success for row in rows if row.policy == "agent"}
    if (folder / "scores.json").exists():
        scores |= json.loads((folder / "scores.json").read_text())
    return scores


def played(folder: Path, suite: str, episodes: int) -> float:
    """Success in a suite of Two Rooms."""
    agent = JEPAAgent.load(folder)
    make = partial(agent.env_ref.make, **SETTINGS[suite])
    outcome = play(agent, make, range(SEED, SEED + episodes))
    return summarise("agent", suite, outcome).success


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.cli(Args, description=__doc__))
