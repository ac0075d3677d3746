"""Who plays PushT-v0 with full knowledge: searches among pushes in a copy of the simulator.

It is no optimum: a plan is one walk around the block, one push and one walk to the goal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .push_t import REACH, SUCCESS_ANGLE, SUCCESS_DISTANCE, PushTEnv, turned_by
from .pushing import ARRIVED, LAG, RING, around, centre_of, direction

HORIZON = 60
"""Steps of a plan at most."""
WALK_SPEED = 15.0
"""Pixels a step beside the block; a push has the data's speed."""
FIRST, MORE, KEPT = 20, 12, 4
"""Pushes that are tried, those that are varied from the best, and how many are these."""
GOOD = 0.4
"""Share of the success rule's distances at which the search ends."""
COMMITTED = 12
"""Steps of a plan that are played before the next, unless it reaches the goal."""


@dataclass(frozen=True)
class Push:
    """A push in numbers.

    Args:
        side: radians, where about the block's centre it begins; None for where the agent is.
        point: (2,), pixels from the centre through which it leads.
        length: pixels beyond this point.
        speed: pixels a step.
    """

    side: float | None
    point: np.ndarray
    length: float
    speed: float


@dataclass(frozen=True)
class Plan:
    """What a push did in the simulator.

    Args:
        cost: the least share of the success rule's distances; below 1 is a success.
        push: what was tried.
        actions: (T, 2), up to there.
    """

    cost: float
    push: Push | None
    actions: np.ndarray


class PushOracle:
    """Plays the best push that it finds in the simulator, and plans again after some steps."""

    def __init__(self) -> None:
        self._world = PushTEnv(obs_type="state")
        self._world._world._get_coverage = lambda: 0.0  # half of a step's time, of no use here

    def predict(
        self,
        observation: Mapping[str, np.ndarray],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Actions (B, 2) for observations with `state` and `goal`; the state holds what is left."""
        states, goals = (np.asarray(observation[key], np.float64) for key in ("state", "goal"))
        left: list[np.ndarray] = [np.zeros((0, 2))] * len(states) if state is None else state
        started = np.broadcast_to(False if episode_start is None else episode_start, len(states))
        plans = [
            self.plan(here, goal) if fresh or not len(rest) else rest
            for here, goal, rest, fresh in zip(states, goals, left, started, strict=True)
        ]
        actions = np.stack([plan[0] for plan in plans]).astype(np.float32)
        return actions, [plan[1:] for plan in plans]

    def plan(self, state: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """Actions (T, 2) from a state (8,) towards a goal (8,)."""
        if apart(state, goal) < GOOD:
            return np.zeros((1, 2))
        rng = np.random.default_rng(np.abs(state * 1000).astype(np.int64))
        tried = [self._try(state, goal, None)]
        for number in range(FIRST + MORE):
            if tried[0].cost < GOOD:
                break
            if number < FIRST:
                push = _drawn(rng, state, goal)
            else:
                seeds = [plan.push for plan in tried[:KEPT] if plan.push is not None]
                push = _varied(rng, seeds[number % len(seeds)])
            tried = sorted([*tried, self._try(state, goal, push)], key=lambda plan: plan.cost)
        best = tried[0]
        return best.actions if best.cost < 1 else best.actions[:COMMITTED]

    def _try(self, state: np.ndarray, goal: np.ndarray, push: Push | None) -> Plan:
        """Simulate a push and the walk to the goal's place after it, or this walk alone."""
        self._world._put(state)
        best, least, actions = 0, apart(state, goal), []
        phase, target = ("walk" if push is None else "side"), goal[:2]
        here = state
        for step in range(1, HORIZON + 1):
            place, centre = here[:2], centre_of(here)
            if phase == "side" and push is not None:
                aim = place if push.side is None else centre + RING * direction(push.side)
                if np.linalg.norm(aim - place) < ARRIVED:
                    phase, point = "push", centre + push.point
                    way = point - place
                    target = point + way / max(np.linalg.norm(way), 1e-6) * push.length
                else:
                    aim = around(place, aim, centre)
            if phase == "push" and np.linalg.norm(target - place) < ARRIVED / 2:
                phase = "walk"
            if phase == "push":
                aim = target
            elif phase == "walk":
                aim = _beside(place, goal[:2], centre)
            speed = push.speed if phase == "push" and push is not None else WALK_SPEED
            way = aim - place
            length = max(float(np.linalg.norm(way)), 1e-6)
            action = np.clip(way / length * min(LAG * speed, length) / REACH, -1, 1)
            actions.append(action)
            self._world._act(action.astype(np.float32))
            here = self._world.state.astype(np.float64)
            cost = apart(here, goal)
            if cost < least - 1e-3:
                best, least = step, cost
            if cost < GOOD or (phase == "walk" and length < ARRIVED / 2):
                break
        return Plan(least + 1e-3 * best, push, np.array(actions[: max(best, 1)]))


def apart(state: np.ndarray, goal: np.ndarray) -> float:
    """How far a state is from a goal (8,), 1 at the edge of success."""
    distance = float(np.linalg.norm(state[:4] - goal[:4]))
    return max(distance / SUCCESS_DISTANCE, float(turned_by(state, goal)) / SUCCESS_ANGLE)


def _drawn(rng: np.random.Generator, state: np.ndarray, goal: np.ndarray) -> Push:
    """A push that leads roughly to where the block is to go, from there or from its other side."""
    way = centre_of(goal) - centre_of(state)
    distance = float(np.linalg.norm(way))
    behind = np.arctan2(-way[1], -way[0]) + rng.normal(0.0, 0.8)
    side = None if rng.random() < 0.3 else behind
    length = max(0.0, distance - RING / 2 + rng.normal(0.0, 30.0))
    return Push(side, rng.normal(0.0, 25.0, 2), length, rng.uniform(6.0, 10.0))


def _varied(rng: np.random.Generator, push: Push) -> Push:
    side = None if push.side is None else push.side + rng.normal(0.0, 0.2)
    length = max(0.0, push.length + rng.normal(0.0, 12.0))
    return Push(side, push.point + rng.normal(0.0, 8.0, 2), length, push.speed)


def _beside(place: np.ndarray, aim: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Where to go next to reach a place without passing through the block."""
    way = aim - place
    share = np.clip(((centre - place) @ way) / max(way @ way, 1e-6), 0.0, 1.0)
    if np.linalg.norm(place + share * way - centre) > RING or np.linalg.norm(way) < ARRIVED:
        return aim
    return around(place, aim, centre) if share > 0.1 else aim
