"""Score an agent beside the oracle, a straight walker and a random policy, on fixed seeds.

$ jepa-agent evaluate --checkpoint runs/quick --episodes 300
$ jepa-agent evaluate --suite test-layouts ood --planner mppi
$ jepa-agent evaluate --planner mypkg.mymod:MyPlanner --quick
$ jepa-agent evaluate --quick --report runs/report    # a page, index.html
$ jepa-agent evaluate --compare a/report.json b/report.json
$ jepa-agent evaluate --pool a/report.json b/report.json c/report.json
$ jepa-agent evaluate --checkpoint runs/pendulum --success my.module:upright \\
    --goal 1 0 0
$ jepa-agent evaluate --checkpoint runs/pendulum --success my.module:upright \\
    --goal-state nan nan nan inf          # seek the reward, recorded as a state
$ jepa-agent evaluate --goals data --data data/held-out.h5 \\
    --offset 25 50 --budget 75 --oracle
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from ..agent.agent import JEPAAgent
from ..data.formats import read as read_data
from ..envs import TwoRoomsEnv
from ..evaluation.anywhere import evaluate_anywhere
from ..evaluation.data_goals import evaluate_on_data, task_env
from ..evaluation.data_tasks import DataGoals
from ..evaluation.metrics import Report
from ..evaluation.oracles import oracle_of
from ..evaluation.tables import compared, pooled, report_tables
from ..evaluation.two_rooms import SETTINGS, SUITES, default_suites, evaluate, remarks
from ..planners import make_planner
from ..registry import import_object
from ..viz.films import film, filmed
from .environments import WorldArgs, give_goal, play_in

FILMED = 5
"""Episodes of a video."""


@dataclass(frozen=True)
class Args:
    """What to evaluate."""

    checkpoint: str = "default"
    """A folder that `jepa-agent train` wrote, or "default"."""
    allow_code: bool = False
    """Import the modules of planners, encoders and the like that the checkpoint names; they run."""
    world: Annotated[WorldArgs, tyro.conf.OmitArgPrefixes] = field(default_factory=WorldArgs)
    suite: tuple[str, ...] = ()
    """fixed, train-layouts, test-layouts, ood, hard; by default fixed for an agent of the fixed
    layout, and test-layouts, which it never saw, for any other."""
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
    """Processes that share the episodes, each on one thread; the result does not depend on it."""
    success: str = ""
    """In environments other than TwoRooms-v0: a function (observation, info) -> bool that defines
    success, named package.module:function; by default the info's is_success."""
    goal: tuple[float, ...] = ()
    """In such environments, the observation to reach if there is no desired_goal."""
    goal_state: tuple[float, ...] = ()
    """In such environments, the numbers of the state to reach, as the model's probe reads them: nan
    for those that do not matter, inf or -inf for those to raise or lower, such as a reward."""
    rival: str = ""
    """In such environments, a policy class to score too, named package.module:Name."""
    oracle: bool = False
    """In such environments, score the world's own oracle too, which knows the simulator."""
    goals: Literal["environment", "data"] = "environment"
    """Where goals come from: from the environment (or --goal), or from --data, where an episode
    begins at a recorded state and its goal is what was observed --offset steps later."""
    data: tuple[Path, ...] = ()
    """Trajectory files for --goals data."""
    offset: tuple[int, ...] = (25, 50)
    """Steps between start and goal, a table each."""
    budget: str = "offset+25"
    """Steps of an episode with a goal from data: a number, or "offset+25"."""
    success_within: tuple[float, ...] = ()
    """With goals from data, success is a state this near to the goal's in every component (in the
    states' units; one number, or one per component, nan for those that do not matter)."""
    start_option: str = ""
    """With goals from data, the option of the environment's reset that takes a state, unless it
    has `reset_options(state, goal, layout)`, or repeats a recorded episode exactly."""
    goal_moving: bool = False
    """Goals from data of several frames show how they moved; else their last frame, repeated."""
    video: Path | None = None
    """A .gif or .mp4 file of the agent's first 5 episodes outside of the suites; with goals from
    data, beside their goals."""
    report: Path | None = None
    """A folder for index.html: figures, plots, videos and distance maps in one file."""
    compare: tuple[Path, Path] | None = None
    """Compare the agents of two reports on the same seeds instead, by McNemar's test."""
    pool: tuple[Path, ...] = ()
    """Pool the agents of several reports, such as those of several training seeds, instead."""


