"""The weighted loss of a world model, with the heads that only training needs."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import losses
from .data import Windows
from .predictors import mlp
from .world_model import WorldModel

if TYPE_CHECKING:
    from .training import TrainingConfig

CONTEXT_DIM = 32
"""Size of the embedding that identifies a context."""


@dataclass(frozen=True)
class LossWeights:
    """The coefficients of the loss terms; what has the weight 0 is not computed.

    Args:
        prediction: latents imagined from the first frame against those encoded.
        variance, covariance: against collapse.
        sigreg: against collapse, in their place.
        temporal_similarity: consecutive latents are close.
        inverse_dynamics: actions can be read off consecutive latents.
        value: the learned length of the way.
        context: windows of one context (layout) are told from those of the others.
    """

    prediction: float = 1.0
    variance: float = 16.0
    covariance: float = 8.0
    sigreg: float = 0.0
    temporal_similarity: float = 0.1
    inverse_dynamics: float = 10.0
    value: float = 0.2
    context: float = 0.0


class Objective(nn.Module):
    """Loss terms by name, unweighted; `total` weights them."""

    contexts: Tensor

    def __init__(self, model: WorldModel, config: TrainingConfig, num_contexts: int) -> None:
        super().__init__()
        shape = model.config
        self.config = config
        self.inverse_dynamics = mlp(2 * shape.latent_dim, 256, 2, shape.chunk * shape.action_dim)
        self.value_target = copy.deepcopy(model.value).requires_grad_(False)
        self.context = mlp(shape.latent_dim, 256, 1, CONTEXT_DIM)
        self.register_buffer("contexts", torch.zeros(num_contexts, CONTEXT_DIM))

    def forward(
        self, model: WorldModel, images: Tensor, batch: Windows, directions: Tensor
    ) -> dict[str, Tensor]:
        """The terms of joint training; `probe` trains the probe alone.

        Args:
            model: the world model.
            images: uint8 (G, R, H + 1, height, width, C).
            batch: the windows that the images show.
            directions: (D, M), random ones on which SIGReg looks at the batch.
        """
        latents = model.encode(images)  # (G, R, H + 1, D)
        wide = latents.float()
        varying = wide
        if self.config.within_context:
            varying = wide - wide.mean(dim=(1, 2), keepdim=True)
        flat = varying.flatten(0, -2)
        weights, terms = self.config.weights, {}
        if weights.prediction:
            chunks = self.config.unroll or batch.actions.shape[2]
            imagined = model.rollout(latents[:, :, 0], batch.actions[:, :, :chunks])
            terms["prediction"] = losses.prediction(imagined.float(), wide[:, :, 1 : chunks + 1])
        if weights.variance:
            terms["variance"] = losses.variance(flat)
        if weights.covariance:
            terms["covariance"] = losses.covariance(flat)
        if weights.sigreg:
            terms["sigreg"] = losses.sigreg(flat, directions)
        if weights.temporal_similarity:
            terms["temporal_similarity"] = losses.temporal_similarity(wide)
        if weights.inverse_dynamics:
            pairs = torch.cat([latents[:, :, :-1], latents[:, :, 1:]], dim=-1)
            guess = self.inverse_dynamics(pairs).float()
            terms["inverse_dynamics"] = losses.inverse_dynamics(guess, batch.actions)
        if weights.value:
            terms["value"] = self._value(model, latents)
        if weights.context:
            embedding = F.normalize(self.context(latents).float(), dim=-1)  # (G, R, H + 1, E)
            terms["context"] = losses.context(
                embedding, self.contexts, batch.which, self.config.temperature
            )
            self.remember(embedding.detach().mean(dim=(1, 2)), batch.which)
        terms["probe"] = self._probe(model, latents, batch.states)
        return terms

    def refine(
        self, model: WorldModel, latents: Tensor, actions: Tensor, states: Tensor
    ) -> dict[str, Tensor]:
        """The terms of predictor and value on latents of a frozen encoder, and the probe's.

        Args:
            model: the world model.
            latents: (G, R, H + 1, D).
            actions: (G, R, H, K * A).
            states: (G, R, H + 1, S).
        """
        imagined = model.rollout(latents[:, :, 0], actions)
        return {
            "prediction": losses.prediction(imagined.float(), latents[:, :, 1:]),
            "value": self._value(model, latents),
            "probe": self._probe(model, latents, states),
        }

    def _probe(self, model: WorldModel, latents: Tensor, states: Tensor) -> Tensor:
        """Teaches the probe to read states off latents, and the latents nothing."""
        truth = (states - model.state_mean) / model.state_std
        return losses.prediction(model.probe(latents.detach()).float(), truth)

    @torch.no_grad()
    def remember(self, embedding: Tensor, which: Tensor) -> None:
        """Move what is remembered of some contexts halfway to their new embedding (G, E)."""
        moved = self.contexts[which] + F.normalize(embedding, dim=-1)
        # a new tensor: the old one is still needed for the gradient
        self.contexts = self.contexts.index_copy(0, which, F.normalize(moved, dim=-1))

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum."""
        weights = self.config.weights
        return sum(
            (getattr(weights, name, 1.0) * term for name, term in terms.items()),
            start=torch.zeros((), device=next(iter(terms.values())).device),
        )

    def _value(self, model: WorldModel, latents: Tensor) -> Tensor:
        """Every state against every state of its group as goal."""
        windows, frames = latents.shape[1:3]
        phi = model.embed(latents).float()  # (G, R, H + 1, E)
        with torch.no_grad():
            target = self.value_target(latents).float()
        numbers = torch.arange(windows * frames, device=latents.device).reshape(windows, frames)
        sources = numbers[:, :-1].reshape(-1)
        return losses.expectile_value(
            states=phi[:, :, :-1].flatten(1, 2),
            goals=phi.flatten(1, 2),
            next_states=target[:, :, 1:].flatten(1, 2),
            target_goals=target.flatten(1, 2),
            is_goal=sources[:, None] == numbers.reshape(-1),
            discount=self.config.discount,
            expectile=self.config.expectile,
        )

    @torch.no_grad()
    def update_target(self, model: WorldModel) -> None:
        """Move the value's target towards it."""
        for slow, fast in zip(
            self.value_target.parameters(), model.value.parameters(), strict=True
        ):
            slow.lerp_(fast, self.config.ema)
