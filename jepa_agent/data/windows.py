"""Windows drawn from trajectories on the training device, pixels rendered from states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .joined import Rows
from .painted import PaintedFrames
from .resizing import SCALED_TOGETHER, scaled
from .trajectories import Trajectories

Renderer = Callable[[Tensor, Tensor], Tensor]
"""Compact states (..., S) and layouts (..., C) to uint8 images (..., H, W, C)."""


class Windows(NamedTuple):
    """A batch of G groups of one layout each, R windows a group, of H chunks."""

    layout_ids: Tensor
    """(G,): the layouts' numbers in the data."""
    frame_index: Tensor
    """(G, R, H + 1): where the chunks' ends are in the data."""
    states: Tensor
    """(G, R, H + 1, S): the states there."""
    actions: Tensor
    """(G, R, H, K * A)."""
    layout: Tensor
    """(G, 1, 1, C)."""


class ObservationSource:
    """What a model sees of the data: rendered states, stored observations, or the states alone.

    Args:
        trajectories: the data.
        render: the environment's batched renderer, if it has one; data of several frames an
            observation are rendered so, oldest first.
        device: where stored observations go and views are made.
        shape: (h, w, C) that stored images in memory are scaled to once, instead of at every step;
            None for as they are.
        again: whether every frame will be asked for more than once; on the CPU it is then rendered
            once, and kept.
    """

    def __init__(
        self,
        trajectories: Trajectories,
        render: Renderer | None,
        device: torch.device,
        shape: tuple[int, ...] | None = None,
        again: bool = False,
    ) -> None:
        self._trajectories, self._render, self._device = trajectories, render, device
        self._history = trajectories.metadata.get("history", 1)
        self._stored: Tensor | Rows | None = None
        self._painted: PaintedFrames | None = None
        if render is not None and again and device.type == "cpu":
            self._painted = PaintedFrames(trajectories, render)
        if render is not None and self._history > 1:
            self._states = torch.as_tensor(trajectories.states).to(device)
            self._offsets = torch.as_tensor(trajectories.offsets).to(device)
        if render is None:
            stored = trajectories.observations
            self._stored = stored
            if isinstance(stored, np.ndarray):
                self._stored = _on_device(torch.as_tensor(stored), device, shape)

    @property
    def on_disk(self) -> bool:
        """Whether observations are read from the disk, where the host has to know their rows."""
        return self._stored is not None and not isinstance(self._stored, Tensor)

    def read(self, windows: Windows) -> Tensor:
        """Observations of windows, read from the disk into memory of the host."""
        assert self._stored is not None
        rows = windows.frame_index.cpu().numpy()
        return torch.as_tensor(self._stored[rows])

    def __call__(self, windows: Windows) -> Tensor:
        """Observations (G, R, H + 1, *shape) of windows."""
        return self._show(windows.frame_index, windows.states, windows.layout)

    def at(self, rows: Tensor) -> Tensor:
        """Observations (..., *shape) of any rows (...) of the data."""
        data, place = self._trajectories, rows.cpu().numpy()
        episode = np.searchsorted(data.offsets, place, side="right") - 1
        states, layout = map(torch.as_tensor, (data.states[place], data.layout[episode]))
        return self._show(rows, states.to(self._device), layout.to(self._device))

    def _show(self, rows: Tensor, states: Tensor, layout: Tensor) -> Tensor:
        if self._render is not None:
            return self._rendered(self._render, rows.to(self._device), states, layout)
        if self._stored is None or isinstance(self._stored, Tensor):
            return states if self._stored is None else self._stored[rows]
        return torch.as_tensor(self._stored[rows.cpu().numpy()]).to(self._device)

    def _rendered(self, render: Renderer, rows: Tensor, states: Tensor, layout: Tensor) -> Tensor:
        """Images (..., H, W, history * C); before an episode's first frame, that is repeated."""

        def frame(rows: Tensor, states: Tensor) -> Tensor:
            return render(states, layout) if self._painted is None else self._painted(rows)

        frames = [frame(rows, states)]
        if self._history > 1:
            episode = torch.searchsorted(self._offsets, rows.contiguous(), right=True) - 1
            first = self._offsets[episode]
        for back in range(1, self._history):
            earlier = torch.maximum(rows - back, first)
            frames.insert(0, frame(earlier, self._states[earlier]))
        return frames[0] if len(frames) == 1 else torch.cat(frames, dim=-1)


