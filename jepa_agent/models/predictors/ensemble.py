"""Several predictors that learn apart, computed as one."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from .base import PredictorConfig


class Ensemble(nn.Module):
    """`heads` predictors of one config, their parameters stacked (deep ensembles, 1612.01474).

    A batch of training windows is dealt out among the heads, so that they learn from different
    data and cost together about what one of them costs. What they disagree on, the data do not say.

    Args:
        config: of each head; K is its `heads`.
        latent_dim, action_dim, chunk: see `PredictorConfig.build`.

    Raises:
        ValueError: if the heads have no norm of their own.
    """

    def __init__(
        self, config: PredictorConfig, latent_dim: int, action_dim: int, chunk: int
    ) -> None:
        super().__init__()
        if config.shares_norm:
            raise ValueError(
                "the heads of an ensemble must have norms of their own, got "
                f"predictor.heads {config.heads} of {config.kind}; take residual_mlp or 1 head"
            )
        self.heads = config.heads
        members = [config.build(latent_dim, action_dim, chunk) for _ in range(self.heads)]
        stacked, _ = stack_module_state(members)
        self._names = {name.replace(".", "-"): name for name in stacked}
        self.stacked = nn.ParameterDict(
            {key: nn.Parameter(stacked[name].detach()) for key, name in self._names.items()}
        )
        # in a tuple, so that it is no module of this one: only its code is used
        self._template = (copy.deepcopy(members[0]).to("meta"),)

    def copies(self, one: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state of this module whose every head is a predictor with the state `one`."""
        return {
            f"stacked.{key}": one[name].expand(self.heads, *one[name].shape).clone()
            for key, name in self._names.items()
        }

    def forward(self, latent: Tensor, actions: Tensor) -> Tensor:
        """Latents (..., D) and action chunks (..., K * A) to the mean of the heads (..., D)."""
        return self.each(latent.expand(self.heads, *latent.shape), actions).mean(dim=0)

    def each(self, latents: Tensor, actions: Tensor, dealt: bool = False) -> Tensor:
        """Every head's prediction (heads, ..., D).

        Args:
            latents: (heads, ..., D), those of each head; or of the first few heads alone.
            actions: (..., K * A), the same for all heads; if `dealt`, (heads, ..., K * A).
            dealt: whether each head has actions of its own.
        """
        count = len(latents)
        parameters = {name: self.stacked[key][:count] for key, name in self._names.items()}

        def head(own: dict[str, Tensor], latent: Tensor, chunk: Tensor) -> Tensor:
            return functional_call(self._template[0], own, (latent, chunk))

        return vmap(head, in_dims=(0, 0, 0 if dealt else None))(parameters, latents, actions)


def dealt(rows: Tensor, heads: int) -> Tensor:
    """Rows (M, ...) dealt out in turn (heads, ceil(M / heads), ...); the first ones fill it up."""
    missing = -len(rows) % heads
    rows = torch.cat([rows, rows[:missing]]) if missing else rows
    return rows.unflatten(0, (-1, heads)).transpose(0, 1)


def gathered(hands: Tensor, count: int) -> Tensor:
    """The inverse of `dealt`: the first `count` rows (count, ...) of (heads, n, ...)."""
    return hands.transpose(0, 1).flatten(0, 1)[:count]
