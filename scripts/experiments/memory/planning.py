"""Reaching goals by what a memory imagines: the library's MPPI on a cost of one's own."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from jepa_agent.envs.physics import HIGH, LOW, Layout, shortest_path
from jepa_agent.envs.tasks import TASK_MARGIN, TwoRoomsConfig
from jepa_agent.planners import ActionBounds, MPPIConfig, Noise

from .predictors import Predictor
from .worlds import ACTION, UNIT, Episodes, World

BEFORE = 24
"""Steps of an episode that have passed when the goal is given."""
HELD, DECISIONS = 4, 10
"""Steps for which an action is held, and how many are chosen."""
DISC = ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)
PLANNER = MPPIConfig(horizon=4, num_samples=32, iterations=2)
NEAREST, FARTHEST = 12.0, 28.0
"""Pixels of the way to a goal."""
RADIUS = TwoRoomsConfig.success_radius


class Tasks(NamedTuple):
    """Episodes that are under way, and a goal for each."""

    past: Episodes
    goals: Tensor
    """(B, 2) pixels."""


def tasks(world: World, count: int, seed: int) -> Tasks:
    """Goals 12 to 28 pixels away on the way around walls, in Two Rooms in the other room."""
    episodes = world.episodes(max(20 * count, 400), BEFORE, seed, test=True)
    here, walls = episodes.states[:, BEFORE, :2], episodes.walls
    generator = torch.Generator().manual_seed(seed)
    low, high = LOW + TASK_MARGIN, HIGH - TASK_MARGIN
    goals = low + (high - low) * torch.rand(here.shape, generator=generator)
    if world.layouts is None:
        way = (goals - here).norm(dim=-1)
        fits = torch.ones(len(way), dtype=torch.bool)
    else:
        layout = Layout.from_array(walls)
        way = shortest_path(here, goals, layout)
        fits = (here[:, 0] > layout.wall_x) != (goals[:, 0] > layout.wall_x)
        fits &= (goals[:, 0] - layout.wall_x).abs() > TASK_MARGIN + 1
    chosen = torch.nonzero(fits & (way > NEAREST) & (way < FARTHEST))[:count, 0]
    if len(chosen) < count:
        raise ValueError(f"{count} tasks need more episodes, got {len(chosen)} that fit")
    return Tasks(Episodes(*(part[chosen] for part in episodes)), goals[chosen])


class Player:
    """Chooses actions in episodes that go on side by side.

    Args:
        world: where.
        begun: the tasks.
        predictor: who imagines; None for the true physics without noise, from the true state.
    """

    def __init__(self, world: World, begun: Tasks, predictor: Predictor | None) -> None:
        self.world, self.goals, self.predictor = world, begun.goals, predictor
        self.walls, self.state = begun.past.walls, begun.past.states[:, -1]
        self.frame = begun.past.frames[:, -1]
        if predictor is not None:
            self.memory = predictor.read(begun.past.frames[:, :-1], begun.past.actions)
        self.planner = PLANNER.build()
        self.plan = torch.zeros(len(self.goals), PLANNER.horizon, ACTION)

    def act(self, decision: int) -> Tensor:
        """The actions (B, A) of a decision."""
        noise = Noise([1000 * row + decision for row in range(len(self.goals))])
        start = torch.cat([self.plan[:, 1:], self.plan[:, -1:]], dim=1)
        self.plan = self.planner.plan(self.cost, DISC, noise, start).actions
        return self.plan[:, 0]

    def cost(self, candidates: Tensor) -> Tensor:
        """How far from the goals plans (B, N, H, A) are on average, in chunks: (B, N)."""
        count, samples = candidates.shape[:2]
        steps = candidates.repeat_interleave(HELD, dim=2).flatten(0, 1)
        paths = self.imagine(steps, samples).unflatten(0, (count, samples))
        away = (paths - self.goals[:, None, None]).norm(dim=-1)
        return away.sum(-1) / (HELD * HELD * TwoRoomsConfig.step_length)

    def imagine(self, actions: Tensor, samples: int) -> Tensor:
        """Pixels (B * N, T, 2) under actions (B * N, T, A), N of each task."""

        def each(rows: Tensor) -> Tensor:
            return rows.repeat_interleave(samples, dim=0)

        if self.predictor is not None:
            imagined = self.predictor.imagine(each(self.memory), each(self.frame), actions)
            return (LOW + HIGH) / 2 + UNIT * imagined
        states, walls, found = each(self.state), each(self.walls), []
        for action in actions.unbind(1):
            states = self.world.step(states, action, walls, torch.zeros_like(action))
            found.append(states[:, :2])
        return torch.stack(found, 1)

    def see(self, action: Tensor, state: Tensor, frame: Tensor) -> None:
        """Remember what was done, and what is seen thereafter."""
        if self.predictor is not None:
            self.memory = self.predictor.update(self.memory, self.frame, action)
        self.state, self.frame = state, frame


@torch.no_grad()
def success(
    world: World, begun: Tasks, predictor: Predictor | None, seed: int, random: bool = False
) -> Tensor:
    """Which tasks (B,) are solved: at their goals in all steps of some decision.

    Args:
        world: where.
        begun: the tasks.
        predictor: who imagines; None for the true physics.
        seed: of bounces, and of random actions.
        random: whether actions are random in place of planned ones.
    """
    player, generator = Player(world, begun, predictor), torch.Generator().manual_seed(seed)
    solved = torch.zeros(len(begun.goals), dtype=torch.bool)
    for decision in range(DECISIONS):
        any_action = DISC.project(torch.randn(len(solved), ACTION, generator=generator))
        action, stays = any_action if random else player.act(decision), torch.ones_like(solved)
        for step in range(HELD):
            bounces = TwoRoomsConfig.bounce_noise * torch.randn(action.shape, generator=generator)
            state = world.step(player.state, action, player.walls, bounces)
            first = BEFORE + decision * HELD + step + 1
            player.see(action, state, world.frames(state[:, None], player.walls, first)[:, 0])
            stays &= (state[:, :2] - begun.goals).norm(dim=-1) <= RADIUS
        solved |= stays
    return solved
