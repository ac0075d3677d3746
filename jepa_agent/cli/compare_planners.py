"""Compare planners on one checkpoint, over budgets, and against pytorch-mppi.

python scripts/compare_planners.py table --episodes 300
python scripts/compare_planners.py budget --episodes 64 --plot docs/media/budget.png
python scripts/compare_planners.py public --episodes 30      # needs `pip install pytorch-mppi`
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from torch import Tensor

from ..agent.agent import JEPAAgent
from ..envs import physics
from ..envs.physics import Layout
from ..envs.tasks import TwoRoomsConfig, sample_tasks
from ..evaluation.episodes import measure_latency, play
from ..evaluation.metrics import Row, summarise
from ..planners import (
    CEM,
    MPPI,
    PLANNERS,
    ActionBounds,
    CEMConfig,
    MPPIConfig,
    Noise,
    Planner,
    make_planner,
)

BUDGETS = ((16, 2), (32, 2), (32, 4), (64, 4), (128, 6), (256, 10), (512, 20), (2048, 20))
STEP_LENGTH = 2.45


@dataclass(frozen=True)
class Args:
    """What to compare."""

    what: tyro.conf.Positional[Literal["table", "budget", "public"]]
    checkpoint: str = "default"
    layout: str = ""
    """random, fixed, train, test or ood; by default the checkpoint's."""
    episodes: int = 300
    seed: int = 2_000_000
    only: tuple[str, ...] = ()
    """Planners of the `table`, by default all."""
    plot: Path | None = None
    """Where `budget` draws its figure (extra `plots`)."""


def main(args: Args) -> None:
    {"table": table, "budget": budget, "public": public}[args.what](args)


def score(args: Args, planner: Planner, name: str, stops: bool = False) -> Row:
    """A planner's row; with `stops`, episodes end at success."""
    agent = JEPAAgent.load(args.checkpoint)
    agent.planner = planner
    layout = args.layout or agent.env_ref.kwargs["layout"]
    make = partial(agent.env_ref.make, layout=layout, terminate_on_success=stops)
    episodes = play(agent, make, range(args.seed, args.seed + args.episodes))
    return summarise(name, layout, episodes, measure_latency(agent, make, 30))


def sequences(planner: Planner) -> int:
    """Candidate sequences that a planner evaluates per decision."""
    bounds = ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)
    start = torch.zeros(1, planner.horizon, 2)
    plan = planner.plan(lambda c: c.square().sum(dim=(-1, -2)), bounds, Noise([0]), start)
    return sum(costs.shape[1] for costs in plan.trace.costs)


def table(args: Args) -> None:
    """Every planner with its default settings, all 200 steps played."""
    print("| planner | sequences | success | end | strict | steps ratio | SPL | ms p50 / p95 |")
    print("|---|---|---|---|---|---|---|---|")
    for name in args.only or PLANNERS:
        planner = make_planner(name)
        row = score(args, planner, name)
        print(
            f"| {name} | {sequences(planner)} | {100 * row.success:.1f} "
            f"({100 * row.success_low:.1f}-{100 * row.success_high:.1f}) | "
            f"{100 * row.success_end:.1f} | {100 * row.success_strict:.1f} | "
            f"{row.steps_ratio or float('nan'):.2f} | {row.spl:.2f} | "
            f"{row.latency_p50_ms:.1f} / {row.latency_p95_ms:.1f} |",
            flush=True,
        )


