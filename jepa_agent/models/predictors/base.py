"""What a predictor is."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from ...registry import Registered


@dataclass(frozen=True)
class PredictorConfig(Registered):
    """The settings of a predictor, a kind of which is a subclass.

    Args:
        heads: predictors of this kind that learn apart, see `Ensemble`; 1 for the predictor alone.
    """

    heads: int = field(default=1, kw_only=True)

    shares_norm: ClassVar[bool] = False
    """Whether predictions pass the encoder's LayerNorm `norm` instead of their own."""

    any_chunk: ClassVar[bool] = False
    """Whether its weights fit chunks of any number of steps."""

    @abstractmethod
    def build(self, latent_dim: int, action_dim: int, chunk: int) -> nn.Module:
        """The predictor: a module that is called with `(latents, actions)`.

        The latents are (..., D), the actions standardised chunks (..., K * A) of K actions of A
        numbers. It returns the latents (..., D) after the chunk.
        """
