"""What a distance head is."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import nn

from ...registry import Registered


@dataclass(frozen=True)
class DistanceHeadConfig(Registered):
    """The settings of a distance head, a kind of which is a subclass."""

    @abstractmethod
    def build(self, latent_dim: int) -> nn.Module:
        """The head: a module with `dim`, the size E of its embeddings, and two methods.

        `forward(latents)` embeds latents (..., D) as (..., E); `distance(start, end)` is the path
        length (...), in chunks, from one embedding to another. It need not be symmetric. A head
        whose distances might break the triangle inequality has `is_metric = False`, and is taught
        it; `distance` then takes starts and ends that broadcast. One that computes much for an end
        has two more methods: `towards(end)` returns the distance as a function of the start, and
        `near(start, end)` is cheap, and right within a chunk or so. One that computes ways over the
        picture can show them: `way(start, end)`, places (N, 2) as shares of width and height.
        """
