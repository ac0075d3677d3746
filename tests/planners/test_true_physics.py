"""Every planner on Two Rooms' true physics with the true length of the way: it must arrive."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from jepa_agent.envs import physics
from jepa_agent.envs.physics import Layout
from jepa_agent.envs.tasks import TwoRoomsConfig, sample_tasks
from jepa_agent.planners import PLANNERS, ActionBounds, Noise, make_planner

EPISODES = 50
CHUNK = 5
STEP_LENGTH = 2.45
SUCCESS_RADIUS = 4.5
BOUNDS = ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0)


def move(position: Tensor, action: Tensor, layout: Layout, bounce: float = 0.0) -> Tensor:
    """Hold an action for a chunk."""
    for _ in range(CHUNK):
        noise = bounce * torch.randn(position.shape)
        position = physics.step(position, STEP_LENGTH * action, layout, noise)
    return position


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in sorted(PLANNERS) if name != "random"])
def test_reaches_every_goal_on_random_layouts(name: str) -> None:
    planner = make_planner(name)
    uniforms = np.random.default_rng(11).random((EPISODES, 6))
    layout, start, goal = sample_tasks(uniforms, TwoRoomsConfig().layout_groups())
    position, target = torch.as_tensor(start), torch.as_tensor(goal)
    layout = Layout.from_array(torch.as_tensor(layout))
    rows = Layout(*(field[:, None] for field in layout[:3]))
    plan = torch.zeros(EPISODES, planner.horizon, 2)
    arrived = torch.zeros(EPISODES, dtype=torch.bool)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for decision in range(20):  # 100 of 200 steps

            def cost(candidates: Tensor, position: Tensor = position) -> Tensor:
                points = position[:, None].expand(-1, candidates.shape[1], -1)
                way = torch.zeros(candidates.shape[:2])
                for chunk in candidates.unbind(dim=2):
                    points = move(points, chunk, rows)
                    way = way + physics.shortest_path(points, target[:, None], rows)
                return way

            shifted = torch.cat([plan[:, 1:], plan[:, -1:]], dim=1)
            noise = Noise([100 * episode + decision for episode in range(EPISODES)])
            plan = planner.plan(cost, BOUNDS, noise, shifted).actions
            position = move(position, plan[:, 0], layout, bounce=0.5)
            arrived |= (position - target).norm(dim=-1) <= SUCCESS_RADIUS
    assert arrived.all(), f"{int((~arrived).sum())} of {EPISODES} goals not reached"
