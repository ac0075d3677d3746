"""Planners beside each other: their defaults, less and less search, and pytorch-mppi's MPPI."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
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
"""Sequences and iterations of CEM."""
BOUNDS = ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)
STEP_LENGTH = 2.45
HORIZON, SEQUENCES, ITERATIONS = 6, 64, 8
"""Sequences and iterations in `on_true_physics`."""


@dataclass(frozen=True)
class Setup:
    """The agent and the episodes of a comparison."""

    checkpoint: str = "default"
    """A folder that `jepa-agent train` wrote, or "default"."""
    allow_code: bool = False
    """Import the modules of planners, encoders and the like that the checkpoint names; they run."""
    layout: str = ""
    """random, fixed, train, test or ood; by default the checkpoint's."""
    episodes: int = 300
    """Episodes of each planner."""
    seed: int = 2_000_000
    """Episode i is played with seed + i."""


def score(setup: Setup, planner: Planner, name: str, stops: bool = False) -> Row:
    """A planner's row; with `stops`, episodes end at success."""
    agent = JEPAAgent.load(setup.checkpoint, allow_code=setup.allow_code)
    agent.planner = planner
    layout = setup.layout or agent.env_ref.kwargs["layout"]
    make = partial(agent.env_ref.make, layout=layout, terminate_on_success=stops)
    episodes = play(agent, make, range(setup.seed, setup.seed + setup.episodes))
    return summarise(name, layout, episodes, measure_latency(agent, make, 30))


def sequences(planner: Planner) -> int:
    """Candidate sequences that a planner evaluates per decision."""
    start = torch.zeros(1, planner.horizon, 2)
    plan = planner.plan(lambda c: c.square().sum(dim=(-1, -2)), BOUNDS, Noise([0]), start)
    return sum(costs.shape[1] for costs in plan.trace.costs)


def with_defaults(setup: Setup, names: Sequence[str] = ()) -> Iterator[tuple[int, Row]]:
    """Planners (all by default) with their default settings: sequences per decision, and rows."""
    for name in names or PLANNERS:
        planner = make_planner(name)
        yield sequences(planner), score(setup, planner, name)


def over_budgets(setup: Setup) -> Iterator[tuple[int, Row]]:
    """CEM with more and more search: sequences per decision, and rows."""
    for samples, iterations in BUDGETS:
        elites = max(2, samples // 8)
        planner = CEM(CEMConfig(num_samples=samples, iterations=iterations, num_elites=elites))
        row = score(setup, planner, f"{samples} x {iterations}", stops=True)
        yield samples * iterations, row


def draw(path: Path, rows: Sequence[tuple[int, Row]]) -> None:
    """Success and SPL against the number of sequences per decision (extra `plots`)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    count = [sequences for sequences, _ in rows]
    errors = [
        [row.success - row.success_low for _, row in rows],
        [row.success_high - row.success for _, row in rows],
    ]
    axes.errorbar(count, [row.success for _, row in rows], errors, marker="o", label="success")
    axes.plot(count, [row.spl or 0.0 for _, row in rows], marker="s", label="SPL")
    axes.set(xscale="log", xlabel="sequences per decision", ylim=(0, 1.02))
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def on_true_physics(setup: Setup) -> Iterator[tuple[str, float, float, float]]:
    """One plan from every start on the true physics, ours and pytorch-mppi's.

    pytorch-mppi plans one problem at a time and refines its plan once per call; it is called as
    often as ours iterates, so that all evaluate the same number of sequences.

    Yields:
        The planner's name; the mean path length left after the plan, in pixels; the share of goals
        reached; the median milliseconds per plan.
    """
    uniforms = np.random.default_rng(setup.seed).random((setup.episodes, 6))
    tasks = sample_tasks(uniforms, TwoRoomsConfig().layout_groups())
    layouts, starts, goals = (torch.as_tensor(part) for part in tasks)

    def ours(kind: Callable[..., Any], config: Any, row: int) -> Tensor:
        layout = Layout.from_array(layouts[row, None, None])

        def cost(plans: Tensor) -> Tensor:
            points = starts[row].expand(1, plans.shape[1], 2)
            length = torch.zeros(plans.shape[:2])
            for action in plans.unbind(dim=2):
                points = _move(points, action, layout)
                left = physics.shortest_path(points, goals[row].expand_as(points), layout)
                length = length + left
            return length

        return kind(config).plan(cost, BOUNDS, Noise([row]), torch.zeros(1, HORIZON, 2)).actions[0]

    settings: dict[str, Any] = {
        "horizon": HORIZON, "num_samples": SEQUENCES, "iterations": ITERATIONS,
    }  # fmt: skip
    planners: dict[str, Callable[[int], Tensor]] = {
        "cem": partial(ours, CEM, CEMConfig(**settings)),
        "mppi": partial(ours, MPPI, MPPIConfig(**settings)),
        "pytorch-mppi": lambda row: _pytorch_mppi(layouts[row, None], starts[row], goals[row]),
    }
    for name, plan in planners.items():
        left, seconds = [], []
        torch.manual_seed(setup.seed)
        for row in range(setup.episodes):
            began = time.perf_counter()
            actions = plan(row)
            seconds.append(time.perf_counter() - began)
            layout, point = Layout.from_array(layouts[row, None]), starts[row, None]
            for action in actions:
                point = _move(point, action, layout)
            left.append(physics.shortest_path(point, goals[row, None], layout).item())
        reached = np.mean(np.array(left) <= 4.5)
        yield name, float(np.mean(left)), float(reached), 1000 * float(np.median(seconds))


def _move(points: Tensor, action: Tensor, layout: Layout) -> Tensor:
    """The points after a chunk of five equal steps."""
    for _ in range(5):
        points = physics.step(points, STEP_LENGTH * action, layout, torch.zeros_like(points))
    return points


def _pytorch_mppi(layout_array: Tensor, start: Tensor, goal: Tensor) -> Tensor:
    """The plan of pytorch-mppi from one start."""
    from pytorch_mppi import MPPI as PublicMPPI

    layout = Layout.from_array(layout_array)
    planner = PublicMPPI(
        lambda state, action: _move(state, BOUNDS.project(action), layout),
        lambda state, action: physics.shortest_path(state, goal.expand_as(state), layout),
        2,
        torch.eye(2) * 0.5,
        num_samples=SEQUENCES,
        horizon=HORIZON,
        lambda_=1.0,
        u_min=-torch.ones(2),
        u_max=torch.ones(2),
    )
    for _ in range(ITERATIONS):
        planner.command(start, shift_nominal_trajectory=False)
    return BOUNDS.project(planner.U)
