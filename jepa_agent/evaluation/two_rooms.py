"""Evaluation in Two Rooms: suites of layouts, held-out data, rivals that know the layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from rich.progress import Progress, TaskID

from ..agent.agent import JEPAAgent
from ..data.trajectories import Trajectories
from ..envs import CollectConfig, OraclePolicy, RandomPolicy, StraightPolicy, collect
from ..envs.tasks import unseen_factors
from .episodes import Episode, measure_latency, play
from .metrics import Report, measured_with, summarise
from .open_loop import open_loop
from .policies import Policy

SUITES = {
    "fixed": "fixed",
    "train-layouts": "train",
    "test-layouts": "test",
    "ood": "ood",
    "hard": "hard",
    "thick": "thick",
}
"""Layouts by the name of the suite."""
SETTINGS = {
    suite: {"layout": layout, "terminate_on_success": False} for suite, layout in SUITES.items()
}
"""The environment's keyword arguments by the name of the suite."""

HELD_OUT_DATA = {
    "fixed": CollectConfig("mixed", "fixed", episodes=512, steps=60, seed=10_000),
    "train": CollectConfig("mixed", "test", episodes=2048, steps=60, seed=10_000),
}
"""Data for the diagnostics, by the layouts of the training data."""


def default_suites(agent: JEPAAgent) -> tuple[str, ...]:
    """The fixed layout for agents trained on it, unseen layouts for all others."""
    layout = agent.env_ref.kwargs.get("layout", "random")
    return ("fixed",) if layout == "fixed" else ("test-layouts",)


def evaluate(
    agent: JEPAAgent,
    suites: Sequence[str],
    seeds: range,
    parallel: int,
    checkpoint: str,
    workers: int = 1,
) -> Report:
    """Play the agent and its rivals, and measure the agent's imagination.

    Args:
        agent: the agent to evaluate.
        suites: names of `SUITES`.
        seeds: one episode each.
        parallel: environments side by side.
        checkpoint: path of the agent's checkpoint, for the report.
        workers: processes that share the episodes.
    """
    policies: dict[str, Policy] = {
        "agent": agent,
        "oracle": OraclePolicy(),
        "straight": StraightPolicy(),
        "random": RandomPolicy(seeds.start),
    }
    rows, results, unrolled = [], {}, {}
    with Progress(transient=True) as progress:
        for suite in suites:
            make_env = partial(agent.env_ref.make, **SETTINGS[suite])
            for name, policy in policies.items():
                task = progress.add_task(f"{name} on {suite}", total=len(seeds))
                done = partial(_show, progress, task)
                share = workers if policy is agent else 1
                episodes = play(policy, make_env, seeds, parallel, done, workers=share)
                latency = measure_latency(policy, agent.env_ref.make)
                rows.append(summarise(name, suite, episodes, latency))
                results[f"{name}/{suite}"] = episodes
            if agent.model.probe is None:
                continue  # imagined states cannot be compared with true ones
            world: Any = agent.env_ref.make().unwrapped
            data = collect(CollectConfig("mixed", SUITES[suite], 2048, 60, 2, seed=seeds.start))
            unrolled[suite] = open_loop(
                agent.model, world.render_states, Trajectories.from_rollouts(*data),
                is_free=world.is_free,
            )  # fmt: skip
    return Report(rows, measured_with(agent, seeds, parallel, checkpoint), results, unrolled)


def _show(progress: Progress, task: TaskID, done: int) -> None:
    progress.update(task, completed=done)


def remarks(suite: str, episodes: Sequence[Episode]) -> Iterator[str]:
    """On test layouts, the agent's success on new walls, on new doors, and on both new."""
    if suite != "test-layouts":
        return
    for name in ("new wall", "new door", "new wall and door"):
        chosen = [
            e for e in episodes if e.layout is not None and unseen_factors(e.layout[:2]) == name
        ]
        if chosen:
            row = summarise("agent", name, chosen)
            low, high = 100 * row.success_low, 100 * row.success_high
            rate = f"{100 * row.success:.1f} ({low:.1f}-{high:.1f}) %"
            yield f"agent, {name}: {rate} of {len(chosen)}"