def budget(args: Args) -> None:
    """CEM with less and less search."""
    print("| candidates x iterations | success | SPL | ms per decision |\n|---|---|---|---|")
    rows = []
    for candidates, iterations in BUDGETS:
        elites = max(2, candidates // 8)
        planner = CEM(CEMConfig(num_samples=candidates, iterations=iterations, num_elites=elites))
        row = score(args, planner, f"{candidates}x{iterations}", stops=True)
        rows.append((candidates * iterations, row))
        print(
            f"| {candidates} x {iterations} | {100 * row.success:.1f} "
            f"({100 * row.success_low:.1f}-{100 * row.success_high:.1f}) | {row.spl:.3f} | "
            f"{row.latency_p50_ms:.1f} |",
            flush=True,
        )
    if args.plot is not None:
        draw(args.plot, rows)


def draw(path: Path, rows: list[tuple[int, Row]]) -> None:
    """Success and SPL against the number of sequences per decision."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    count = [sequences for sequences, _ in rows]
    errors = [
        [row.success - row.success_low for _, row in rows],
        [row.success_high - row.success for _, row in rows],
    ]
    axes.errorbar(count, [row.success for _, row in rows], errors, marker="o", label="success")
    axes.plot(count, [row.spl for _, row in rows], marker="s", label="SPL")
    axes.set(xscale="log", xlabel="sequences per decision", ylim=(0, 1.02))
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def public(args: Args) -> None:
    """One decision from every start on the true physics: the way left after the plan, in pixels.

    pytorch-mppi plans one problem at a time and refines its plan once per call; it is called as
    often as ours iterates, so that all evaluate the same number of sequences.
    """
    from pytorch_mppi import MPPI as PublicMPPI

    horizon, candidates, iterations = 6, 64, 8
    uniforms = np.random.default_rng(args.seed).random((args.episodes, 6))
    layout, start, goal = sample_tasks(uniforms, TwoRoomsConfig().layout_groups())
    layouts, starts, goals = (torch.as_tensor(part) for part in (layout, start, goal))
    bounds = ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)

    def move(points: Tensor, action: Tensor, layout: Layout) -> Tensor:
        for _ in range(5):
            points = physics.step(points, STEP_LENGTH * action, layout, torch.zeros_like(points))
        return points

    def ours(kind: Callable[..., Any], config: Any, row: int) -> Tensor:
        layout = Layout.from_array(layouts[row, None, None])

        def cost(plans: Tensor) -> Tensor:
            points = starts[row].expand(1, plans.shape[1], 2)
            way = torch.zeros(plans.shape[:2])
            for action in plans.unbind(dim=2):
                points = move(points, action, layout)
                way = way + physics.shortest_path(points, goals[row].expand_as(points), layout)
            return way

        return kind(config).plan(cost, bounds, Noise([row]), torch.zeros(1, horizon, 2)).actions[0]

    def theirs(row: int) -> Tensor:
        layout = Layout.from_array(layouts[row, None])
        planner = PublicMPPI(
            lambda state, action: move(state, bounds.project(action), layout),
            lambda state, action: physics.shortest_path(
                state, goals[row].expand_as(state), layout
            ),
            2,
            torch.eye(2) * 0.5,
            num_samples=candidates,
            horizon=horizon,
            lambda_=1.0,
            u_min=-torch.ones(2),
            u_max=torch.ones(2),
        )  # fmt: skip
        for _ in range(iterations):
            planner.command(starts[row], shift_nominal_trajectory=False)
        return bounds.project(planner.U)

    settings = {"horizon": horizon, "candidates": candidates, "iterations": iterations}
    planners: dict[str, Callable[[int], Tensor]] = {
        "cem": partial(ours, CEM, CEMConfig(**settings)),
        "mppi": partial(ours, MPPI, MPPIConfig(**settings)),
        "pytorch-mppi": theirs,
    }
    print("| planner | way left, mean px | goal reached in the plan | ms per plan |")
    print("|---|---|---|---|")
    for name, plan in planners.items():
        left, seconds = [], []
        torch.manual_seed(args.seed)
        for row in range(args.episodes):
            began = time.perf_counter()
            actions = plan(row)
            seconds.append(time.perf_counter() - began)
            layout, point = Layout.from_array(layouts[row, None]), starts[row, None]
            for action in actions:
                point = move(point, action, layout)
            left.append(physics.shortest_path(point, goals[row, None], layout).item())
        reached = np.mean(np.array(left) <= 4.5)
        print(f"| {name} | {np.mean(left):.2f} | {100 * reached:.0f} % | "
              f"{1000 * np.median(seconds):.0f} |", flush=True)  # fmt: skip
