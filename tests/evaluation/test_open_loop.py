"""Open-loop errors of models whose error is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from jepa_agent import Trajectories, WorldModelConfig
from jepa_agent.evaluation.open_loop import against_standing_still, open_loop

CHUNK = 5


class Straight:
    """A model that is right: states are latents, and move by the sum of the actions."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self.config = WorldModelConfig(chunk=CHUNK, latent_dim=2)
        self.observation_mean = torch.zeros(3)

    def encode(self, images: Tensor) -> Tensor:
        return images

    def locate(self, latents: Tensor) -> Tensor:
        return latents

    def rollout(self, latents: Tensor, actions: Tensor) -> Tensor:
        moves = actions.unflatten(-1, (CHUNK, 2)).sum(dim=-2)
        return latents[..., None, :] + self.speed * moves.cumsum(dim=-2)


@pytest.fixture
def walks() -> Trajectories:
    """20 walkers, each 30 equal steps of length 1 in a direction of its own."""
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    step = np.stack([np.cos(angles), np.sin(angles)], axis=-1)[:, None]
    actions = np.repeat(step, 30, axis=1).astype(np.float32)
    states = np.concatenate([np.zeros((20, 1, 2)), actions.cumsum(axis=1)], axis=1)
    return Trajectories.from_rollouts(
        states.astype(np.float32), actions, np.arange(20, dtype=np.float32)[:, None], {}
    )


def measure(model: Any, walks: Trajectories, **options: Any) -> list:
    return open_loop(model, lambda states, layout: states, walks, chunks=4, **options)


def test_a_true_model_makes_no_error_and_the_controls_do(walks: Trajectories) -> None:
    steps = measure(Straight(), walks)
    assert [each.steps for each in steps] == [5, 10, 15, 20]
    for each in steps:
        assert each.error == pytest.approx(0.0, abs=1e-4)
        assert each.stand_still == pytest.approx(each.steps, rel=1e-4)
        assert each.random_actions > 0.2 * each.steps
        assert each.violations is None


def test_the_error_of_a_model_that_is_too_slow_grows_with_the_way(walks: Trajectories) -> None:
    for each in measure(Straight(speed=0.9), walks):
        assert each.error == pytest.approx(0.1 * each.steps, rel=1e-3)


def test_violations_are_the_share_of_states_that_are_not_free(walks: Trajectories) -> None:
    within_12 = lambda states, layout: states.norm(dim=-1) < 12.0  # noqa: E731
    starts_at_zero = Trajectories.from_rollouts(
        walks.states.reshape(20, 31, 2)[:, :21], walks.actions.reshape(20, 30, 2)[:, :20],
        walks.layout, {},
    )  # fmt: skip
    steps = measure(Straight(), starts_at_zero, is_free=within_12)
    assert [each.violations for each in steps] == [0.0, 0.0, 1.0, 1.0]


def test_latents_are_compared_with_predicting_no_change(walks: Trajectories) -> None:
    def ratios(speed: float) -> list[float]:
        model: Any = Straight(speed)
        return against_standing_still(model, lambda states, layout: states, walks, chunks=4)

    assert ratios(1.0) == pytest.approx([0.0] * 4, abs=1e-5)
    assert ratios(0.7) == pytest.approx([0.3] * 4, rel=1e-3)
    assert ratios(0.0) == pytest.approx([1.0] * 4, rel=1e-4)


def test_where_nothing_changes_no_model_is_better_than_standing_still(walks: Trajectories) -> None:
    still = Trajectories(0 * walks.states, 0 * walks.actions, walks.layout, walks.offsets)
    model: Any = Straight()
    found = against_standing_still(model, lambda states, layout: states, still, chunks=2)
    assert found == [1.0, 1.0]
