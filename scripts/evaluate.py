"""Score an agent beside the oracle, a straight walker and a random policy, on fixed seeds.

python scripts/evaluate.py --checkpoint runs/quick --episodes 300 --out runs/evaluation
python scripts/evaluate.py --suite test-layouts ood --planner mppi
python scripts/evaluate.py --planner mypkg.mymod:MyPlanner --quick
python scripts/evaluate.py --quick --report runs/report     # then open runs/report/index.html
python scripts/evaluate.py --compare a/report.json b/report.json
python scripts/evaluate.py --pool a/report.json b/report.json c/report.json
python scripts/evaluate.py --checkpoint runs/pendulum --success mymod:upright --goal 1 0 0
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import jepa_agent
from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.console import errors_in_one_line
from jepa_agent.envs import (
    CollectConfig,
    OraclePolicy,
    RandomPolicy,
    StraightPolicy,
    collect,
)
from jepa_agent.envs.tasks import novelty
from jepa_agent.evaluation import Report, mcnemar, summarise, table
from jepa_agent.open_loop import OpenLoopStep, open_loop
from jepa_agent.planners import make_planner
from jepa_agent.playing import Episode, measure_latency, play
from jepa_agent.recording import load_object

SUITES = {"fixed": "fixed", "train-layouts": "train", "test-layouts": "test", "ood": "ood"}
"""Layouts by the name of the suite."""


@dataclass(frozen=True)
class Args:
    """What to evaluate."""

    checkpoint: str = "default"
    """A folder that scripts/train.py wrote, or "default"."""
    suite: tuple[str, ...] = ()
    """fixed, train-layouts, test-layouts, ood; by default fixed for an agent of the fixed layout,
    and test-layouts, which it never saw, for any other."""
    planner: str = ""
    """cem, icem, mppi, gradient, cem-gradient, random, or a class of yours as package.module:Name;
    by default the checkpoint's."""
    episodes: int = 1000
    quick: bool = False
    """100 episodes."""
    seed: int = 1_000_000
    """Episode i is played with seed + i."""
    out: Path = Path("runs/evaluation")
    """The folder for report.json and, with the extra `plots`, a heat map of the layouts."""
    parallel: int = 64
    """Environments side by side, planned together; the result does not depend on it."""
    workers: int = 1
    """Processes that share the episodes, each on one thread; nor does it depend on these."""
    success: str = ""
    """In environments other than TwoRooms-v0: a function (observation, info) -> bool that says what
    counts, named package.module:function."""
    goal: tuple[float, ...] = ()
    """There, the observation to reach, where the environment's own has no desired_goal."""
    rival: str = ""
    """There, a policy class to score beside the agent, named package.module:Name."""
    report: Path | None = None
    """A folder for index.html: figures, plots, videos and energy fields in one file."""
    compare: tuple[Path, Path] | None = None
    """Compare the agents of two reports on the same seeds instead, by McNemar's test."""
    pool: tuple[Path, ...] = ()
    """Pool the agents of several reports, such as those of several training seeds, instead."""


def main(args: Args) -> int:
    if args.compare is not None:
        return compare(*args.compare)
    if args.pool:
        return pool(args.pool)
    if min(args.episodes, args.parallel, args.workers) < 1 or args.seed < 0:
        raise ValueError(
            "--episodes, --parallel and --workers must be >= 1 and --seed >= 0, got "
            f"{args.episodes}, {args.parallel}, {args.workers} and {args.seed}; change them"
        )
    agent = JEPAAgent.load(args.checkpoint)
    if args.planner:
        agent.planner = make_planner(args.planner)
    if args.success:
        return other_world(args, agent)
    suites = args.suite or default_suites(agent)
    for suite in suites:
        if suite not in SUITES:
            raise ValueError(f"--suite must be of {sorted(SUITES)}, got {suite!r}; choose of them")
    seeds = range(args.seed, args.seed + (100 if args.quick else args.episodes))
    report = evaluate(agent, suites, seeds, args.parallel, args.checkpoint, args.workers)
    for suite in suites:
        Console().print(table([row for row in report.rows if row.suite == suite]))
        if suite == "test-layouts":
            print_by_novelty(report.episodes[f"agent/{suite}"])
        if suite in report.open_loop:
            Console().print(open_loop_table(suite, report.open_loop[suite]))
        if find_spec("matplotlib") and suite != "fixed":
            from jepa_agent.plots import heat_map

            args.out.mkdir(parents=True, exist_ok=True)
            picture = heat_map(report.episodes[f"agent/{suite}"], suite)
            picture.savefig(args.out / f"{suite}.png", dpi=120)
    print("wrote", report.save(args.out))
    if args.report is not None:
        from report import write_report

        print("wrote", write_report(args.report, agent, report, Path(args.checkpoint)))
    return report_errors(report.episodes)


