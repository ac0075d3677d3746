"""Oracles of the scoreboard's worlds reach their goals, by both rules."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent import EnvRef, JEPAAgent, Trajectories, WorldModel, WorldModelConfig
from jepa_agent.data.recording import record
from jepa_agent.envs.generators import Rover
from jepa_agent.envs.push_t import PushTEnv
from jepa_agent.evaluation.anywhere import evaluate_anywhere
from jepa_agent.evaluation.data_goals import evaluate_on_data
from jepa_agent.evaluation.data_tasks import DataGoals
from jepa_agent.evaluation.episodes import play
from jepa_agent.evaluation.oracles import make_with_states, oracle_of
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import CEM, ActionBounds, CEMConfig

ROOM = EnvRef("TwoRoom224-v0", {"obs_type": "state", "door_y": None})


@pytest.mark.parametrize("name", ["PointMaze-v0", "ReacherPose-v0", "TwoRoom224-v0"])
def test_an_oracle_meets_both_rules(name: str) -> None:
    if name != "TwoRoom224-v0":
        for package in ("mujoco", "gymnasium_robotics"):
            pytest.importorskip(package, exc_type=ImportError, reason="needs the extra `worlds`")
    ref = ROOM if name == ROOM.id.partition(":")[2] else EnvRef(name, {"obs_type": "state"})
    make = partial(make_with_states, ref.make)
    for episode in play(oracle_of(ref), make, range(8)):
        assert episode.success
        assert episode.success_strict is not False  # None: the start met the rule
        assert episode.success_end


def test_the_search_in_the_simulator_pushes_the_block_to_its_goal() -> None:
    pytest.importorskip("gym_pusht", exc_type=ImportError, reason="needs the extra `worlds`")
    start = PushTEnv.pose((100, 256), (256, 211), 0.0)
    world = gym.make("PushT-v0", obs_type="state").unwrapped
    assert isinstance(world, PushTEnv)
    world.reset(options={"state": start, "goal": start})
    for _ in range(15):  # straight at the stem, at 10 pixels a step
        *_, info = world.step(np.float32([0.25, 0]))
    goal = info["state"]
    assert goal[2] > start[2] + 15
    world.reset(options={"state": start, "goal": goal})
    actions = world.oracle_policy().plan(start.astype(np.float64), goal.astype(np.float64))
    found = [world.step(action.astype(np.float32))[-1]["is_success"] for action in actions]
    assert found[-1]
    still = world.oracle_policy().plan(goal.astype(np.float64), goal.astype(np.float64))
    np.testing.assert_array_equal(still, np.zeros((1, 2)))


def test_an_oracle_is_scored_on_the_same_tasks(tmp_path: Path) -> None:
    record(ROOM, tmp_path / "r.h5", 4, 30, Rover, seed=5)
    data = Trajectories.load(tmp_path / "r.h5")
    config = WorldModelConfig((2,), 2, 2, chunk=2, latent_dim=4, encoder=VectorMLPConfig())
    planner = CEM(CEMConfig(horizon=2, num_samples=4, iterations=1, num_elites=2))
    bounds = ActionBounds((-1.0, -1.0), (1.0, 1.0))
    agent = JEPAAgent(WorldModel(config), bounds, ROOM, planner)
    how = (None, {}, range(6), 6, "x")
    report = evaluate_on_data(agent, data, DataGoals((20,)), *how, oracle=oracle_of(ROOM))
    names = ["agent", "random", "stand still", "oracle"]
    assert [row.policy for row in report.rows] == names
    assert report.rows[-1].success == report.rows[-1].success_strict == 1.0
    seeds = [[episode.seed for episode in played] for played in report.episodes.values()]
    assert all(each == seeds[0] for each in seeds)
    report = evaluate_anywhere(agent, *how, oracle=oracle_of(ROOM))
    assert [row.policy for row in report.rows] == ["agent", "random", "oracle"]
    assert report.rows[-1].success == 1.0


def test_a_world_without_an_oracle_is_named() -> None:
    with pytest.raises(ValueError, match=r"--oracle needs a world with .* got PendulumEnv"):
        oracle_of(EnvRef("Pendulum-v1", {}))
