"""Our agent beside Stable-Baselines3's, and beside cheap imitators of the same offline data.

python scripts/compare_sb3.py                                      # fixed layout, every row
python scripts/compare_sb3.py --only jepa ppo-state sac-her-state --seeds 0
python scripts/compare_sb3.py --layout train --table docs/sb3-train.md
python scripts/compare_sb3.py --only sac-her-pixels --budget 50000
python scripts/compare_sb3.py --recorded --table docs/sb3-fixed.md  # trains nothing

Resumable: what has finished is not trained or played again, what was interrupted goes on from its
last checkpoint and, on the CPU, ends with the same bits as if it had not been. Needs the extra
`sb3`; the plot needs `plots`, TensorBoard logs `tensorboard`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from rich.progress import Progress
from torch import nn

from ..agent.agent import JEPAAgent
from ..data.trajectories import Trajectories
from ..envs import CollectConfig, TwoRoomsEnv, collect
from ..envs.behaviour import POLICIES, Walker
from ..envs.physics import HIGH, LOW
from ..envs.tasks import TASK_MARGIN
from ..evaluation.episodes import Policy, measure_latency, play
from ..evaluation.metrics import Row, summarise, wilson
from ..evaluation.two_rooms import SUITES
from ..experiments.baselines import BASELINES, Baseline, Spent, train
from ..experiments.imitators import PAIRS, imitate
from ..io import checkpoint
from ..io.serialisation import write_json
from ..training.run_folder import hold

ZERO_SHOT = ("same room", "half steps")
"""What no row was trained for: goals in the start's own room, and steps of half the length."""
RATIOS = ("fixed", "test-layouts")
"""Suites on which ways are compared with the shortest ones."""
CURVE_EPISODES = 50
"""Per point of a learning curve."""
KNOW_THE_MAP = (Walker.CROSS, Walker.BUMP, Walker.SEEK)
OFFLINE = ("jepa", "cloning", "inverse-dynamics")
IMITATION_STEPS = 4_000
REACH = {"cloning": 60, "inverse-dynamics": 20}
"""Steps between frame and goal, at most."""


@dataclass(frozen=True)
class Args:
    """What to compare."""

    only: tuple[str, ...] = ()
    """Rows by name; by default all."""
    layout: Literal["fixed", "train"] = "fixed"
    """Where the baselines learn; `jepa` and its data are of `train` always."""
    budget: int | None = None
    """Environment steps per baseline; by default what each row names."""
    seeds: tuple[int, ...] = (0, 1, 2)
    checkpoints: tuple[str, ...] = ("default",)
    """Of `jepa`, one per seed, as scripts/train.py wrote them, or the one in the package; it has as
    many rows pooled as there are checkpoints, and the imitators take the first one's data."""
    episodes: int = 300
    """Per suite."""
    seed: int = 1_000_000
    """Episode i is played with seed + i."""
    out: Path = Path("runs/sb3")
    recorded: bool = False
    """Train and play nothing: show what has finished."""
    table: Path | None = None
    """Where to write the table and what it means (Markdown); the learning curves go beside it."""
    device: str = "auto"


@dataclass(frozen=True)
class Result:
    """A trained row: what it cost, and how it did on each suite."""

    spent: Spent
    parameters: int
    latency_ms: float | None
    rows: dict[str, Row]


class SameRoom(gym.Wrapper):
    """Goals in the start's own room, uniform as starts are."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        _, info = self.env.reset(seed=seed)
        left, wall = info["position"][0] < info["wall_x"], float(info["wall_x"])
        rng = np.random.default_rng(seed)
        near, far = LOW + TASK_MARGIN, HIGH - TASK_MARGIN
        side = (near, wall - 1 - TASK_MARGIN) if left else (wall + 1 + TASK_MARGIN, far)
        goal = (rng.uniform(*side), rng.uniform(near, far))
        names = ("wall_x", "door_y", "position")
        return self.env.reset(seed=seed, options={**{n: info[n] for n in names}, "goal": goal})


def make_task(suite: str, obs_type: str) -> gym.Env:
    """The environment of a suite; the zero-shot ones keep the fixed layout."""
    settings: dict[str, Any] = {"obs_type": obs_type, "terminate_on_success": False}
    if suite == "half steps":
        settings["step_length"] = 0.5 * 2.45
    env = gym.make("TwoRooms-v0", layout=SUITES.get(suite, "fixed"), **settings)
    return SameRoom(env) if suite == "same room" else env


def score(args: Args, policy: Policy, obs_type: str) -> tuple[float, dict[str, Row]]:
    """The median latency of a decision, and a row of every suite."""
    seeds = range(args.seed, args.seed + args.episodes)
    rows = {
        suite: row_of(suite, policy, partial(make_task, suite, obs_type), seeds)
        for suite in (*SUITES, *ZERO_SHOT)
    }
    return measure_latency(policy, partial(make_task, "fixed", obs_type))[0], rows


def row_of(suite: str, policy: Policy, make: Callable[[], gym.Env], seeds: Sequence[int]) -> Row:
    """A policy's row on one suite; an episode that raised is no failure of its policy."""
    episodes = play(policy, make, seeds)
    for episode in episodes:
        if episode.error is not None:
            raise RuntimeError(f"seed {episode.seed} of {suite} raised {episode.error}")
    return summarise("", suite, episodes)


def curve_point(args: Args, baseline: Baseline, model: Policy) -> float:
    """Success on unseen seeds of the layouts that a baseline learns in."""
    make = partial(
        gym.make, "TwoRooms-v0", layout=args.layout, obs_type=baseline.obs_type,
        terminate_on_success=False,
    )  # fmt: skip
    seeds = range(args.seed - CURVE_EPISODES, args.seed)
    return row_of(args.layout, model, make, seeds).success


