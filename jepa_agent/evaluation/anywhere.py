"""Evaluation in any environment."""

from __future__ import annotations

from functools import partial

from ..agent.agent import JEPAAgent
from .episodes import Success, play
from .metrics import Report, measured_with, summarise
from .oracles import make_with_states
from .policies import Policy, RandomActions


def evaluate_anywhere(
    agent: JEPAAgent,
    success: Success | None,
    rivals: dict[str, Policy],
    seeds: range,
    parallel: int,
    checkpoint: str,
    workers: int = 1,
    oracle: Policy | None = None,
) -> Report:
    """Play the agent, random actions and rivals in the agent's environment.

    Args:
        agent: the agent to evaluate, perhaps with a goal.
        success: whether an observation with its info counts as success; None for the info's
            `is_success`.
        rivals: policies to score beside the agent, by name.
        seeds: one episode each.
        parallel: environments side by side.
        checkpoint: path of the agent's checkpoint, for the report.
        workers: processes that share the episodes.
        oracle: the world's, see `oracle_of`.
    """
    world = agent.env_ref
    env = world.make()
    if not agent.has_goal and "desired_goal" not in getattr(env.observation_space, "spaces", {}):
        raise ValueError(
            f"--goal must be an observation of {world.id}, which has no desired_goal, got none; "
            "give its numbers, or those of a state as --goal-state"
        )
    chance = RandomActions(env.action_space, seeds.start)
    policies: dict[str, Policy] = {"agent": agent, "random": chance, **rivals}
    results = {
        f"{name}/{world.id}": play(
            policy, world.make, seeds, parallel, success=success, workers=workers
        )
        for name, policy in policies.items()
    }
    if oracle is not None:
        told = partial(make_with_states, world.make)
        results[f"oracle/{world.id}"] = play(oracle, told, seeds, parallel, success=success)
    rows = [summarise(name.partition("/")[0], world.id, each) for name, each in results.items()]
    return Report(rows, measured_with(agent, seeds, parallel, checkpoint), results, {})
