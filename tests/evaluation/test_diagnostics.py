from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from jepa_agent import EnvRef, JEPAAgent, Trajectories, WorldModel, WorldModelConfig
from jepa_agent.envs import CollectConfig, collect
from jepa_agent.evaluation.collapse import rank_me
from jepa_agent.evaluation.diagnostics import diagnose, ridge, spearman
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import ActionBounds


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
    broken: bool, caplog: pytest.LogCaptureFixture
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
    assert diagnose(agent, walks, walks, episodes=2).success == (None if broken else 1.0)
    said = "every held-out episode raised KeyError: 'distance'; their success is unknown"
    assert (said in caplog.text) == broken
