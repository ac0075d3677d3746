"""Windows drawn from trajectories on the training device, pixels rendered from states."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .trajectories import Trajectories

Renderer = Callable[[Tensor, Tensor], Tensor]
"""Compact states (..., S) and contexts (..., C) to uint8 images (..., H, W, C)."""


class Windows(NamedTuple):
    """A batch of G groups of one context each, R windows a group, of H chunks."""

    states: Tensor
    """(G, R, H + 1, S): the states at the chunks' ends."""
    actions: Tensor
    """(G, R, H, K * A)."""
    context: Tensor
    """(G, 1, 1, C)."""


class WindowSampler:
    """Draws windows from trajectories that lie on the training device.

    Args:
        trajectories: the data.
        chunk: environment steps K per chunk.
        horizon: chunks H per window.
        device: where the data go and the windows come from.
    """

    def __init__(
        self, trajectories: Trajectories, chunk: int, horizon: int, device: torch.device
    ) -> None:
        lengths = np.diff(trajectories.offsets)
        needed = chunk * horizon + 1
        usable = np.flatnonzero(lengths >= needed)
        if len(usable) == 0:
            raise ValueError(
                f"windows of {horizon} chunks of {chunk} steps need episodes of {needed} states, "
                f"got at most {lengths.max()}; collect longer episodes or lower the horizon"
            )
        contexts = trajectories.context[usable]
        if contexts.shape[1] == 0:  # nothing is constant in an episode: one context for all
            contexts, group = contexts[:1], np.zeros(len(usable), dtype=np.int64)
        else:
            contexts, group = np.unique(contexts, axis=0, return_inverse=True)
        order = np.argsort(group.reshape(-1), kind="stable")  # episodes of one context in a row
        counts = np.bincount(group.reshape(-1))

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(array)).to(device)

        self._chunk, self._horizon = chunk, horizon
        self._states, self._actions = tensor(trajectories.states), tensor(trajectories.actions)
        self._contexts = tensor(contexts)
        self._first_episode, self._episodes = tensor(np.cumsum(counts) - counts), tensor(counts)
        episode = usable[order]
        self._offset = tensor(trajectories.offsets[episode])
        self._action_offset = tensor(trajectories.offsets[episode] - episode)
        self._starts = tensor(lengths[episode] - needed + 1)

    @property
    def num_contexts(self) -> int:
        """How many distinct contexts the data have."""
        return len(self._contexts)

    def draw(self, groups: int, windows: int, generator: torch.Generator) -> Windows:
        """Draw `groups` contexts and `windows` windows of each.

        Contexts are distinct where the data have enough of them.
        """
        device = self._states.device
        if self.num_contexts >= groups:
            context = torch.randperm(self.num_contexts, generator=generator, device=device)[:groups]
        else:
            context = torch.randint(
                self.num_contexts, (groups,), generator=generator, device=device
            )
        uniforms = torch.rand(2, groups, windows, generator=generator, device=device)
        share = (uniforms[0] * self._episodes[context, None]).long()
        episode = self._first_episode[context, None] + share
        start = (uniforms[1] * self._starts[episode]).long()  # (G, R)
        steps = torch.arange(self._chunk * self._horizon, device=device)
        frames = torch.arange(self._horizon + 1, device=device) * self._chunk
        states = self._states[(self._offset[episode] + start)[..., None] + frames]
        actions = self._actions[(self._action_offset[episode] + start)[..., None] + steps]
        return Windows(
            states,
            actions.reshape(groups, windows, self._horizon, -1),
            self._contexts[context][:, None, None],
        )
