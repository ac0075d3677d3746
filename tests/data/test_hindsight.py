"""Goals in hindsight lie later in the same episode, and the actions lead to them."""

from __future__ import annotations

import numpy as np
import torch

from jepa_agent import Trajectories
from jepa_agent.data.hindsight import HindsightSampler
from jepa_agent.data.latents import Latents


def test_pieces_are_of_one_episode_and_every_beginning_is_drawn() -> None:
    lengths = [2, 5, 9]  # frames
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    episode = np.repeat(np.arange(3), lengths)
    frame = np.arange(offsets[-1]) - offsets[episode]
    states = np.stack([episode, frame], axis=1).astype(np.float32)
    last = np.isin(np.arange(len(frame)), offsets[1:] - 1)
    trajectories = Trajectories(states, states[~last], np.zeros((3, 0), np.float32), offsets, {})
    latents = Latents(torch.as_tensor(states).half(), trajectories)
    sampler = HindsightSampler(latents, horizon=3, reach=4, device=torch.device("cpu"))
    drawn = sampler.draw(2000, torch.Generator().manual_seed(0))
    assert (drawn.latents[:, 0] == drawn.goals[:, 0]).all()
    assert (drawn.goals[:, 1] - drawn.latents[:, 1] == drawn.ahead).all()
    assert drawn.ahead.unique().tolist() == [1, 2, 3, 4]
    assert (drawn.actions[:, 0] == drawn.latents).all()
    steps = torch.arange(3)
    inside = steps < drawn.ahead[:, None]
    expected = drawn.latents[:, None, 1] + steps
    assert (drawn.actions[..., 1] == expected)[inside].all()
    assert (drawn.actions[..., 0] == drawn.latents[:, :1]).all()
    assert len({tuple(row) for row in drawn.latents.tolist()}) == 1 + 4 + 8