def run_baseline(args: Args, name: str, seed: int, folder: Path) -> Result:
    """Train (or go on with) one of Stable-Baselines3's algorithms, and score it."""
    baseline = BASELINES[name]
    steps = args.budget or baseline.steps
    at = partial(curve_point, args, baseline)
    model, spent = train(baseline, args.layout, steps, seed, folder, at, args.device)
    if model is None:
        return Result(spent, 0, None, {})
    latency, rows = score(args, model, baseline.obs_type)
    return Result(spent, size(model.policy), latency, rows)


def size(policy: nn.Module) -> int:
    """Parameters, target networks left out."""
    return sum(p.numel() for name, p in policy.named_parameters() if "target" not in name)


def run_offline(args: Args, name: str, seed: int, folder: Path) -> Result:
    """Our agent, or an imitator trained on the data that it was trained on."""
    agent = JEPAAgent.load(checkpoint_of(args, name, seed), args.device)
    settings = CollectConfig(**agent.notes["data"]["collect"])
    spent = Spent(steps=settings.episodes * settings.steps, seconds=agent.notes.get("seconds", 0.0))
    training = agent.notes["training"]
    joint = training["steps"] * training["groups"] * training["windows"]
    spent.frames = joint * (training["horizon"] + 1)
    if name == "jepa":
        latency, rows = score(args, agent, "pixels")
        return Result(spent, size(agent.model), latency, rows)
    data = Trajectories.from_rollouts(*collect(settings))
    if name == "cloning":
        spent.seconds = spent.frames = 0  # it needs no world model
    with Progress(transient=True) as progress:
        task = progress.add_task(name, total=IMITATION_STEPS)
        policy, seconds = imitate(
            data, TwoRoomsEnv.render_states, IMITATION_STEPS, REACH[name],
            agent.model if name == "inverse-dynamics" else None, seed,
            lambda done: progress.update(task, completed=done), agent.device,
        )  # fmt: skip
    spent.seconds += seconds
    spent.frames += PAIRS * IMITATION_STEPS
    latency, rows = score(args, policy, "pixels")
    return Result(spent, policy.size(), latency, rows)


def checkpoint_of(args: Args, name: str, seed: int) -> str:
    """Of our agent's seed; the imitators take the first one's data and encoder."""
    return args.checkpoints[args.seeds.index(seed) if name == "jepa" else 0]


def result(args: Args, name: str, seed: int) -> dict[str, Any] | None:
    """The figures of one run, from its `result.json` where that has them."""
    folder = args.out / ("offline" if name in OFFLINE else args.layout) / f"{name}-{seed}"
    wanted: dict[str, Any] = {"episodes": args.episodes, "seed": args.seed}
    if name in OFFLINE:
        agent = JEPAAgent.load(checkpoint_of(args, name, seed))
        wanted["checkpoint"] = checkpoint.digest(agent.model.state_dict())
    else:
        wanted["baseline"] = repr(BASELINES[name])
        if args.budget or not args.recorded:  # what is recorded says its own steps
            wanted["budget"] = args.budget or BASELINES[name].steps
    path = folder / "result.json"
    if path.exists():
        found = json.loads(path.read_text())
        if {key: found.get(key) for key in wanted} == wanted:
            return found
    if args.recorded:
        return None
    run: Callable[[Args, str, int, Path], Result] = run_offline if name in OFFLINE else run_baseline
    with hold(folder):
        figures = {**asdict(run(args, name, seed, folder)), **wanted}
        write_json(path, figures)
    return figures


def format_table(results: dict[str, list[dict[str, Any]]]) -> str:
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


def format_page(args: Args, picture: str, results: dict[str, list[dict[str, Any]]]) -> str:
    """The table, what is in it, and the learning curves."""
    collected = CollectConfig(**JEPAAgent.load(args.checkpoints[0]).notes["data"]["collect"])
    knowing = sum(POLICIES[collected.policy].shares[walker] for walker in KNOW_THE_MAP)
    return f"""# Beside Stable-Baselines3: baselines trained on `{args.layout}`

{format_table(results)}

Success is in % of {args.episodes} episodes per suite and seed, the same for every row, with Wilson
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


def draw(path: Path, layout: str, results: dict[str, list[dict[str, Any]]]) -> None:
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


def main(args: Args) -> None:
    names = args.only or (*OFFLINE, *BASELINES)
    for name in names:
        if name not in (*OFFLINE, *BASELINES):
            raise ValueError(
                f"--only must be of {[*OFFLINE, *BASELINES]}, got {name!r}; choose of them"
            )
    if (args.budget is not None and args.budget < 1) or args.episodes < 1:
        raise ValueError(
            f"--budget and --episodes must be positive, got {args.budget} and {args.episodes}; "
            "raise them"
        )
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number, seed in enumerate(args.seeds):
        for name in names:
            if name == "jepa" and number >= len(args.checkpoints):
                continue  # the same model again would be no other seed
            found = result(args, name, seed)
            if found is not None:
                results[name].append(found)
            if not args.recorded:
                print(format_table(results), flush=True)
    if args.recorded:
        print(format_table(results))
    if args.table is not None:
        args.table.parent.mkdir(parents=True, exist_ok=True)
        picture = args.table.with_suffix(".png")
        args.table.write_text(format_page(args, picture.name, results))
        draw(picture, args.layout, results)
