"""Evaluation on tasks from recorded data."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from ..agent.agent import JEPAAgent
from ..data.source import world_shape
from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource
from ..worlds.actions import from_rows
from ..worlds.protocols import Resettable
from ..worlds.reference import EnvRef
from .data_tasks import DataGoals, DataTask, DataTaskEnv, draw_tasks, make_env
from .episodes import Success, measure_latency, play
from .metrics import Report, Row, measured_with, summarise
from .oracles import make_with_states
from .policies import Policy, RandomActions, StandStill

logger = logging.getLogger(__name__)
DECISIONS = 100
"""Decisions of which the latency is measured."""


@dataclass
class Chosen:
    """Tasks by seed, and how many starts are goals.

    Args:
        tasks: not solved at the start.
        left_out: tasks that were drawn and left out because they are.
        strict: tasks whose start meets the world's stricter rule, which say nothing about it.
    """

    tasks: dict[int, DataTask] = field(default_factory=dict)
    left_out: int = 0
    strict: int = 0


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
            chosen.strict += bool(info.get("is_success_strict") and success is None)
    if not chosen.tasks:
        raise ValueError(
            f"tasks must not be solved at their start, got {chosen.left_out} that are; raise the "
            "offset or ask for more"
        )
    return chosen


def task_env(
    env_ref: EnvRef,
    data: Trajectories,
    goals: DataGoals,
    offset: int,
    seeds: range,
    success: Success | None,
    **kwargs: Any,
) -> tuple[DataTaskEnv, Chosen]:
    """A world with a task for each seed, and these tasks.

    Args:
        env_ref: the world.
        data: recorded in it.
        goals: how to begin, and what counts as success.
        offset: environment steps between a start and its goal.
        seeds: one task each.
        success: whether an observation with its info counts as success.
        **kwargs: more arguments of the world's constructor.

    Raises:
        ValueError: if there are no such tasks.
    """
    _, render, _ = world_shape(env_ref, data)
    source = ObservationSource(data, render, torch.device("cpu"))
    env = make_env(env_ref, goals.steps(offset), goals, {}, **kwargs)
    chosen = choose_tasks(
        env, draw_tasks(data, source, offset, seeds.start, goals.moving), seeds, success
    )
    return env, chosen


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
    oracle: Policy | None = None,
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
        oracle: the world's, see `oracle_of`.

    Raises:
        ValueError: if there are no such tasks, or nothing says what success is.
    """
    world, bounds = agent.env_ref.make(), agent.bounds
    if success is None and goals.within is None and not isinstance(world.unwrapped, Resettable):
        raise ValueError(
            f"success must be defined for goals that {agent.env_ref.id} does not know, got "
            "neither --success-within nor --success; give one"
        )
    idle = from_rows(bounds, np.array(bounds.idle or bounds.default_idle, dtype=np.float32))
    policies: dict[str, Policy] = {
        "agent": agent,
        "random": RandomActions(world.action_space, seeds.start),
        "stand still": StandStill(idle),
        **rivals,
    }
    agent.set_goal(None)
    seen = len(recorded_seeds(agent.notes.get("data", {})) & recorded_seeds(data.metadata))
    if seen:
        logger.warning(
            "episodes must be held out from training, got %d with seeds of training's; collect "
            "others, as with --seed 1000000", seen,
        )  # fmt: skip
    rows: list[Row] = []
    results, notes = {}, {}
    for offset in goals.offsets:
        steps, suite = goals.steps(offset), f"offset {offset}"
        env, chosen = task_env(agent.env_ref, data, goals, offset, seeds, success)
        env.close()
        notes[suite] = {
            "steps of budget": steps,
            "tasks left out, solved at the start": chosen.left_out,
            "not counted as strict, strictly solved at the start": chosen.strict,
            "episodes with seeds of training's": seen,
        }
        make = partial(make_env, agent.env_ref, steps, goals, chosen.tasks)
        for name, policy in policies.items():
            played = play(policy, make, list(chosen.tasks), parallel, None, success, workers)
            decisions = min(DECISIONS, 5 * len(chosen.tasks))
            latency = measure_latency(policy, make, decisions, seeds.start)
            rows.append(summarise(name, suite, played, latency))
            results[f"{name}/{suite}"] = played
        if oracle is not None:
            told = partial(make_with_states, make)
            played = play(oracle, told, list(chosen.tasks), parallel, None, success)
            rows.append(summarise("oracle", suite, played))
            results[f"oracle/{suite}"] = played
    config = measured_with(agent, seeds, parallel, checkpoint) | {"goals": notes}
    return Report(rows, config, results, {})


def recorded_seeds(metadata: Mapping[str, Any]) -> set[int]:
    """The seeds of recorded episodes, as far as the metadata of their trajectories tell them."""
    if "recordings" in metadata:
        return set[int]().union(*map(recorded_seeds, metadata["recordings"]))
    record = metadata.get("record", {})
    return set(range(record["seed"], record["seed"] + record["episodes"])) if record else set()
