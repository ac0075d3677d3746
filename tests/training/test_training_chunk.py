"""Models that learn from longer chunks than they plan in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, Preset, Trajectories, WorldModel, WorldModelConfig, train
from jepa_agent.agent.costs import CostConfig, PlanningCost
from jepa_agent.agent.imagination import imagine
from jepa_agent.envs import CollectConfig, collect
from jepa_agent.models.ending import EndingConfig
from jepa_agent.models.predictors import ResidualMLPConfig, StepwiseMLPConfig
from jepa_agent.training.config import RefinementConfig, TrainingConfig

MODEL = WorldModelConfig(chunk=4, latent_dim=16, predictor=StepwiseMLPConfig(16, 8))
TRAINING = TrainingConfig(
    steps=2, layouts_per_batch=2, windows_per_layout=8, horizon=2,
    refinement=RefinementConfig(steps=2, layouts_per_batch=2, windows_per_layout=8, horizon=2),
)  # fmt: skip


def trained(model: WorldModelConfig, training: TrainingConfig) -> JEPAAgent:
    data = Trajectories.from_rollouts(*collect(CollectConfig(episodes=32, episodes_per_layout=2)))
    return train(data, Preset(model, training), "cpu")


def test_joint_training_is_the_same_however_long_planned_chunks_are() -> None:
    alone = replace(TRAINING, refinement=replace(TRAINING.refinement, steps=0))
    long = trained(MODEL, alone)
    short = trained(replace(MODEL, chunk=2, training_chunk=4), alone)
    for name, tensor in long.model.state_dict().items():
        assert torch.equal(tensor, short.model.state_dict()[name]), name


def test_refinement_learns_and_plans_play_the_shorter_chunks(tmp_path: Path) -> None:
    model = replace(MODEL, chunk=2, training_chunk=4)
    short, longer = trained(model, TRAINING), trained(MODEL, TRAINING)
    weights = [each.model.predictor.state_dict() for each in (short, longer)]
    assert not torch.equal(weights[0]["read.0.weight"], weights[1]["read.0.weight"])
    short.save(tmp_path)
    agent = JEPAAgent.load(tmp_path, "cpu")
    assert (agent.chunks.steps, agent.model.config.learned_chunk) == (2, 4)
    env = agent.env_ref.make()
    observation, _ = env.reset(seed=0)
    state, planned = None, []
    for _ in range(5):
        action, state = agent.predict(observation, state)
        planned.append(bool(np.all(state.planned)))
        observation = env.step(action)[0]
    assert planned == [True, False, True, False, True]


def test_a_predictor_of_one_length_gets_shorter_chunks_filled_up() -> None:
    config = replace(MODEL, chunk=2, training_chunk=4, predictor=ResidualMLPConfig(16, 1))
    model = WorldModel(config)
    model.action_mean.fill_(0.5)
    latents, short = torch.randn(3, config.latent_dim), torch.randn(3, 4)
    filled = torch.cat([short, torch.full((3, 4), 0.5)], dim=-1)
    torch.testing.assert_close(model.predict(latents, short), model.predict(latents, filled))
    two = model.rollout(latents, short.unflatten(-1, (1, -1)))
    torch.testing.assert_close(two[:, 0], model.predict(latents, short))
    agent = trained(config, TRAINING)
    assert (agent.chunks.steps, agent.model.config.learned_chunk) == (2, 4)


def test_arrivals_count_planned_chunks_and_distances_those_of_joint_training() -> None:
    config = replace(MODEL, chunk=2, training_chunk=4)
    model = WorldModel(config).eval().requires_grad_(False)
    latents, goals = torch.randn(2, 3, config.latent_dim)
    candidates = torch.rand(3, 5, 2, 2)
    cost = PlanningCost(model, latents, goals, CostConfig(reduction="last"))
    ends = imagine(model, latents, candidates)[0][:, :, -1]
    expected = 2 + 2 * model.distance(ends, goals[:, None])
    torch.testing.assert_close(cost.foresee(candidates).arrival[:, 0], expected)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"predictor": ResidualMLPConfig(), "chunk": 6}, "got 5 and 6 .* leave"),
        ({"ending": EndingConfig(width=8)}, "got 5 and 4 .* width of 8; leave"),
    ],
)
def test_chunks_that_do_not_fit_are_refused(other: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(MODEL, training_chunk=5, **other)
