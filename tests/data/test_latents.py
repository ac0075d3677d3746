"""A data set as a frozen encoder sees it."""

from __future__ import annotations

import numpy as np
import torch

from jepa_agent import Trajectories
from jepa_agent.data.latents import encode_trajectories

LENGTHS = (9, 4, 12, 7, 10)
"""States per episode."""


def uneven() -> Trajectories:
    """Episodes of unequal length; every state and action says where it comes from."""
    states = [(e, t) for e, length in enumerate(LENGTHS) for t in range(length)]
    actions = [(e, t) for e, length in enumerate(LENGTHS) for t in range(length - 1)]
    return Trajectories(
        np.array(states, dtype=np.float32),
        np.array(actions, dtype=np.float32),
        np.arange(5, dtype=np.float32)[:, None],
        np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64),
    )


def test_encoded_trajectories_are_every_kth_state_and_the_actions_between() -> None:
    """With the identity as encoder; an episode of four states is too short for a chunk of four."""
    data, seen = uneven(), set()
    for seed in range(20):
        encoded = encode_trajectories(
            data, lambda rows: torch.as_tensor(data.states)[rows],
            chunk=4, device=torch.device("cpu"), seed=seed,
        )  # fmt: skip
        assert len(encoded.trajectories) == 4
        assert encoded.values.dtype == torch.float16
        np.testing.assert_array_equal(encoded.values, encoded.trajectories.states)
        for piece in encoded.trajectories.episodes():
            episode, first = int(piece.states[0, 0]), int(piece.states[0, 1])
            times = np.arange(first, LENGTHS[episode], 4)
            np.testing.assert_array_equal(piece.states[:, 1], times)
            np.testing.assert_array_equal(piece.states[:, 0], episode)
            np.testing.assert_array_equal(piece.layout[0], data.layout[episode])
            actions = piece.actions.reshape(-1, 4, 2)
            np.testing.assert_array_equal(actions[..., 0], episode)
            np.testing.assert_array_equal(actions[..., 1], times[:-1, None] + np.arange(4))
            seen.add((episode, first))
    assert {first for episode, first in seen if episode == 2} == {0, 1, 2, 3}
    assert {first for episode, first in seen if episode == 3} == {0, 1, 2}
