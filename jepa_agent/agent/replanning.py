"""From one state of an agent to the next where plans have run out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..planners import Noise
from .calibration import features
from .outlook import Outlook
from .replayed import Answer, Question
from .state import AgentState

if TYPE_CHECKING:
    from .agent import JEPAAgent


@torch.no_grad()
def planned_anew(
    agent: JEPAAgent,
    decide: Callable[[Question, Noise], Answer],
    state: AgentState,
    rows: np.ndarray,
    seen: np.ndarray,
    goals: np.ndarray,
    started: np.ndarray,
) -> AgentState:
    """The state after some episodes have noted their last plan's outcome and planned anew.

    Args:
        agent: who plans.
        decide: how.
        state: of n episodes.
        rows: (k,), the numbers of those that plan.
        seen: (k, ...), their observations.
        goals: (k, ...), their goals.
        started: (k,) boolean, whether they have just begun.
    """
    memory, budget = state.error_memory, state.budget
    everyone = len(rows) == len(state.elapsed)
    kept = np.empty(0, np.int64) if everyone else rows
    index = torch.as_tensor(kept).to(agent.device, non_blocking=True)
    seeds = [mixed(agent.seed, int(state.episode[row]), int(state.decision[row])) for row in rows]
    horizon = agent.planner.horizon
    images = [seen] if agent.seeks_state else [seen, goals]
    asked = Question(
        seen=torch.as_tensor(np.stack(images)),
        wanted=torch.as_tensor(goals) if agent.seeks_state else None,
        fresh=torch.as_tensor(started),
        left=torch.as_tensor(horizon - state.decision[rows] % horizon),
        plan=state.plan if everyone else state.plan[index],
        error_memory=memory if everyone or memory is None else memory.select(index),
        budget=budget if everyone or budget is None else budget[index],
    )
    found = decide(asked, Noise(seeds))
    chunk, plan, learned, remaining, expected = found.decision

    def put(old: Tensor, new: Tensor) -> Tensor:
        return new.to(old) if everyone else old.index_copy(0, index, new.to(old))

    if memory is not None and learned is not None:
        memory = learned if everyone else memory.replaced(index, learned)
    if budget is not None and remaining is not None:
        budget = put(budget, remaining)
    all_goals, actions = state.goals.copy(), state.actions.copy()
    all_goals[rows] = goals
    actions[rows] = chunk.unflatten(-1, (agent.chunks.steps, -1)).cpu().numpy()
    return replace(
        state,
        actions=actions,
        plan=put(state.plan, plan.actions),
        latents=put(state.latents, found.latents),
        goals=all_goals,
        goal_latents=put(state.goal_latents, found.goals),
        error_memory=memory,
        search=plan,
        budget=budget,
        outlook=expected,
        failure=_failure(agent, state, rows, expected),
    )


def _failure(
    agent: JEPAAgent, state: AgentState, rows: np.ndarray, expected: Outlook | None
) -> np.ndarray | None:
    """The chances (n,) of failure, of which some rows (k,) are seen anew."""
    if agent.calibration is None or expected is None:
        return None
    decisions = torch.as_tensor(state.decision[rows]).to(agent.device, non_blocking=True)
    told = features(expected, decisions)
    unknown = np.full(len(state.elapsed), np.nan)
    chances = unknown if state.failure is None else state.failure.copy()
    chances[rows] = agent.calibration.chance(told).cpu().numpy()
    return chances


def mixed(*numbers: int) -> int:
    """One seed from several numbers, spread over 63 bits (numpy's SeedSequence)."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return int(state) >> 1
