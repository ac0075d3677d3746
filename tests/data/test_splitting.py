"""Episodes that are kept back are whole, spread over the data, and seen by no training."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from jepa_agent import Preset, TrainingConfig, Trajectories
from jepa_agent.data.splitting import held_out_episodes, selected
from jepa_agent.training.config import RefinementConfig
from jepa_agent.training.world_model import WorldModelTask


def numbered(episodes: int, observations: bool = False) -> Trajectories:
    """Episodes of 2, 3, 4, 2, 3, 4, ... states, whose numbers are those of their episodes."""
    lengths = 2 + np.arange(episodes) % 3
    which = np.repeat(np.arange(episodes), lengths)
    return Trajectories(
        which[:, None], np.repeat(np.arange(episodes), lengths - 1)[:, None],
        np.arange(episodes)[:, None], np.concatenate([[0], lengths.cumsum()]),
        observations=which[:, None] if observations else None,
    )  # fmt: skip


def test_some_whole_episodes_are_kept_back() -> None:
    data = numbered(100)
    found = held_out_episodes(data, 0.05, 2)
    assert len(found) == 5
    assert 10 < np.diff(found).min() <= np.diff(found).max() < 30  # spread over all recordings
    assert len(held_out_episodes(data, 0.001, 2)) == 1
    assert len(held_out_episodes(data, 0.0, 2)) == 0
    assert len(held_out_episodes(numbered(9), 0.5, 2)) == 0  # too few to spare any
    assert {(2 + each) % 3 for each in held_out_episodes(data, 0.2, 4) % 3} == {1}  # of 4 states


@pytest.mark.parametrize("observations", [False, True])
def test_chosen_episodes_are_those_of_the_data(observations: bool) -> None:
    data = numbered(20, observations)
    one_by_one = list(data.episodes())
    for copy, index in zip(selected(data, np.array([3, 7, 8])).episodes(), (3, 7, 8), strict=True):
        for name in ("states", "actions", "layout", "observations"):
            first, second = getattr(copy, name), getattr(one_by_one[index], name)
            assert np.array_equal(first, second)


def test_no_training_sees_what_is_kept_back(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    """Neither its windows nor the latents of its refinement."""
    refinement = RefinementConfig(steps=1, layouts_per_batch=2, windows_per_layout=2, horizon=2)
    training = dataclasses.replace(tiny_preset.training, held_out_share=0.1, refinement=refinement)
    preset = dataclasses.replace(tiny_preset, training=training)
    task = WorldModelTask(tiny_trajectories, preset, torch.device("cpu"))
    kept = held_out_episodes(tiny_trajectories, 0.1, 4)
    assert len(kept) == 3
    offsets = tiny_trajectories.offsets
    rows = torch.cat([task.sampler.draw(8, 64, task.generator).frame_index for _ in range(9)])
    seen = set(np.searchsorted(offsets, rows.flatten().numpy(), side="right") - 1)
    assert seen == set(range(32)) - set(kept.tolist())
    task.compute_losses(training.steps)
    assert task._latents is not None
    assert len(task._latents[0].trajectories) == 29


def test_a_share_is_a_share() -> None:
    with pytest.raises(ValueError, match=r"held_out_share must be in \[0, 1\), got 1.0"):
        TrainingConfig(held_out_share=1.0)
