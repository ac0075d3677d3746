"""Our agent beside Stable-Baselines3's algorithms and beside imitators of the same data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
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
from ..envs.physics import HIGH, LOW
from ..envs.tasks import TASK_MARGIN
from ..evaluation.episodes import Policy, measure_latency, play
from ..evaluation.metrics import Row, summarise
from ..evaluation.two_rooms import SUITES
from ..io import checkpoint
from ..io.locking import hold
from ..io.serialisation import write_json
from .baselines import BASELINES, Baseline, Spent, train
from .imitators import PAIRS, imitate

ZERO_SHOT = ("same room", "half steps")
"""Tasks that no row was trained for: goals in the start's room, and steps of half the length."""
CURVE_EPISODES = 50
"""Episodes per point of a learning curve."""
Results = dict[str, list[dict[str, Any]]]
"""The figures of each row's runs."""
OFFLINE = ("jepa", "cloning", "inverse-dynamics")
IMITATION_STEPS = 4_000
ROWS = (*OFFLINE, *BASELINES)
REACH = {"cloning": 60, "inverse-dynamics": 20}
"""Steps between frame and goal, at most."""


@dataclass(frozen=True)
class Comparison:
    """What to compare."""

    layout: Literal["fixed", "train"] = "fixed"
    """Layouts of the baselines' training; `jepa` and its data always use `train`."""
    budget: int | None = None
    """Environment steps per baseline; by default what each row names."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds."""
    checkpoints: tuple[str, ...] = ("default",)
    """Folders of our agents, one per seed; the imitators learn from the data of the first."""
    allow_code: bool = False
    """Import the modules of planners, encoders and the like that the checkpoint names; they run."""
    episodes: int = 300
    """Episodes per suite."""
    seed: int = 1_000_000
    """Episode i is played with seed + i."""
    out: Path = Path("runs/sb3")
    """Where the runs and their results lie."""
    recorded: bool = False
    """Train and play nothing: show what has finished."""
    device: str = "auto"

    def __post_init__(self) -> None:
        if (self.budget is not None and self.budget < 1) or self.episodes < 1:
            raise ValueError(
                f"budget and episodes must be positive, got {self.budget} and {self.episodes}"
            )


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


def score(setup: Comparison, policy: Policy, obs_type: str) -> tuple[float, dict[str, Row]]:
    """The median latency of a decision, and a row of every suite."""
    seeds = range(setup.seed, setup.seed + setup.episodes)
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


def curve_point(setup: Comparison, baseline: Baseline, model: Policy) -> float:
    """Success on unseen seeds of the layouts that a baseline learns in."""
    make = partial(
        gym.make, "TwoRooms-v0", layout=setup.layout, obs_type=baseline.obs_type,
        terminate_on_success=False,
    )  # fmt: skip
    seeds = range(setup.seed - CURVE_EPISODES, setup.seed)
    return row_of(setup.layout, model, make, seeds).success


def run_baseline(setup: Comparison, name: str, seed: int, folder: Path) -> Result:
    """Train (or go on with) one of Stable-Baselines3's algorithms, and score it."""
    baseline = BASELINES[name]
    steps = setup.budget or baseline.steps
    at = partial(curve_point, setup, baseline)
    make = partial(
        gym.make, "TwoRooms-v0", layout=setup.layout, obs_type=baseline.obs_type,
        reward_type=baseline.reward_type,
    )  # fmt: skip
    model, spent = train(baseline, make, steps, seed, folder, at, setup.device)
    if model is None:
        return Result(spent, 0, None, {})
    latency, rows = score(setup, model, baseline.obs_type)
    return Result(spent, size(model.policy), latency, rows)


def size(policy: nn.Module) -> int:
    """Parameters, target networks left out."""
    return sum(p.numel() for name, p in policy.named_parameters() if "target" not in name)


def run_offline(setup: Comparison, name: str, seed: int, folder: Path) -> Result:
    """Our agent, or an imitator trained on the data that it was trained on."""
    agent = JEPAAgent.load(
        checkpoint_of(setup, name, seed), setup.device, allow_code=setup.allow_code
    )
    settings = CollectConfig(**agent.notes["data"]["collect"])
    spent = Spent(steps=settings.episodes * settings.steps, seconds=agent.notes.get("seconds", 0.0))
    training = agent.notes["training"]
    joint = training["steps"] * training["layouts_per_batch"] * training["windows_per_layout"]
    spent.frames = joint * (training["horizon"] + 1)
    if name == "jepa":
        latency, rows = score(setup, agent, "pixels")
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
    latency, rows = score(setup, policy, "pixels")
    return Result(spent, policy.size(), latency, rows)


def checkpoint_of(setup: Comparison, name: str, seed: int) -> str:
    """Our agent's checkpoint of a seed; imitators use the first seed's data and encoder."""
    return setup.checkpoints[setup.seeds.index(seed) if name == "jepa" else 0]


def compare(setup: Comparison, names: Sequence[str] = ROWS) -> Iterator[Results]:
    """Train and play what has not finished yet: all results so far, after each run."""
    for name in names:
        if name not in ROWS:
            raise ValueError(f"rows must be among {list(ROWS)}, got {name!r}")
    results: Results = {name: [] for name in names}
    for number, seed in enumerate(setup.seeds):
        for name in names:
            if name == "jepa" and number >= len(setup.checkpoints):
                continue  # the same model again would be no other seed
            found = result(setup, name, seed)
            if found is not None:
                results[name].append(found)
                yield results


def result(setup: Comparison, name: str, seed: int) -> dict[str, Any] | None:
    """The figures of one run, from its `result.json` where that has them."""
    folder = setup.out / ("offline" if name in OFFLINE else setup.layout) / f"{name}-{seed}"
    wanted: dict[str, Any] = {"episodes": setup.episodes, "seed": setup.seed}
    if name in OFFLINE:
        ours = checkpoint_of(setup, name, seed)
        agent = JEPAAgent.load(ours, allow_code=setup.allow_code)
        wanted["checkpoint"] = checkpoint.digest(agent.model.state_dict())
    else:
        wanted["baseline"] = repr(BASELINES[name])
        if setup.budget or not setup.recorded:  # what is recorded says its own steps
            wanted["budget"] = setup.budget or BASELINES[name].steps
    path = folder / "result.json"
    if path.exists():
        found = json.loads(path.read_text())
        if {key: found.get(key) for key in wanted} == wanted:
            return found
    if setup.recorded:
        return None
    run = run_offline if name in OFFLINE else run_baseline
    with hold(folder):
        figures = {**asdict(run(setup, name, seed, folder)), **wanted}
        write_json(path, figures)
    return figures
