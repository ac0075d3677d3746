"""The field's worlds from data of our own: collect, train, and score on held-out goals, both rules.

python scripts/experiments/scoreboard.py --only push_t --seeds 0 --record
python scripts/experiments/scoreboard.py --preset lewm --seeds 0 --record      # a control

Each world is a script in scoreboard/, run in a folder of its own; a run that was interrupted goes
on where it was, by the same command. With --record, its rows go into
docs/experiments/scoreboard.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from jepa_agent.evaluation.metrics import Report, wilson
from jepa_agent.io.serialisation import write_json

HERE = Path(__file__).parent
FIGURES = HERE.parents[1] / "docs" / "experiments" / "scoreboard.json"
WORLDS = ("two_room_224", "point_maze_u", "point_maze_medium", "reacher_pose", "push_t")
POLICIES = ("agent", "oracle", "random", "stand still")
PUBLISHED = {
    ("two_room_224", 25): "LeWM 87, DINO-WM 100, Dual-WM 100",
    ("two_room_224", 50): "LeWM 62, Dual-WM 99",
    ("two_room_224", 100): "LeWM 27, Dual-WM 93",
    ("reacher_pose", 25): "LeWM 86, DINO-WM 79, Dual-WM 99",
    ("reacher_pose", 50): "LeWM 85, Dual-WM 99",
    ("reacher_pose", 100): "LeWM 76, Dual-WM 93",
    ("push_t", 25): "LeWM 96, DINO-WM 74, Dual-WM 98",
    ("push_t", 50): "LeWM 56, Dual-WM 86",
    ("push_t", 75): "LeWM 46, Dual-WM 62",
    ("push_t", 100): "LeWM 20, Dual-WM 41",
}
"""First hits in % as published, on the publications' own data, goals and images."""
STRICT = {
    ("two_room_224", 25): "LeWM 58",
    ("reacher_pose", 25): "LeWM 43",
    ("push_t", 25): "LeWM 70",
}
"""The audit's strict figures of LeWM's checkpoints."""
FIRST = {"world": "{world}", "steps ahead": "{ahead}"}
LAST = {"oracle": "{oracle}", "random": "{random}", "stand still": "{still}"}
COLUMNS = {
    "first": FIRST
    | {"own data, own goals: % (Wilson)": "{agent}", "by seed": "{seeds}"}
    | LAST
    | {"tasks": "{tasks}", "ms, median / 99 %": "{latency}", "minutes": "{minutes}"}
    | {"published, on other data and goals": "{published}"},
    "strict": FIRST
    | {"own data, own goals: % (Wilson)": "{agent}", "by seed": "{seeds}"}
    | LAST
    | {"tasks": "{tasks}", "published, on other data and goals": "{published}"},
    "controls": {"preset": "{preset}"}
    | FIRST
    | {"first hit: % (Wilson)": "{agent}", "by seed": "{seeds}", "strictly": "{strict}"}
    | {"ms, median / 99 %": "{latency}", "minutes": "{minutes}"},
}
OURS = "proposals"
"""The preset of the tables; others are controls, trained on the same data and scored on the same
tasks."""


@dataclass(frozen=True)
class Args:
    """What to measure."""

    only: tuple[str, ...] = WORLDS
    seeds: tuple[int, ...] = (0, 1, 2)
    preset: str = "proposals"
    """A preset of `jepa-agent train`, perhaps package.module:NAME."""
    train: str | None = None
    """More options of `jepa-agent train`, as one word; by default those of the world's script."""
    episodes: int | None = None
    """Episodes of 100 steps to learn from; by default as many as the world's script says."""
    tasks: int = 200
    """For each number of steps ahead."""
    out: Path = Path("runs/scoreboard")
    record: bool = False
    """Put the rows into docs/experiments/scoreboard.json, in the place of older ones."""


def main(args: Args) -> None:
    if unknown := set(args.only) - set(WORLDS):
        raise SystemExit(f"--only must be among {WORLDS}, got {sorted(unknown)}")
    for name in args.only:
        for seed in args.seeds:
            rows = measure(name, seed, args.out / f"{name}-{seed}", args)
            for row in rows:
                print(row, flush=True)
            if args.record:
                add(rows)


