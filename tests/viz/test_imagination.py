from __future__ import annotations

import numpy as np
import pytest

from jepa_agent import JEPAAgent
from jepa_agent.planners import CEM, MPPI, Planner
from jepa_agent.viz.imagination import Landscape, imagined_paths


@pytest.mark.parametrize("planner", [CEM(), MPPI()])
def test_imagined_paths_start_at_the_agent(planner: Planner) -> None:
    agent = JEPAAgent.load("default")
    agent.planner = planner
    observation, info = agent.env_ref.make().reset(seed=0)
    plan, candidates = imagined_paths(agent, agent.act(observation)[1])
    steps = planner.horizon + 1
    assert plan.shape == (steps, 2)
    assert candidates.shape == (24, steps, 2)
    for path in (plan, *candidates):
        assert np.linalg.norm(path[0] - info["position"]) < 3.0
    if isinstance(planner, CEM):  # MPPI plans a mean of its candidates
        np.testing.assert_allclose(plan, candidates[0], atol=1e-3)


def test_the_energy_field_is_the_distance_from_every_state(default_agent: JEPAAgent) -> None:
    line = np.arange(8, 60, 8, dtype=np.float32)
    states, goal = np.stack(np.meshgrid(line, line), axis=-1), np.float32([48, 40])
    layout = np.float32([32, 18, 4])
    landscape = Landscape(default_agent, states, layout)
    field = landscape.distances(goal)
    assert field.shape == (7, 7)
    assert np.unravel_index(field.argmin(), field.shape) == (4, 5)
    assert field.min() < 0.3
    assert field[4, 0] > field[4, 4] + 2  # in the other room
    plain = landscape.distances(goal, "latent")
    assert plain.shape == (7, 7)
    assert plain[4, 5] == pytest.approx(0.0, abs=1e-5)
    assert np.abs(plain - field).max() > 1
