"""The page of the comparison with Stable-Baselines3: table, explanation, learning curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..agent.agent import JEPAAgent
from ..envs import CollectConfig
from ..envs.behaviour import POLICIES, Walker
from ..evaluation.metrics import wilson
from ..evaluation.two_rooms import SUITES
from .baselines import BASELINES
from .comparison import OFFLINE, ZERO_SHOT, Comparison, Results

RATIOS = ("fixed", "test-layouts")
"""Suites on which paths are compared with the shortest ones."""
KNOW_THE_MAP = (Walker.CROSS, Walker.BUMP, Walker.SEEK)


def format_table(results: Results) -> str:
    """The table in Markdown: means over seeds, success pooled with its Wilson interval."""
    suites = (*SUITES, *ZERO_SHOT)
    headings = ["policy", "seeds", "env steps", "frames seen", "minutes", "parameters", "ms",
                *(f"{suite}, %" for suite in suites),
                *(f"ratio on {suite}" for suite in RATIOS)]  # fmt: skip
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for name, runs in results.items():
        if not runs:
            continue
        finite = [run for run in runs if run["rows"]]
        diverged = [run["spent"]["steps"] for run in runs if not run["rows"]]
        privileged = name in BASELINES and BASELINES[name].reward_type == "dense"
        cells = [f"{name} (privileged)" if privileged else name, str(len(runs))]
        if finite:
            cells += [
                f"{np.mean([run['spent']['steps'] for run in finite]):,.0f}",
                f"{np.mean([run['spent']['frames'] for run in finite]):,.0f}",
                f"{np.mean([run['spent']['seconds'] for run in finite]) / 60:.0f}"
                if finite[0]["spent"]["seconds"]
                else "-",
                f"{finite[0]['parameters']:,}",
                f"{np.mean([run['latency_ms'] for run in finite]):.1f}",
            ]
            for suite in suites:
                rows = [run["rows"][suite] for run in finite]
                played = sum(row["episodes"] for row in rows)
                solved = round(sum(row["success"] * row["episodes"] for row in rows))
                low, high = wilson(solved, played)
                cells.append(f"{100 * solved / played:.1f} ({100 * low:.1f}-{100 * high:.1f})")
            for suite in RATIOS:
                ratios = [run["rows"][suite]["steps_ratio"] for run in finite]
                known = [ratio for ratio in ratios if ratio is not None]
                cells.append(f"{np.mean(known):.2f}" if known else "-")
        if diverged:
            cells.append(f"diverged: {', '.join(f'{steps:,} steps' for steps in diverged)}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_page(setup: Comparison, path: Path, results: Results) -> None:
    """Write a page of the table and its explanation, with the learning curves beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(format_page(setup, path.with_suffix(".png").name, results))
    draw(path.with_suffix(".png"), setup.layout, results)


def format_page(setup: Comparison, picture: str, results: Results) -> str:
    """The table, its explanation, and the learning curves."""
    agent = JEPAAgent.load(setup.checkpoints[0], allow_code=setup.allow_code)
    collected = CollectConfig(**agent.notes["data"]["collect"])
    knowing = sum(POLICIES[collected.policy].shares[walker] for walker in KNOW_THE_MAP)
    return f"""# Beside Stable-Baselines3: baselines trained on `{setup.layout}`

{format_table(results)}

Success is in % of {setup.episodes} episodes per suite and seed, the same for every row, with Wilson
95 % intervals; minutes are of training, with what was trained before for a row; parameters are
without target networks; ms is a decision's median, for one environment. Same room: goals in the
start's own room of the fixed layout; half steps: a step is half as long there. Nothing was
retrained for them. Ratio: steps to the goal over the fewest possible, where it was reached.

- `state` rows are told the wall, the door and both places in pixels; all others see images.
- Rows that say privileged learned from the dense reward, which knows the map.
- `{"`, `".join(OFFLINE)}` learn from pixels and without rewards, from trajectories of the training
  layouts that `{collected.policy}` walkers left; {100 * knowing:.0f} % of these know the map: they
  head for the door, follow shortest paths, or start beside the inner wall.

![Success against environment steps]({picture})

The star and its line: our agent on the same layouts, and how much was recorded for it.
"""


def draw(path: Path, layout: str, results: Results) -> None:
    """Learning curves: success against environment steps, one line per seed (extra `plots`)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for colour, (name, runs) in enumerate(results.items()):
        for index, run in enumerate(runs):
            if run["spent"]["curve"]:
                steps, success = zip(*run["spent"]["curve"], strict=True)
                label = name if index == 0 else None
                axes.plot(steps, success, color=f"C{colour}", label=label, linewidth=1.2)
    for run in results.get("jepa", [])[:1]:
        axes.axvline(run["spent"]["steps"], color="black", linestyle="--", linewidth=1)
        reached = run["rows"]["fixed" if layout == "fixed" else "train-layouts"]["success"]
        axes.plot(run["spent"]["steps"], reached, "k*", markersize=12, label="jepa, offline data")
    axes.set(xscale="log", ylim=(-0.02, 1.02), xlabel="environment steps",
             ylabel=f"success, layout {layout}")  # fmt: skip
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