def default_suites(agent: JEPAAgent) -> tuple[str, ...]:
    """The fixed layout for an agent of it, and layouts that it never saw for any other."""
    layout = agent.env.kwargs.get("layout", "random")
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
        agent: who is evaluated.
        suites: names of `SUITES`.
        seeds: of the episodes.
        parallel: environments side by side.
        checkpoint: where the agent comes from, for the record.
        workers: processes that share the episodes.
    """
    policies = {
        "agent": agent,
        "oracle": OraclePolicy(),
        "straight": StraightPolicy(),
        "random": RandomPolicy(seeds.start),
    }
    rows, results, unrolled = [], {}, {}
    with Progress(transient=True) as progress:
        for suite in suites:
            make_env = partial(agent.env.make, layout=SUITES[suite], terminate_on_success=False)
            for name, policy in policies.items():
                task = progress.add_task(f"{name} on {suite}", total=len(seeds))
                episodes = play(
                    policy,
                    make_env,
                    seeds,
                    parallel,
                    lambda done, task=task: progress.update(task, completed=done),
                    workers=workers if policy is agent else 1,
                )
                latency = measure_latency(policy, agent.env.make)
                rows.append(summarise(name, suite, episodes, latency))
                results[f"{name}/{suite}"] = episodes
            if agent.model.probe is None:
                continue  # what is imagined cannot be compared with the truth
            world = agent.env.make().unwrapped
            data = collect(CollectConfig("mixed", SUITES[suite], 2048, 60, 2, seed=seeds.start))
            unrolled[suite] = open_loop(
                agent.model, world.render_states, Trajectories.from_rollouts(*data),
                is_free=world.is_free,
            )  # fmt: skip
    return Report(rows, measured_with(agent, seeds, parallel, checkpoint), results, unrolled)


def measured_with(agent: JEPAAgent, seeds: range, parallel: int, checkpoint: str) -> dict[str, Any]:
    """What a stranger needs to know of the figures."""
    return {
        "checkpoint": checkpoint,
        "planner": repr(getattr(agent.planner, "config", agent.planner)),
        "seed": seeds.start,
        "parallel": parallel,
        "jepa_agent": jepa_agent.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
    }


class RandomActions:
    """Uniform actions of a Box space, from one generator."""

    def __init__(self, space: gym.spaces.Box, seed: int) -> None:
        self._space, self._rng = space, np.random.default_rng(seed)

    def predict(self, observation: np.ndarray, state: Any = None, **_: Any) -> tuple:
        """Actions for a batch of observations."""
        shape = (len(observation), *self._space.shape)
        return self._rng.uniform(self._space.low, self._space.high, shape).astype(np.float32), state


def other_world(args: Args, agent: JEPAAgent) -> int:
    """Score the agent beside random actions and a rival where success is the caller's."""
    success = load_object(args.success)
    if args.goal:
        agent.set_goal(np.array(args.goal, dtype=np.float32))
    world = agent.env.make()
    policies: dict[str, Any] = {
        "agent": agent,
        "random": RandomActions(world.action_space, args.seed),
    }
    if args.rival:
        policies[args.rival.partition(":")[2]] = load_object(args.rival)()
    seeds = range(args.seed, args.seed + (100 if args.quick else args.episodes))
    results = {
        f"{name}/{agent.env.id}": play(
            policy, agent.env.make, seeds, args.parallel, success=success, workers=args.workers
        )
        for name, policy in policies.items()
    }
    rows = [summarise(name.partition("/")[0], agent.env.id, played)
            for name, played in results.items()]  # fmt: skip
    Console().print(table(rows))
    config = measured_with(agent, seeds, args.parallel, args.checkpoint)
    print("wrote", Report(rows, config, results, {}).save(args.out))
    return report_errors(results)


def print_by_novelty(episodes: list[Episode]) -> None:
    """The agent's success on new walls, new doors and both, apart."""
    for name in ("new wall", "new door", "new wall and door"):
        chosen = [e for e in episodes if e.layout is not None and novelty(e.layout) == name]
        if chosen:
            row = summarise("agent", name, chosen)
            low, high = 100 * row.success_low, 100 * row.success_high
            print(
                f"agent, {name}: {100 * row.success:.1f} ({low:.1f}-{high:.1f}) % of {len(chosen)}"
            )


def open_loop_table(suite: str, steps: list[OpenLoopStep]) -> Table:
    """Errors of imagination for the terminal."""
    printed = Table(title=f"{suite}: open-loop error in pixels", box=box.SIMPLE)
    for heading in ("steps", "imagined", "stand still", "random actions", "in walls"):
        printed.add_column(heading, justify="right")
    for each in steps:
        errors = (each.error, each.stand_still, each.random_actions)
        walls = "-" if each.violations is None else f"{100 * each.violations:.1f} %"
        printed.add_row(str(each.steps), *(f"{value:.2f}" for value in errors), walls)
    return printed


def report_errors(results: dict) -> int:
    """Print every episode that raised; 1 if there is any."""
    errors = [(name, e) for name, episodes in results.items() for e in episodes if e.error]
    for name, episode in errors:
        print(f"error: {name}, seed {episode.seed}: {episode.error}")
    return 1 if errors else 0


def compare(first: Path, second: Path) -> int:
    """Print a paired comparison of the agents in two reports."""
    reports = Report.load(first), Report.load(second)
    for name in sorted(set(reports[0].episodes) & set(reports[1].episodes)):
        if name.startswith("agent/"):
            pair = [report.episodes[name] for report in reports]
            one, two, p = mcnemar(*pair)
            solved = [sum(episode.success for episode in episodes) for episodes in pair]
            print(
                f"{name}: {solved[0]} and {solved[1]} of {len(pair[0])} solved; only {first}: "
                f"{one}, only {second}: {two}, p = {p:.3g}"
            )
    return 0


def pool(paths: Sequence[Path]) -> int:
    """Print the agents of several reports, and all of their episodes together."""
    reports = [Report.load(path) for path in paths]
    for suite in sorted({suite for report in reports for suite in report.suites}):
        parts = {
            str(path.parent): report.episodes[f"agent/{suite}"]
            for path, report in zip(paths, reports, strict=True)
            if suite in report.suites
        }
        together = [episode for episodes in parts.values() for episode in episodes]
        rows = [summarise(name, suite, episodes) for name, episodes in parts.items()]
        Console().print(table([*rows, summarise("pooled", suite, together)]))
        if suite == "test-layouts":
            print_by_novelty(together)
    return 0


if __name__ == "__main__":
    with errors_in_one_line():
        raise SystemExit(main(tyro.cli(Args, description=__doc__)))
