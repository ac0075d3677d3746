"""A data set as a frozen encoder sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .trajectories import Trajectories

ENCODED_TOGETHER = 2048
"""Frames per call of the encoder."""


class Latents(NamedTuple):
    """Latents of a data set, one frame a chunk."""

    values: Tensor
    """float16 (N, D), one for every state of `trajectories`."""
    trajectories: Trajectories
    """Every K-th state of the data; an action is the chunk (K * A) between two of them."""


@torch.no_grad()
def encode_trajectories(
    trajectories: Trajectories,
    encode: Callable[[Tensor], Tensor],
    chunk: int,
    device: torch.device,
    seed: int = 0,
    left_out: Sequence[int] | np.ndarray = (),
) -> Latents:
    """Encode every K-th frame of every episode.

    Args:
        trajectories: the data.
        encode: rows of the data (N,) to latents (N, D).
        chunk: environment steps K per chunk; every episode begins at a random one of its first K.
        device: where to encode.
        seed: of these beginnings.
        left_out: numbers (n,) of episodes that are not encoded.
    """
    lengths = np.diff(trajectories.offsets)
    long = np.setdiff1d(np.flatnonzero(lengths > chunk), left_out)
    phase = np.random.default_rng(seed).integers(np.minimum(chunk, lengths[long] - chunk))
    frames = (lengths[long] - 1 - phase) // chunk + 1
    offsets = np.concatenate([[0], np.cumsum(frames)])
    episode = np.repeat(np.arange(len(long)), frames)
    first = (trajectories.offsets[long] + phase)[episode]
    rows = first + chunk * (np.arange(len(episode)) - offsets[episode])
    parts = torch.as_tensor(rows).to(device).split(ENCODED_TOGETHER)
    has_next = np.ones(len(rows), dtype=bool)
    has_next[offsets[1:] - 1] = False
    starts = (rows - long[episode])[has_next]  # an episode has one action fewer than states
    actions = trajectories.actions[starts[:, None] + np.arange(chunk)]
    return Latents(
        torch.cat([encode(part).to(torch.float16) for part in parts]),
        Trajectories(
            trajectories.states[rows],
            actions.reshape(len(starts), -1),
            trajectories.layout[long],
            offsets,
            trajectories.metadata,
            terminal=None if trajectories.terminal is None else trajectories.terminal[rows],
        ),
    )
