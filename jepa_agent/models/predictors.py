"""Predictors: a latent and a chunk of actions to the next latent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


def mlp(
    inputs: int, width: int, depth: int, outputs: int, activation: nn.Module | None = None
) -> nn.Sequential:
    """A multilayer perceptron with `depth` hidden layers of `width` units, by default GELU."""
    activation = activation or nn.GELU(approximate="tanh")
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), activation]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


@dataclass(frozen=True)
class ResidualMLPConfig:
    """An MLP of ReLU units that predicts the change of the latent.

    Args:
        width: hidden units per layer.
        depth: hidden layers.
    """

    width: int = 256
    depth: int = 2

    def __post_init__(self) -> None:
        if self.width < 1 or self.depth < 1:
            raise ValueError(
                f"width and depth must be positive, got {self.width} and {self.depth}; raise them"
            )


class ResidualMLP(nn.Module):
    """z' = LayerNorm(z + MLP(z, actions)); see `ResidualMLPConfig`."""

    def __init__(self, config: ResidualMLPConfig, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        # walls and gaps have edges, and so have ReLU units: three layers of them learn where
        # a move ends twice as exactly as two of the smooth ones
        self.change = mlp(
            latent_dim + action_dim, config.width, config.depth, latent_dim, nn.ReLU()
        )
        self.norm = nn.LayerNorm(latent_dim)

    def forward(self, latent: Tensor, actions: Tensor, norm: nn.Module) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D); `norm` is the
        encoder's LayerNorm, for predictors that share it."""
        return self.norm(latent + self.change(torch.cat([latent, actions], dim=-1)))


@dataclass(frozen=True)
class StepwiseMLPConfig:
    """A chunk predicted one environment step after another, in a small state of its own.

    Args:
        width: hidden units per layer.
        state: size of the state that the steps change.
    """

    width: int = 192
    state: int = 128

    def __post_init__(self) -> None:
        if self.width < 1 or self.state < 1:
            raise ValueError(
                f"width and state must be positive, got {self.width} and {self.state}; raise them"
            )


class StepwiseMLP(nn.Module):
    """z' = LayerNorm(z + Out(h_K)) with h_0 = In(z), h_{k+1} = h_k + Step(h_k, a_k).

    Every step of the chunk is the same function: whether a move of two pixels meets a wall is
    easier to learn than where five of them end, and each chunk teaches it five times.
    """

    def __init__(
        self, config: StepwiseMLPConfig, latent_dim: int, action_dim: int, chunk: int
    ) -> None:
        super().__init__()
        width, state = config.width, config.state
        self.chunk = chunk
        self.read = mlp(latent_dim, width, 1, state, nn.ReLU())
        self.act = nn.Linear(action_dim, width, bias=False)
        self.look = nn.Linear(state, width)
        self.step = nn.Sequential(
            nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, state)
        )
        self.write = nn.Sequential(nn.ReLU(), mlp(state, width, 1, latent_dim, nn.ReLU()))
        self.norm = nn.LayerNorm(latent_dim)

    def forward(self, latent: Tensor, actions: Tensor, norm: nn.Module) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D)."""
        state = self.read(latent)
        for push in self.act(actions.unflatten(-1, (self.chunk, -1))).unbind(dim=-2):
            state = state + self.step(self.look(state) + push)
        return self.norm(latent + self.write(state))


@dataclass(frozen=True)
class GRUConfig:
    """EB-JEPA's predictor: the latent is the state of a GRU, the actions are its input."""


class GRU(nn.Module):
    """z' = LayerNorm(GRU(actions, z)), the LayerNorm being the encoder's."""

    def __init__(self, latent_dim: int, action_dim: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(action_dim, latent_dim)

    def forward(self, latent: Tensor, actions: Tensor, norm: nn.Module) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to latents (..., D)."""
        state = self.cell(actions.flatten(0, -2), latent.flatten(0, -2))
        return norm(state).reshape(latent.shape)


PredictorConfig = ResidualMLPConfig | StepwiseMLPConfig | GRUConfig


def make_predictor(
    config: PredictorConfig, latent_dim: int, action_dim: int, chunk: int
) -> ResidualMLP | StepwiseMLP | GRU:
    """The predictor of a config."""
    if isinstance(config, GRUConfig):
        return GRU(latent_dim, action_dim * chunk)
    if isinstance(config, StepwiseMLPConfig):
        return StepwiseMLP(config, latent_dim, action_dim, chunk)
    return ResidualMLP(config, latent_dim, action_dim * chunk)
