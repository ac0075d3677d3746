"""Goals in hindsight: what was done, and what came of it some chunks later."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .latents import Latents


class Hindsight(NamedTuple):
    """B pieces of trajectories whose ends are goals."""

    latents: Tensor
    """(B, D), where they begin."""
    goals: Tensor
    """(B, D), where they end."""
    actions: Tensor
    """(B, H, K * A), the first chunks; those after the end have no meaning."""
    ahead: Tensor
    """(B,), chunks from beginning to end."""


class HindsightSampler:
    """Draws beginnings anywhere in a data set, and goals later in the same episodes.

    Args:
        latents: the data set, as a frozen encoder sees it.
        horizon: chunks H of actions to draw.
        reach: chunks to the farthest goals.
        device: where the data lie.
    """

    def __init__(self, latents: Latents, horizon: int, reach: int, device: torch.device) -> None:
        data = latents.trajectories
        chunks = np.diff(data.offsets) - 1  # an episode has one action fewer than frames
        end = np.repeat(np.cumsum(chunks), chunks)
        episode = np.repeat(np.arange(len(chunks)), chunks)
        self._latents, self._horizon = latents.values, horizon
        self._actions = torch.as_tensor(data.actions).to(device)
        self._episode = torch.as_tensor(episode).to(device)
        self._left = torch.as_tensor(end - np.arange(len(end))).to(device)
        self._reach = self._left.clamp_max(reach)

    def draw(self, count: int, generator: torch.Generator) -> Hindsight:
        """Draw pieces; every goal within the reach is as likely."""
        device = self._actions.device
        first = torch.randint(len(self._actions), (count,), generator=generator, device=device)
        share = torch.rand(count, generator=generator, device=device)
        ahead = 1 + (share * self._reach[first]).long()
        frame = first + self._episode[first]
        steps = torch.arange(self._horizon, device=device)
        steps = torch.minimum(steps, self._left[first, None] - 1)
        return Hindsight(
            self._latents[frame].float(),
            self._latents[frame + ahead].float(),
            self._actions[first[:, None] + steps],
            ahead,
        )
