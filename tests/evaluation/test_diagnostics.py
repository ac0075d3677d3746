from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from jepa_agent import (
    EnvRef,
    JEPAAgent,
    Preset,
    TrainingConfig,
    Trajectories,
    WorldModel,
    WorldModelConfig,
    train,
)  # fmt: skip
from jepa_agent.cli.console import held_out_line
from jepa_agent.envs import CollectConfig, collect
from jepa_agent.evaluation.collapse import CollapseStats, rank_me
from jepa_agent.evaluation.diagnostics import diagnose, r_squared, ridge, spearman, warnings
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.models.predictors import ResidualMLPConfig
from jepa_agent.planners import ActionBounds
from jepa_agent.training.config import LossWeights


def test_spearman_sees_order_alone() -> None:
    values = np.array([0.1, 3.0, 2.0, 50.0])
    assert spearman(values, np.exp(values / 10)) == pytest.approx(1.0)
    assert spearman(values, -values) == pytest.approx(-1.0)
    assert spearman(values, np.array([0.1, 2.0, 3.0, 50.0])) == pytest.approx(0.8)
    assert spearman(values[:2], values[:2]) is None


def test_rank_me_counts_directions() -> None:
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(64, 64, generator=generator))[0]
    flat = basis[:, :5] @ torch.randn(5, 5, generator=generator).svd().U @ torch.eye(5, 20)
    assert rank_me(flat) == pytest.approx(5.0, abs=0.01)
    assert rank_me(torch.ones(64, 20)) == pytest.approx(1.0, abs=0.01)


def test_ridge_regression_knows_no_scale_and_bears_copies() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(300, 4, generator=generator, dtype=torch.float64)
    targets = inputs @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]]).double() + 7.0
    known, asked = inputs.split(200)
    plain = ridge(known, targets[:200], asked)
    torch.testing.assert_close(plain, targets[200:], rtol=0, atol=2e-3)
    scaled = ridge(1e-3 * known, targets[:200], 1e-3 * asked)
    torch.testing.assert_close(scaled, plain, rtol=0, atol=1e-9)
    copied = ridge(
        *(x.repeat(1, 2) if x.shape[1] == 4 else x for x in (known, targets[:200], asked))
    )
    torch.testing.assert_close(copied, plain, rtol=0, atol=2e-3)


@pytest.fixture(scope="module")
def fixed() -> Trajectories:
    return Trajectories.from_rollouts(
        *collect(CollectConfig("mixed", "fixed", episodes=64, steps=60, seed=5))
    )


def test_the_shipped_checkpoint_knows_its_layout(
    default_agent: JEPAAgent, fixed: Trajectories
) -> None:
    found = diagnose(default_agent, fixed, fixed, episodes=4)
    assert found.position_error < 2.0
    assert found.layout_error == []  # nothing varies
    assert found.rank_correlation is not None
    assert found.rank_correlation > 0.95
    assert list(found.rank_correlations) == ["same room", "through the door"]
    assert all(value is not None for value in found.rank_correlations.values())
    near, far = found.open_loop_error
    assert near <= far < 5.0
    assert found.violations is not None
    assert found.violations < 0.2
    assert found.collapse.rank_me > 3.0
    assert found.success == 1.0
    assert list(found.state_r2) == ["x", "y"]
    assert min(found.state_r2.values()) > 0.98
    assert list(found.standing_still) == ["2", "4", "8", "16", "32", "50"]
    assert max(found.standing_still.values()) < 0.6
    assert found.warnings == []


def test_an_untrained_model_knows_nothing(
    tiny_agent: JEPAAgent, tiny_trajectories: Trajectories
) -> None:
    tiny_agent.model.float()
    found = diagnose(tiny_agent, tiny_trajectories, tiny_trajectories)
    assert found.position_error > 3.0
    assert len(found.layout_error) == 2  # the wall and the door vary, the door's width does not
    assert found.success is None
    assert all(map(np.isfinite, [found.rank_correlation, *found.rank_correlations.values()]))


def test_a_world_that_offers_nothing_is_diagnosed_by_what_it_shows() -> None:
    """Pendulum has no goals, no map and no renderer: only the probe's errors are left."""
    config = WorldModelConfig((3,), 1, 3, chunk=2, latent_dim=4, encoder=VectorMLPConfig())
    agent = JEPAAgent(WorldModel(config), ActionBounds((-2.0,), (2.0,)), EnvRef("Pendulum-v1", {}))
    rng = np.random.default_rng(0)
    walks = Trajectories.from_rollouts(
        rng.normal(size=(4, 21, 3)).astype(np.float32),
        rng.uniform(-2, 2, (4, 20, 1)).astype(np.float32),
        np.zeros((4, 0), np.float32),
        {"env_id": "Pendulum-v1", "env_kwargs": {}},
    )
    found = diagnose(agent, walks, walks, episodes=2)
    assert found.position_error is not None
    assert found.rank_correlation is found.violations is found.success is None
    assert found.success_unknown == "the environment shows no desired_goal"
    assert list(found.state_r2) == ["state 0", "state 1", "state 2"]
    assert any("state 2" in warning for warning in found.warnings)
    assert found.rank_correlations == {}


POINT = gym.spaces.Box(-1, 1, (2,), np.float32)


