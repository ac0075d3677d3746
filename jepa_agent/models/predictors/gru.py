"""EB-JEPA's recurrent predictor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from .base import PredictorConfig


@dataclass(frozen=True)
class GRUConfig(PredictorConfig, kind="gru"):
    """EB-JEPA's predictor: the latent is the state of a GRU, the actions are its input."""

    shares_norm: ClassVar[bool] = True

    def build(self, latent_dim: int, action_dim: int, chunk: int) -> GRU:
        return GRU(latent_dim, action_dim * chunk)


class GRU(nn.Module):
    """z' = GRU(actions, z), before the encoder's LayerNorm."""

    def __init__(self, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(action_dim, latent_dim)

    def forward(self, latent: Tensor, actions: Tensor) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D)."""
        actions, rows = (each.reshape(-1, each.shape[-1]) for each in (actions, latent))
        state = self.cell(actions, rows)
        return state.reshape(latent.shape)
