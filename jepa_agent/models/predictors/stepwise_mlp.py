"""An MLP that is applied once for every step of a chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from ..layers import mlp
from .base import PredictorConfig


@dataclass(frozen=True)
class StepwiseMLPConfig(PredictorConfig, kind="stepwise_mlp"):
    """A chunk predicted one environment step at a time, in a small hidden state.

    Args:
        width: hidden units per layer.
        state: size of the state that the steps change.
    """

    width: int = 192
    state: int = 128

    any_chunk: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.width < 1 or self.state < 1:
            raise ValueError(f"width and state must be positive, got {self.width} and {self.state}")

    def build(self, latent_dim: int, action_dim: int, chunk: int) -> StepwiseMLP:
        return StepwiseMLP(self, latent_dim, action_dim)


class StepwiseMLP(nn.Module):
    """z' = LayerNorm(z + Out(h_K)) with h_0 = In(z), h_{k+1} = h_k + Step(h_k, a_k).

    Every step of the chunk is the same function: whether a move of two pixels meets a wall is
    easier to learn than where five of them end, and each chunk teaches it five times. So chunks may
    have any number of steps, also one that no training had.
    """

    def __init__(self, config: StepwiseMLPConfig, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        width, state = config.width, config.state
        self.read = mlp(latent_dim, width, 1, state, nn.ReLU())
        self.act = nn.Linear(action_dim, width, bias=False)
        self.look = nn.Linear(state, width)
        self.step = nn.Sequential(
            nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, state)
        )
        self.write = nn.Sequential(nn.ReLU(), mlp(state, width, 1, latent_dim, nn.ReLU()))
        self.norm = nn.LayerNorm(latent_dim)

    def forward(self, latent: Tensor, actions: Tensor) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D)."""
        flat = latent.reshape(
            -1, latent.shape[-1]
        )  # rows, which linear layers take without reshaping
        state = self.read(flat)
        steps = actions.shape[-1] // self.act.in_features
        pushes = self.act(actions.reshape(len(flat) * steps, -1))
        for push in pushes.unflatten(0, (-1, steps)).unbind(dim=1):
            state = state + self.step(self.look(state) + push)
        return self.norm(flat + self.write(state)).reshape(latent.shape)
