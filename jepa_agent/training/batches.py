"""The batches of joint training: windows, what is seen in them, random directions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..data.read_ahead import ReadAhead
from ..data.windows import ObservationSource, Windows, WindowSampler
from . import distributed
from .config import TrainingConfig
from .objective import Objective

PROJECTIONS = 64
"""Number of random directions for SIGReg."""


class Batch(NamedTuple):
    """A process's share of a batch."""

    windows: Windows
    images: Tensor
    """(G, R, H + 1, *shape)."""
    directions: Tensor
    """(D, M), random directions for SIGReg; M is 0 without it."""


class Batches:
    """Draws batches. Observations on the disk are read one batch ahead, in a thread.

    Batches of similar layouts (`hard_negative_cluster`) are read when they are asked for: their
    layouts depend on prototypes that the step before updates.

    Args:
        sampler: draws windows.
        source: what is seen in them.
        objective: knows which layouts are similar.
        latent_dim: size D of the directions.
    """

    def __init__(
        self,
        sampler: WindowSampler,
        source: ObservationSource,
        objective: Objective,
        latent_dim: int,
    ) -> None:
        self._sampler, self._source, self._objective = sampler, source, objective
        self._config: TrainingConfig = objective.config
        self._directions = latent_dim, PROJECTIONS if self._config.weights.sigreg else 0
        count, cluster = self._config.layouts_per_batch, self._config.hard_negative_cluster
        self._similar = cluster > 1 and sampler.num_layouts >= count
        self._ahead = ReadAhead(lambda generator: source.read(self._windows(generator)))

    @property
    def are_read(self) -> bool:
        """Whether observations come from the disk, so that the host has to give them."""
        return self._source.on_disk

    def draw(self, generator: torch.Generator, more: bool = False) -> Batch:
        """The next batch.

        Args:
            generator: on the sampler's device.
            more: whether to read what the batch after this one needs, ahead.
        """
        state = generator.get_state() if self.are_read else None
        windows = self._windows(generator)
        read = None if state is None else self._ahead.take(state)
        if read is None:
            images = self._source(windows)
        else:
            images = read.to(windows.states.device, non_blocking=True)
        directions = torch.randn(
            *self._directions, generator=generator, device=windows.states.device
        )
        if more and self.are_read and not self._similar:
            self._ahead.begin(generator)
        return Batch(windows, images, directions)

    def close(self) -> None:
        """End the thread that reads ahead."""
        self._ahead.close()

    def _windows(self, generator: torch.Generator) -> Windows:
        config, layouts = self._config, None
        count = config.layouts_per_batch
        if self._similar:
            layouts = self._objective.draw_hard_negatives(
                count, config.hard_negative_cluster, generator
            )
        drawn = self._sampler.draw(count, config.windows_per_layout, generator, layouts)
        return Windows(*map(distributed.shard, drawn))
