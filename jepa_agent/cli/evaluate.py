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

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from ..agent.agent import JEPAAgent
from ..envs.tasks import unseen_factors
from ..evaluation.episodes import Episode, play
from ..evaluation.metrics import Report, mcnemar, summarise, table
from ..evaluation.open_loop import OpenLoopStep
from ..evaluation.two_rooms import SUITES, default_suites, evaluate, measured_with
from ..planners import make_planner
from ..registry import import_object


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
            from ..viz.plots import heat_map

            args.out.mkdir(parents=True, exist_ok=True)
            picture = heat_map(report.episodes[f"agent/{suite}"], suite)
            picture.savefig(args.out / f"{suite}.png", dpi=120)
    print("wrote", report.save(args.out))
    if args.report is not None:
        from ..viz.report import write_report

        print("wrote", write_report(args.report, agent, report, Path(args.checkpoint)))
    return report_errors(report.episodes)


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
    success = import_object(args.success)
    if args.goal:
        agent.set_goal(np.array(args.goal, dtype=np.float32))
    world = agent.env_ref.make()
    policies: dict[str, Any] = {
        "agent": agent,
        "random": RandomActions(world.action_space, args.seed),
    }
    if args.rival:
        policies[args.rival.partition(":")[2]] = import_object(args.rival)()
    seeds = range(args.seed, args.seed + (100 if args.quick else args.episodes))
    results = {
        f"{name}/{agent.env_ref.id}": play(
            policy, agent.env_ref.make, seeds, args.parallel, success=success, workers=args.workers
        )
        for name, policy in policies.items()
    }
    rows = [summarise(name.partition("/")[0], agent.env_ref.id, played)
            for name, played in results.items()]  # fmt: skip
    Console().print(table(rows))
    config = measured_with(agent, seeds, args.parallel, args.checkpoint)
    print("wrote", Report(rows, config, results, {}).save(args.out))
    return report_errors(results)


def print_by_novelty(episodes: list[Episode]) -> None:
    """The agent's success on new walls, new doors and both, apart."""
    for name in ("new wall", "new door", "new wall and door"):
        chosen = [e for e in episodes if e.layout is not None and unseen_factors(e.layout) == name]
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