def constant_states(trajectories: Trajectories) -> np.ndarray:
    """The components (E, C) of the states that no episode changes, such as a target's place."""
    starts, states = trajectories.offsets[:-1], trajectories.states
    low, high = (each.reduceat(states, starts, axis=0) for each in (np.minimum, np.maximum))
    return low[:, (low == high).all(axis=0)]


class WindowSampler:
    """Draws windows from trajectories that lie on the training device.

    Args:
        trajectories: the data.
        chunk: environment steps K per chunk.
        horizon: chunks H per window.
        device: where the data go and the windows come from.
        left_out: numbers (n,) of episodes that no window comes from.
    """

    def __init__(
        self,
        trajectories: Trajectories,
        chunk: int,
        horizon: int,
        device: torch.device,
        left_out: Sequence[int] | np.ndarray = (),
    ) -> None:
        lengths = np.diff(trajectories.offsets)
        needed = chunk * horizon + 1
        usable = np.setdiff1d(np.flatnonzero(lengths >= needed), left_out)
        if len(usable) == 0:
            raise ValueError(
                f"windows of {horizon} chunks of {chunk} steps need episodes of {needed} states, "
                f"got at most {lengths.max()}; collect longer episodes or lower the horizon"
            )
        told = trajectories.layout.shape[1] > 0
        constant = trajectories.layout if told else constant_states(trajectories)
        _, one, group = np.unique(constant[usable], axis=0, return_index=True, return_inverse=True)
        layouts = trajectories.layout[usable[one]]
        order = np.argsort(group.reshape(-1), kind="stable")  # episodes of one layout in a row
        counts = np.bincount(group.reshape(-1))

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(array)).to(device)

        self._chunk, self._horizon = chunk, horizon
        self._states, self._actions = tensor(trajectories.states), tensor(trajectories.actions)
        self._layouts = tensor(layouts)
        self._first_episode, self._episodes = tensor(np.cumsum(counts) - counts), tensor(counts)
        episode = usable[order]
        self._offset = tensor(trajectories.offsets[episode])
        self._action_offset = tensor(trajectories.offsets[episode] - episode)
        self._starts = tensor(lengths[episode] - needed + 1)

    @property
    def num_layouts(self) -> int:
        """How many distinct layouts the data have."""
        return len(self._layouts)

    def draw(
        self,
        groups: int,
        windows: int,
        generator: torch.Generator,
        layouts: Tensor | None = None,
    ) -> Windows:
        """Draw `groups` layouts, distinct where the data have enough, and windows of each.

        Args:
            groups: layouts.
            windows: per layout.
            generator: on the sampler's device.
            layouts: (groups,), the numbers of layouts chosen already.
        """
        device = self._states.device
        if layouts is not None:
            layout = layouts
        elif self.num_layouts >= groups:
            layout = torch.randperm(self.num_layouts, generator=generator, device=device)[:groups]
        else:
            layout = torch.randint(self.num_layouts, (groups,), generator=generator, device=device)
        uniforms = torch.rand(2, groups, windows, generator=generator, device=device)
        share = (uniforms[0] * self._episodes[layout, None]).long()
        episode = self._first_episode[layout, None] + share
        start = (uniforms[1] * self._starts[episode]).long()  # (G, R)
        steps = torch.arange(self._chunk * self._horizon, device=device)
        frames = torch.arange(self._horizon + 1, device=device) * self._chunk
        rows = (self._offset[episode] + start)[..., None] + frames
        actions = self._actions[(self._action_offset[episode] + start)[..., None] + steps]
        return Windows(
            layout,
            rows,
            self._states[rows],
            actions.reshape(groups, windows, self._horizon, -1),
            self._layouts[layout][:, None, None],
        )


def _on_device(stored: Tensor, device: torch.device, shape: tuple[int, ...] | None) -> Tensor:
    """Stored observations on the device; images of another size are scaled piece by piece."""
    if shape is None or stored.shape[1:] == shape:
        return stored.to(device)
    return torch.cat([scaled(part.to(device), shape) for part in stored.split(SCALED_TOGETHER)])