class Solved(gym.Env):
    """Every step is a success, unless it is broken."""

    observation_space = gym.spaces.Dict(observation=POINT, desired_goal=POINT)
    action_space = POINT

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        return self.observation_space.sample(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        if self.broken:
            raise KeyError("distance")
        return self.observation_space.sample(), 0.0, False, False, {"is_success": True}


gym.register("Solved-v0", Solved, max_episode_steps=3)


@pytest.mark.parametrize("broken", [False, True])
def test_success_is_the_worlds_own_or_unknown_with_a_reason(
    broken: bool,
) -> None:
    config = WorldModelConfig((2,), 2, 2, chunk=2, latent_dim=4, encoder=VectorMLPConfig())
    bounds, env_ref = ActionBounds((-1.0, -1.0), (1.0, 1.0)), EnvRef("Solved-v0", {})
    rng = np.random.default_rng(0)
    walks = Trajectories.from_rollouts(
        rng.normal(size=(4, 21, 2)).astype(np.float32),
        rng.uniform(-1, 1, (4, 20, 2)).astype(np.float32),
        np.zeros((4, 0), np.float32),
        {"env_id": "Solved-v0", "env_kwargs": {"broken": broken}},
    )
    agent = JEPAAgent(WorldModel(config), bounds, env_ref)
    found = diagnose(agent, walks, walks, episodes=2)
    assert found.success == (None if broken else 1.0)
    assert found.success_unknown == ("every episode raised KeyError: 'distance'" if broken else "")


def test_r_squared_equals_its_definition_and_knows_no_unit() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(50, 3, generator=generator)
    guess = truth + 0.3 * torch.randn(50, 3, generator=generator)
    truth[:, 2] = 7.0
    found = r_squared(guess, truth)
    for column in range(2):
        residual = ((guess - truth)[:, column] ** 2).sum()
        total = ((truth[:, column] - truth[:, column].mean()) ** 2).sum()
        assert found[column] == pytest.approx(float(1 - residual / total), rel=1e-4)
    assert found[2] is None
    assert r_squared(1e-6 * guess, 1e-6 * truth)[:2] == pytest.approx(found[:2], rel=1e-4)


HEALTHY = CollapseStats(spread=1.0, rank_me=30.0, dim=64)


def test_what_is_not_learnt_is_said_in_words() -> None:
    assert list(warnings({"x": 0.9, "block angle": 0.6}, {"5": 0.4, "20": 0.9}, HEALTHY)) == []
    missing, ahead = warnings({"x": 0.9, "block angle": 0.08}, {"5": 0.4, "20": 1.1}, HEALTHY)
    assert missing.startswith("block angle is not in the latent: R2 0.08; train longer")
    assert ahead.startswith("imagining 20 steps is no better than predicting no change: error 1.10")
    many = {f"joint {index}": 0.01 * index for index in range(9)}
    (line,) = warnings(many, {"5": 0.4}, HEALTHY)
    named = "joint 0, joint 1, joint 2, joint 3, joint 4 and 4 more are not in the latent: R2 0.00,"
    assert line.startswith(named)
    (line,) = warnings({}, {"5": 0.4}, CollapseStats(0.01, 30.0, 64))
    assert line.startswith("collapsed")


class Seen(gym.Env):
    """Shows the place and hides the mood."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    state_names = ("right", "down", "mood")


def test_a_number_of_the_state_that_is_not_shown_is_named() -> None:
    gym.register("Seen-v0", Seen)
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (40, 30, 2)).astype(np.float32)
    place = np.concatenate([np.zeros((40, 1, 2)), actions.cumsum(axis=1)], axis=1)
    states = np.concatenate([place, rng.normal(size=(40, 31, 1))], axis=-1).astype(np.float32)
    data = Trajectories.from_rollouts(
        states, actions, np.zeros((40, 0), np.float32), {"env_id": "Seen-v0", "env_kwargs": {}},
        observations=place.astype(np.float32),
    )  # fmt: skip
    model = WorldModelConfig(
        latent_dim=8, chunk=3, encoder=VectorMLPConfig(features=16, layers=1),
        predictor=ResidualMLPConfig(width=16, depth=1),
    )  # fmt: skip
    training = TrainingConfig(
        steps=150, windows_per_layout=16, horizon=2, learning_rate=1e-2,
        weights=LossWeights(variance=4.0, covariance=2.0, distance=0.0), held_out_share=0.1,
    )  # fmt: skip
    log: list[Any] = []
    train(data, Preset(model, training), callbacks=[lambda progress, _: log.append(progress)])
    del gym.registry["Seen-v0"]
    found = log[-1].diagnostics
    assert list(found.state_r2) == ["right", "down", "mood"]
    assert min(found.state_r2["right"], found.state_r2["down"]) > 0.8
    assert found.state_r2["mood"] < 0.1
    (warning,) = (each for each in found.warnings if "latent" in each)
    assert warning.startswith("mood is not in the latent: R2 ")
    assert list(found.standing_still) == ["3", "6", "12", "24", "30"]
    assert found.standing_still["12"] < 0.9
    line = held_out_line(found, "")
    assert line.startswith("held out: R2 right ")
    assert "success unknown (the environment shows no desired_goal)" in line