def measure(name: str, seed: int, folder: Path, args: Args) -> list[dict[str, Any]]:
    """Run a world's script in a folder; the rows of its scores.

    Data lie in the folder, what a preset made of them in a folder of its name there."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "SEED": str(seed),
        "PRESET": args.preset,
        "TASKS": str(args.tasks),
        "ORACLE": "" if seed else "--oracle",  # all seeds have the same tasks
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    settings |= {} if args.train is None else {"TRAIN": args.train}
    settings |= {} if args.episodes is None else {"EPISODES": str(args.episodes)}
    script = HERE / "scoreboard" / f"{name}.sh"
    subprocess.run(["bash", "-ex", script], cwd=folder, env=os.environ | settings, check=True)
    return rows_of(name, seed, folder, args.preset)


def rows_of(name: str, seed: int, folder: Path, preset: str) -> list[dict[str, Any]]:
    """The rows of a world that has been scored."""
    collected, made = int((folder / "collected.txt").read_text()), folder / preset
    report = Report.load(made / "score" / "report.json")
    notes = json.loads((made / "run" / "config.json").read_text())["notes"]
    return [
        {
            "world": name,
            "ahead": int(row.suite.removeprefix("offset ")),
            "policy": row.policy,
            "seed": seed,
            "episodes": row.episodes,
            "success": row.success,
            "strict": row.success_strict,
            "strict_episodes": row.strict_episodes,
            "left_out": report.config["goals"][row.suite]["tasks left out, solved at the start"],
            "latency": [row.latency_p50_ms, row.latency_p99_ms],
            "minutes": (collected + notes["seconds"]) / 60,
            "trained": (made / "trained.txt").read_text().strip(),
        }
        for row in report.rows
    ]


def add(rows: list[dict[str, Any]]) -> None:
    """Put rows among the figures, in the place of older ones of the same run."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {"runs": []}
    new = set(map(run_of, rows))
    figures["runs"] = sorted(
        [*(row for row in figures["runs"] if run_of(row) not in new), *rows],
        key=lambda row: (WORLDS.index(row["world"]), row["ahead"], row["policy"], *run_of(row)),
    )
    ours = [run for run in figures["runs"] if run_of(run)[2] == OURS]
    made = {
        "first": by_world(ours, strict=False),
        "strict": by_world(ours, strict=True),
        "controls": controls(figures["runs"]),
    }
    for name, rows in made.items():
        if rows:
            table = figures.setdefault("tables", {}).setdefault(name, {})
            table |= {"columns": COLUMNS[name], "rows": rows}
    write_json(FIGURES, figures)


def run_of(row: dict[str, Any]) -> tuple[str, int, str]:
    """The world, the seed and the preset of a row."""
    return row["world"], row["seed"], row["trained"].partition(" ")[0]


def controls(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row per preset besides ours, world and offset, over the seeds."""
    agents = [run for run in runs if run["policy"] == "agent"]
    rows = []
    for preset in sorted({run_of(run)[2] for run in agents} - {OURS}):
        same = [run for run in agents if run_of(run)[2] == preset]
        for first, strict in zip(by_world(same, False), by_world(same, True), strict=True):
            rows.append(first | {"preset": preset, "strict": strict["agent"]})
    return rows


def by_world(runs: list[dict[str, Any]], strict: bool) -> list[dict[str, Any]]:
    """A row per world and offset, over the seeds, by the first hit or by the stricter rule."""
    rows = []
    for world, ahead in dict.fromkeys((run["world"], run["ahead"]) for run in runs):
        same = [run for run in runs if (run["world"], run["ahead"]) == (world, ahead)]
        count = same[0]["strict_episodes" if strict else "episodes"]
        scores = {
            policy: [100 * run["strict" if strict else "success"] for run in same
                     if run["policy"] == policy]
            for policy in POLICIES
        }  # fmt: skip
        agents = [run for run in same if run["policy"] == "agent"]
        median, slowest = np.median([run["latency"] for run in agents], axis=0)
        minutes = [run["minutes"] for run in agents]
        published = (STRICT if strict else PUBLISHED).get((world, ahead), "")
        rows.append(
            {
                "world": world.replace("_", " "),
                "ahead": ahead,
                "agent": over_tasks(scores["agent"], count),
                "seeds": ", ".join(f"{each:.1f}" for each in scores["agent"]),
                "oracle": mean(scores["oracle"]),
                "random": mean(scores["random"]),
                "still": mean(scores["stand still"]),
                "tasks": count,
                "latency": f"{median:.0f} / {slowest:.0f}",
                "minutes": " to ".join(dict.fromkeys(f"{f(minutes):.0f}" for f in (min, max))),
                "published": published,
            }
        )
    return rows


def over_tasks(scores: list[float], tasks: int) -> str:
    """The mean of seeds in %, with the interval over the tasks, which are the same for all."""
    share = float(np.mean(scores)) / 100
    low, high = wilson(share * tasks, tasks)
    return f"{100 * share:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def mean(scores: list[float]) -> str:
    return f"{np.mean(scores):.1f}" if scores else ""


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
