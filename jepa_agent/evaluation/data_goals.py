"""Tasks from recorded data: begin at a state, and reach what was observed some steps later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from ..agent.agent import JEPAAgent
from ..data.source import world_shape
from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource
from ..worlds.actions import from_rows
from ..worlds.protocols import HasState, Resettable
from ..worlds.reference import EnvRef
from .episodes import Success, play
from .metrics import Report, Row, summarise
from .policies import Policy, RandomActions, StandStill
from .two_rooms import measured_with


@dataclass(frozen=True)
class DataGoals:
    """Which tasks to take from data, and what counts as success.

    Args:
        offsets: environment steps between a start and its goal, a suite of tasks each.
        budget: steps of an episode, as "50", or as "offset+25".
        within: largest difference from the goal's state that is a success, in the states' units;
            one number, or one per component, NaN for components that do not matter. None: the
            world's `is_success`, or a function.
        start_option: the option of `reset` that takes a state; "" where the world is `Resettable`.
    """

    offsets: tuple[int, ...] = (25, 50)
    budget: str = "offset+25"
    within: tuple[float, ...] | None = None
    start_option: str = ""

    def __post_init__(self) -> None:
        if not self.offsets or min(self.offsets) < 1:
            raise ValueError(f"offset must be at least 1 step, got {self.offsets}; raise it")
        if min(map(self.steps, self.offsets)) < 1:
            raise ValueError(f"budget must be at least 1 step, got {self.budget!r}; raise it")
        if self.within is not None and not any(each > 0 for each in self.within):
            raise ValueError(
                f"success-within must be a positive number, or one per component, got {self.within}"
            )

    def steps(self, offset: int) -> int:
        """The budget of an offset."""
        first, plus, more = self.budget.replace(" ", "").partition("+")
        try:
            return offset + int(more) if (first, plus) == ("offset", "+") else int(self.budget)
        except ValueError:
            raise ValueError(
                f'budget must be a number of steps or "offset+N", got {self.budget!r}'
            ) from None


@dataclass(frozen=True)
class DataTask:
    """A start, and a goal that the data reached from there."""

    state: np.ndarray
    """(S,), where to begin."""
    goal_state: np.ndarray
    """(S,)."""
    layout: np.ndarray
    """(C,)."""
    goal: np.ndarray
    """The goal's observation."""