def main(args: Args) -> int:
    if args.compare is not None or args.pool:
        for each in compared(*args.compare) if args.compare else pooled(args.pool, remarks):
            Console().print(each, highlight=False, soft_wrap=isinstance(each, str))
        return 0
    if min(args.episodes, args.parallel, args.workers) < 1 or args.seed < 0:
        raise ValueError(
            "--episodes, --parallel and --workers must be >= 1 and --seed >= 0, got "
            f"{args.episodes}, {args.parallel}, {args.workers} and {args.seed}"
        )
    agent = JEPAAgent.load(args.checkpoint, allow_code=args.allow_code)
    play_in(agent, args.world)
    if args.planner:
        agent.planner = make_planner(args.planner)
    report = measure(args, agent)
    for each in report_tables(report, remarks):
        Console().print(each, highlight=False, soft_wrap=isinstance(each, str))
    print("wrote", report.save(args.out))
    for suite in set(report.suites) & (SUITES.keys() - {"fixed"}):
        if find_spec("matplotlib"):
            from ..viz.plots import heat_map

            picture = heat_map(report.episodes[f"agent/{suite}"], suite, TwoRoomsEnv.layout_names)
            picture.savefig(args.out / f"{suite}.png", dpi=120)
    if args.report is not None:
        from ..viz.report import write_report

        page = write_report(args.report, agent, report, Path(args.checkpoint), SETTINGS)
        print("wrote", page)
    raised = any(episode.error for played in report.episodes.values() for episode in played)
    return 1 if raised else 0


def measure(args: Args, agent: JEPAAgent) -> Report:
    """The report of the suites, of goals from data, or of the agent's own environment."""
    seeds = range(args.seed, args.seed + (100 if args.quick else args.episodes))
    from_data = args.goals == "data"
    anywhere = args.success or not isinstance(agent.env_ref.make().unwrapped, TwoRoomsEnv)
    check_options(args, from_data, bool(anywhere))
    rivals = {args.rival.partition(":")[2]: import_object(args.rival)()} if args.rival else {}
    success = import_object(args.success) if args.success else None
    oracle = oracle_of(agent.env_ref) if args.oracle else None
    how = (success, rivals, seeds, args.parallel, args.checkpoint, args.workers, oracle)
    if from_data:
        within = args.success_within or None
        goals = DataGoals(args.offset, args.budget, within, args.start_option, args.goal_moving)
        data = read_data(args.data)
        report = evaluate_on_data(agent, data, goals, *how)
        if args.video:
            task = agent.env_ref, data, goals, args.offset[0], seeds[:FILMED], success
            env, chosen = task_env(*task, render_mode="rgb_array")
            film(agent, env, [*chosen.tasks], args.video, success)
        return report
    if anywhere:
        give_goal(agent, args.goal, args.goal_state)
        report = evaluate_anywhere(agent, *how)
        if args.video:
            film(agent, filmed(agent.env_ref), seeds[:FILMED], args.video, success)
        return report
    suites = args.suite or default_suites(agent)
    for suite in suites:
        if suite not in SUITES:
            raise ValueError(f"--suite must be among {sorted(SUITES)}, got {suite!r}")
    return evaluate(agent, suites, seeds, args.parallel, args.checkpoint, args.workers)


def check_options(args: Args, from_data: bool, anywhere: bool) -> None:
    """Raise ValueError if an option would be ignored, or --goals data lacks its files."""
    if from_data and not args.data:
        raise ValueError("--goals data needs trajectory files, got none; name them with --data")
    fresh = Args()
    suites = "with --success, --goals data, and outside of TwoRooms-v0"
    unused = {
        suites: ("suite", "report") if from_data or anywhere else (),
        "with goals from data": ("goal", "goal_state") if from_data else (),
        "in TwoRooms-v0's suites, which `jepa-agent plan` shows": ()
        if from_data or anywhere
        else ("goal", "goal_state", "rival", "oracle", "video"),
        "without --goals data": ()
        if from_data
        else ("data", "offset", "budget", "success_within", "start_option", "goal_moving"),
    }
    for where, names in unused.items():
        for name in names:
            value = getattr(args, name)
            if value != getattr(fresh, name):
                option = "--" + name.replace("_", "-")
                raise ValueError(f"{option} has no use {where}, got {value!r}; leave it out")
