"""Worlds of other libraries and one of one's own, by commands alone: what do they reach?

python scripts/experiments/worlds.py --only reacher --seeds 0 --out runs/worlds

Each world is a script in worlds/, run in a folder of its own. With --record, its rows go into
docs/experiments/worlds.json as soon as they are there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from jepa_agent.io.serialisation import write_json

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
FIGURES = DOCS / "experiments" / "worlds.json"
WORLDS = (
    "puck",
    "rooms",
    "pendulum",
    "point_maze",
    "reacher",
    "push_t",
    "mini_grid",
    "pendulum_pixels",
)
COLUMNS = {
    "world": "{world}",
    "steps to the goal": "{ahead}",
    "agent, % by seed": "{seeds}",
    "agent, %": "{agent}",
    "random, %": "{random}",
    "stand still, %": "{still}",
    "minutes": "{minutes}",
}


@dataclass(frozen=True)
class Args:
    """What to measure."""

    only: tuple[str, ...] = WORLDS
    seeds: tuple[int, ...] = (0, 1, 2)
    out: Path = Path("runs/worlds")
    record: bool = False
    """Add the rows to docs/experiments/worlds.json."""


def main(args: Args) -> None:
    for name in args.only:
        for seed in args.seeds:
            rows = measure(name, seed, args.out / f"{name}-{seed}")
            for row in rows:
                print(row, flush=True)
            if args.record:
                add(rows)


def measure(name: str, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Run a world's script in a folder; the rows of its scores."""
    folder.mkdir(parents=True, exist_ok=True)
    code = re.search(
        r"```python\n(.*?class Puck.*?)```", (DOCS / "your-world.md").read_text(), re.S
    )
    assert code is not None
    (folder / "puck.py").write_text(code[1])
    paths = {"PATH": Path(sys.executable).parent, "PYTHONPATH": HERE / "worlds"}
    env = os.environ | {"SEED": str(seed)}
    for variable, first in paths.items():
        env[variable] = os.pathsep.join([str(first), *filter(None, [env.get(variable)])])
    env["PYTHONPATH"] = "." + os.pathsep + env["PYTHONPATH"]
    began = time.perf_counter()
    subprocess.run(["bash", "-ex", HERE / "worlds" / f"{name}.sh"], cwd=folder, env=env, check=True)
    minutes = round((time.perf_counter() - began) / 60, 1)
    report = json.loads((folder / "score" / "report.json").read_text())
    return [
        {
            "world": name,
            "suite": row["suite"],
            "policy": row["policy"],
            "seed": seed,
            "episodes": row["episodes"],
            "success": round(100 * row["success"], 1),
            "minutes": minutes,
        }
        for row in report["rows"]
    ]


def add(rows: list[dict[str, Any]]) -> None:
    """Put rows among the figures, in the place of older ones of the same world and seed."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {"runs": []}
    new = {(row["world"], row["seed"]) for row in rows}
    kept = [row for row in figures["runs"] if (row["world"], row["seed"]) not in new]
    figures["runs"] = sorted(
        [*kept, *rows],
        key=lambda row: (WORLDS.index(row["world"]), row["suite"], row["policy"], row["seed"]),
    )
    table = figures.setdefault("tables", {}).setdefault("worlds", {})
    table |= {"columns": COLUMNS, "rows": by_world(figures["runs"])}
    write_json(FIGURES, figures)


def by_world(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per world and suite, over the seeds."""
    suites = dict.fromkeys((run["world"], run["suite"]) for run in runs)
    rows = []
    for world, suite in suites:
        same = [run for run in runs if (run["world"], run["suite"]) == (world, suite)]
        scores = {
            policy: [run["success"] for run in same if run["policy"] == policy]
            for policy in ("agent", "random", "stand still")
        }
        minutes = [run["minutes"] for run in same]
        rows.append(
            {
                "world": world.replace("_", " "),
                "ahead": suite.removeprefix("offset ") if suite.startswith("offset") else "any",
                "seeds": ", ".join(f"{each:g}" for each in scores["agent"]),
                "minutes": " to ".join(dict.fromkeys(f"{f(minutes):.0f}" for f in (min, max))),
            }
            | {
                policy.partition(" ")[2] or policy: f"{sum(all_) / len(all_):.1f}"
                for policy, all_ in scores.items()
                if all_
            }
        )
    return rows


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
