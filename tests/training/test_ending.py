"""The end of an episode is learned in refinement, from data that say where episodes ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from jepa_agent import Trajectories, train
from jepa_agent.envs import CollectConfig, collect
from jepa_agent.models.ending import EndingConfig
from jepa_agent.training.config import RefinementConfig

DANGEROUS = CollectConfig("mixed", "fixed", episodes=64, steps=24, hazard="strip", slip=0.1)


def dangerous(preset, steps: int = 3):
    tiny = preset.model
    return replace(
        preset,
        model=replace(
            tiny, predictor=replace(tiny.predictor, heads=3), ending=EndingConfig(width=32)
        ),
        training=replace(
            preset.training,
            refinement=RefinementConfig(steps, layouts_per_batch=1, windows_per_layout=64),
        ),
    )


def test_training_needs_data_in_which_something_ends(tiny_preset) -> None:
    data = Trajectories.from_rollouts(*collect(replace(DANGEROUS, hazard="none")))
    with pytest.raises(ValueError, match="terminal states"):
        train(data, dangerous(tiny_preset), "cpu")


def test_refinement_learns_the_dynamics_and_the_end(tiny_preset) -> None:
    data = Trajectories.from_rollouts(*collect(DANGEROUS))
    losses: list[dict[str, float]] = []
    agent = train(
        data, dangerous(tiny_preset), "cpu", callbacks=[lambda now, _: losses.append(now.losses)]
    )
    assert "ending" in losses[-1]
    start = torch.zeros(agent.model.config.latent_dim)
    chances = agent.model.chance_of_ending(start, torch.zeros(agent.model.config.chunk * 2))
    assert 0 < chances < 1


def test_the_chance_is_that_of_the_outcomes() -> None:
    """Points that move right by their action and some noise end beyond 1."""
    torch.manual_seed(0)
    ending = EndingConfig(width=32).build(1, 1)
    optimizer = torch.optim.Adam(ending.parameters(), 0.01)
    for _ in range(200):
        start, action = 2 * torch.rand(256, 1) - 1, torch.rand(256, 1, 1)
        end = start + action[:, 0] + 0.2 * torch.randn(256, 1)
        latents = torch.stack([start, end], dim=1)
        terminal = torch.cat([torch.zeros(256, 1, dtype=torch.bool), end > 1], dim=1)
        optimizer.zero_grad()
        ending.loss(latents, action, terminal).backward()
        optimizer.step()
    places = torch.tensor([[-0.5], [0.5], [0.9]])
    chances = ending(places, torch.full((3, 1), 0.5)).sigmoid()
    expected = torch.special.ndtr((places[:, 0] + 0.5 - 1) / 0.2)
    torch.testing.assert_close(chances, expected, atol=0.08, rtol=0)


def test_an_ended_episode_teaches_neither_dynamics_nor_another_end() -> None:
    ending = EndingConfig(width=4).build(2, 2)
    latents, actions = torch.randn(3, 3, 2), torch.randn(3, 2, 2)
    terminal = torch.tensor([[False, True, True]] * 3)
    one = ending.loss(latents, actions, terminal)
    changed = latents.clone()
    changed[:, 1:] += 1
    torch.testing.assert_close(ending.loss(changed, actions, terminal), one)
