"""EB-JEPA's recurrent predictor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from .base import PredictorConfig


@dataclass(frozen=True)
class GRUConfig(PredictorConfig, kind="gru"):
    """EB-JEPA's predictor: the latent is the state of a GRU, the actions are its input."""

    shares_norm: ClassVar[bool] = True

    def build(self, latent_dim: int, action_dim: int, chunk: int) -> GRU:
        return GRU(latent_dim, action_dim * chunk)


class GRU(nn.Module):
    """z' = GRU(actions, z), before the encoder's LayerNorm.

    It is computed by plain operators: torch's compiler cannot look into the cell that CUDA fuses.
    """

    def __init__(self, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(action_dim, latent_dim)

    def forward(self, latent: Tensor, actions: Tensor) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D)."""
        cell = self.cell
        given, state = (each.reshape(-1, each.shape[-1]) for each in (actions, latent))
        given = F.linear(given, cell.weight_ih, cell.bias_ih)  # (N, 3 D)
        state = state.to(given.dtype)  # that of autocast
        kept = F.linear(state, cell.weight_hh, cell.bias_hh)
        parts = zip(given.chunk(3, dim=1), kept.chunk(3, dim=1), strict=True)
        (reset_in, reset_on), (update_in, update_on), (new_in, new_on) = parts
        reset, update = (reset_in + reset_on).sigmoid_(), (update_in + update_on).sigmoid_()
        new = (new_in + reset * new_on).tanh_()
        return (state - new).mul_(update).add_(new).reshape(latent.shape)
