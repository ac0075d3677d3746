"""Goals set by hand: several, parts of the state, and numbers to raise."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from jepa_agent import EnvRef, JEPAAgent, Trajectories, WorldModel, WorldModelConfig, train
from jepa_agent.agent.goals import state_cost
from jepa_agent.data.recording import record
from jepa_agent.evaluation.episodes import play
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import CEM, ActionBounds, CEMConfig
from jepa_agent.presets import VECTOR

BOX = gym.spaces.Box(-9, 9, (2,), np.float32)


class Plane(gym.Env):
    """A point that moves by its action; the reward is its height. Seeds set the time limit."""

    observation_space, action_space = BOX, gym.spaces.Box(-1, 1, (2,), np.float32)
    state_names = ("x", "height")

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.at, self.left = np.zeros(2, np.float32), 4 + 4 * (seed or 0)
        return self.at.copy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.at += action
        self.left -= 1
        return self.at.copy(), float(self.at[1]), False, self.left == 0, {}


gym.register("Plane-v0", Plane)


class Identity(nn.Module):
    """The true encoder, predictor or probe of a plane: latents are observations."""

    def forward(self, latents: Tensor, *rest: Tensor) -> Tensor:
        return latents + rest[0].unflatten(-1, (-1, 2)).sum(dim=-2) if len(rest) == 1 else latents


@pytest.fixture
def agent() -> JEPAAgent:
    """Knows the plane exactly, in float32."""
    config = WorldModelConfig((2,), 2, 2, chunk=2, latent_dim=2, encoder=VectorMLPConfig())
    model = WorldModel(config)
    model.encoder = model.predictor = model.probe = Identity()
    planner = CEM(CEMConfig(horizon=2, num_samples=64, iterations=4, num_elites=8))
    return JEPAAgent(model, ActionBounds((-1.0, -1.0), (1.0, 1.0)), EnvRef("Plane-v0", {}), planner)


def walk(agent: JEPAAgent, steps: int, count: int = 1) -> np.ndarray:
    """Where agents are (count, 2) after some steps from the middle."""
    at, state = np.zeros((count, 2), np.float32), None
    for _ in range(steps):
        action, state = agent.predict(at, state)
        at = at + action
    return at


def test_a_part_of_the_state_is_reached_and_the_rest_does_not_matter(agent: JEPAAgent) -> None:
    goals = ({"x": 3.0}, {0: 3.0}, {-2: 3.0}, (3.0, math.nan), np.array([[3.0, math.nan]]))
    for goal in goals:
        agent.set_goal_state(goal)
        assert walk(agent, 8)[0, 0] == pytest.approx(3.0, abs=0.3)
    agent.set_goal_state({"x": 2.0, "height": -1.0})
    np.testing.assert_allclose(walk(agent, 8)[0], [2.0, -1.0], atol=0.3)


def test_a_number_is_raised_or_lowered_without_end(agent: JEPAAgent) -> None:
    agent.set_goal_state({"height": math.inf, "x": 0.0})
    up = walk(agent, 8)[0]
    agent.set_goal_state({"height": -math.inf})
    assert up[1] > 6.0 > -6.0 > walk(agent, 8)[0, 1]
    assert abs(up[0]) < 0.5


def test_the_cost_of_states_equals_a_plain_loop(agent: JEPAAgent) -> None:
    model, generator = agent.model, torch.Generator().manual_seed(0)
    model.state_mean.copy_(torch.tensor([1.0, -2.0]))
    model.state_std.copy_(torch.tensor([4.0, 0.5]))
    model.probe = nn.Linear(2, 2)
    imagined = torch.randn(4, 3, 2, 2, generator=generator, requires_grad=True)
    goals = torch.tensor([[3.0, 1.0], [math.nan, 1.0], [math.inf, 1.0], [2.0, -math.inf]])
    found = state_cost(model, imagined, goals[:, None, None])
    for row, n, h in np.ndindex(4, 3, 2):
        expected, state = 0.0, model.locate(imagined[row, n, h]).tolist()
        wanted = goals[row].tolist()
        for number, goal, mean, std in zip(state, wanted, (1, -2), (4, 0.5), strict=True):
            if math.isinf(goal):
                expected -= math.copysign(1.0, goal) * (number - mean) / std
            elif not math.isnan(goal):
                expected += ((number - goal) / std) ** 2
        assert found[row, n, h].item() == pytest.approx(expected, rel=1e-4)
    found.sum().backward()
    assert imagined.grad is not None
    assert imagined.grad.isfinite().all()


@pytest.mark.parametrize("of_state", [False, True])
def test_each_environment_has_its_goal_also_when_others_have_ended(
    agent: JEPAAgent, of_state: bool
) -> None:
    goals = np.array([[6.0, 0.0], [0.0, 6.0], [-6.0, 0.0]], np.float32)
    (agent.set_goal_state if of_state else agent.set_goal)(goals)
    ends: dict[int, np.ndarray] = {}

    def success(observation: np.ndarray, info: dict) -> bool:
        return any(np.abs(observation - goal).max() < 0.5 for goal in goals)

    class Noted(Plane):
        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
            moved = super().step(action)
            ends[self.number] = self.at
            return moved

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple:
            self.number = seed
            return super().reset(seed=seed)

    agent.cost = type(agent.cost)(distance="latent")
    played = play(agent, Noted, [0, 1, 2], 3, success=success)
    assert [episode.success for episode in played] == [False, True, True]  # the first is short
    np.testing.assert_allclose(ends[1], goals[1], atol=0.5)
    np.testing.assert_allclose(ends[2], goals[2], atol=0.5)


def test_an_episode_that_begins_anew_keeps_its_goal(agent: JEPAAgent) -> None:
    agent.set_goal_state(np.array([[6.0, math.nan], [-6.0, math.nan]]))
    at = np.zeros((2, 2), np.float32)
    for step in range(6):
        action, _ = agent.predict(at, episode_start=np.array([False, step == 3]))
        assert action[0, 0] > 0.5
        assert action[1, 0] < -0.5
    assert agent._remembered is not None
    assert agent._remembered.episode.tolist() == [1, 2]


def test_bad_goals_are_one_line(agent: JEPAAgent) -> None:
    bad: list[tuple[Any, str]] = [
        ({"y": 1.0}, r"must be named \['x', 'height'\] or 0 to 1, got 'y'"),
        ({2: 1.0}, "or 0 to 1, got 2"),
        ([1.0], r"must have 2 numbers, NaN for those that do not matter, got the shape \(1,\)"),
        ([math.nan, math.nan], "must have a number that matters"),
        ({}, "must have a number that matters"),
    ]
    for goal, message in bad:
        with pytest.raises(ValueError, match=message):
            agent.set_goal_state(goal)
    with pytest.raises(ValueError, match=r"the goal must be vectors \(2,\)"):
        agent.set_goal(np.zeros(3))
    agent.set_goal(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="one for each environment, got 2 goals and 3 environm"):
        agent.predict(np.zeros((3, 2)))
    _, state = agent.predict(np.zeros((2, 2)))
    agent.model.config = WorldModelConfig((2,), 2, 3, encoder=VectorMLPConfig())
    agent.set_goal_state([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="of the kind that is set now"):
        agent.act(np.zeros((2, 2)), state)
    agent.model.probe = None
    with pytest.raises(ValueError, match="need a model with a probe"):
        agent.set_goal_state([1.0, 2.0, 3.0])


def test_the_reward_is_recorded_as_a_state_and_sought_by_name(tmp_path: Path) -> None:
    env = gym.make("Plane-v0", max_episode_steps=12)
    record(env, tmp_path / "data.h5", 40, rewards=True)
    data = Trajectories.load(tmp_path / "data.h5")
    assert data.observations is not None
    np.testing.assert_array_equal(data.states[:, :2], data.observations)
    later = np.delete(np.arange(len(data.states)), data.offsets[:-1])
    np.testing.assert_array_equal(data.states[later, 2], data.observations[later, 1])
    training = replace(
        VECTOR.training, steps=2, horizon=2, windows_per_layout=8, held_out_share=0.0
    )
    training = replace(training, refinement=replace(training.refinement, steps=0))
    trained = train(data, replace(VECTOR, training=training), "cpu")
    assert trained.model.config.state_dim == 3
    trained.set_goal_state({"reward": math.inf})
    assert trained.predict(np.zeros(2, np.float32))[0].shape == (2,)
    trained.save(tmp_path / "agent")
    JEPAAgent.load(tmp_path / "agent").set_goal_state({"reward": math.inf, "height": 1.0})