class DataTaskEnv(gym.Wrapper):
    """Plays the task that a seed names; `desired_goal` is the goal's observation.

    Args:
        env: the world.
        goals: how to begin, and what counts as success.
        tasks: the tasks by seed.
    """

    def __init__(self, env: gym.Env, goals: DataGoals, tasks: dict[int, DataTask]) -> None:
        super().__init__(env)
        self.goals, self.tasks, self.task = goals, tasks, next(iter(tasks.values()), None)
        spaces = getattr(env.observation_space, "spaces", {"observation": env.observation_space})
        self.observation_space = gym.spaces.Dict({**spaces, "desired_goal": spaces["observation"]})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin the task of a seed."""
        if seed is not None:
            self.task = self.tasks[seed]
        return self._shown(*self.env.reset(seed=seed, options=self._options()))

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A step of the world."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        observation, info = self._shown(observation, info)
        return observation, reward, terminated, truncated, info

    def _options(self) -> dict[str, Any]:
        task, world = self.task, self.env.unwrapped
        assert task is not None
        if self.goals.start_option:
            return {self.goals.start_option: task.state}
        if isinstance(world, Resettable):
            return world.reset_options(task.state, task.goal_state, task.layout)
        raise ValueError(
            f"to begin at a recorded state, {type(world).__name__} must have "
            "`reset_options(state, goal, layout)`, or `reset` an option that takes a state; it "
            "has none; add the method, or name the option with --start-option"
        )

    def _shown(self, observation: Any, info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        assert self.task is not None
        parts = observation if isinstance(observation, dict) else {"observation": observation}
        if self.goals.within is not None:
            seen, world, target = parts["observation"], self.env.unwrapped, self.task.goal_state
            if seen.shape != target.shape and isinstance(world, HasState):
                seen = world.state
            apart = np.abs(np.asarray(seen, dtype=np.float64) - target)
            limit = np.broadcast_to(self.goals.within, apart.shape)
            info = {**info, "is_success": bool((apart <= limit)[~np.isnan(limit)].all())}
        return {**parts, "desired_goal": self.task.goal}, info


def make_env(env_ref: EnvRef, steps: int, goals: DataGoals, tasks: dict[int, DataTask]) -> gym.Env:
    """The world with the tasks of some seeds."""
    return DataTaskEnv(env_ref.make(max_episode_steps=steps), goals, tasks)


def draw_tasks(
    data: Trajectories,
    source: ObservationSource,
    offset: int,
    seed: int,
) -> Iterator[DataTask]:
    """All tasks of an offset, in an order drawn by a seed.

    Raises:
        ValueError: if no episode is long enough.
    """
    lengths = np.diff(data.offsets)
    starts = np.maximum(lengths - offset, 0)  # of each episode
    if not starts.any():
        raise ValueError(
            f"offset must be shorter than the episodes, got {offset} steps and episodes of at most "
            f"{lengths.max() - 1}; lower it"
        )
    ends = np.cumsum(starts)
    for number in np.random.default_rng((seed, offset)).permutation(ends[-1]):
        episode = int(np.searchsorted(ends, number, side="right"))
        row = int(data.offsets[episode] + number - (ends[episode] - starts[episode]))
        goal = source.at(torch.tensor([row + offset]))[0].cpu().numpy()
        states = data.states[[row, row + offset]]
        yield DataTask(states[0], states[1], data.layout[episode], goal)


@dataclass
class Chosen:
    """Tasks by seed, and the number of those left out because they were solved at the start."""

    tasks: dict[int, DataTask] = field(default_factory=dict)
    left_out: int = 0


def choose_tasks(
    env: DataTaskEnv, drawn: Iterator[DataTask], seeds: range, success: Success | None
) -> Chosen:
    """A task for each seed, or as many as there are.

    Raises:
        ValueError: if all are solved at the start.
    """
    chosen = Chosen()
    for task in drawn:
        if len(chosen.tasks) == len(seeds):
            break
        seed = seeds[len(chosen.tasks)]
        env.tasks[seed] = task
        observation, info = env.reset(seed=seed)
        solved = success(observation, info) if success else info.get("is_success", False)
        if solved:
            chosen.left_out += 1
        else:
            chosen.tasks[seed] = task
    if not chosen.tasks:
        raise ValueError(
            f"tasks must not be solved at their start, got {chosen.left_out} that are; raise the "
            "offset or ask for more"
        )
    return chosen


def evaluate_on_data(
    agent: JEPAAgent,
    data: Trajectories,
    goals: DataGoals,
    success: Success | None,
    rivals: dict[str, Policy],
    seeds: range,
    parallel: int,
    checkpoint: str,
    workers: int = 1,
) -> Report:
    """Play the agent, random actions, doing nothing and rivals on tasks from data.

    Args:
        agent: the agent to evaluate.
        data: recorded in the agent's environment, not those that it was trained on.
        goals: which tasks.
        success: whether an observation with its info counts as success.
        rivals: policies to score too, by name.
        seeds: one task each.
        parallel: environments side by side.
        checkpoint: path of the agent's checkpoint, for the report.
        workers: processes that share the episodes.

    Raises:
        ValueError: if there are no such tasks, or nothing says what success is.
    """
    world = agent.env_ref.make()
    if success is None and goals.within is None and not isinstance(world.unwrapped, Resettable):
        raise ValueError(
            f"success must be defined for goals that {agent.env_ref.id} does not know, got "
            "neither --success-within nor --success; give one"
        )
    _, render, _ = world_shape(agent.env_ref, data)
    source, bounds = ObservationSource(data, render, torch.device("cpu")), agent.bounds
    idle = from_rows(bounds, np.array(bounds.idle or bounds.default_idle, dtype=np.float32))
    policies: dict[str, Policy] = {
        "agent": agent,
        "random": RandomActions(world.action_space, seeds.start),
        "stand still": StandStill(idle),
        **rivals,
    }
    agent.set_goal(None)
    rows: list[Row] = []
    results, notes = {}, {}
    for offset in goals.offsets:
        steps, suite = goals.steps(offset), f"offset {offset}"
        env = DataTaskEnv(agent.env_ref.make(), goals, {})
        drawn = draw_tasks(data, source, offset, seeds.start)
        chosen = choose_tasks(env, drawn, seeds, success)
        env.close()
        notes[suite] = {
            "steps of budget": steps,
            "tasks left out, solved at the start": chosen.left_out,
        }
        make = partial(make_env, agent.env_ref, steps, goals, chosen.tasks)
        for name, policy in policies.items():
            played = play(policy, make, list(chosen.tasks), parallel, None, success, workers)
            rows.append(summarise(name, suite, played))
            results[f"{name}/{suite}"] = played
    config = measured_with(agent, seeds, parallel, checkpoint) | {"goals": notes}
    return Report(rows, config, results, {})
