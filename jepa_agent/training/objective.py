"""The weighted loss of a world model, with the heads that only training needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..data.hindsight import Hindsight
from ..data.windows import Windows
from ..models.world_model import WorldModel
from . import losses
from .config import TrainingConfig
from .distributed import all_gather
from .terms import LossBatch


class Objective(nn.Module):
    """Computes loss terms by name, unweighted; `total` weights them. Holds the terms' heads.

    With several processes, each passes its share of the batch; see `distributed`.
    """

    def __init__(self, model: WorldModel, config: TrainingConfig, num_layouts: int) -> None:
        super().__init__()
        self.config, self.terms = config, config.terms
        heads = {term.name: term.build(model, num_layouts) for term in self.terms}
        self.heads = nn.ModuleDict({name: head for name, head in heads.items() if head is not None})

    def forward(
        self, model: WorldModel, images: Tensor, batch: Windows, directions: Tensor
    ) -> dict[str, Tensor]:
        """The terms of joint training; `probe` trains the probe alone.

        Args:
            model: the world model.
            images: uint8 (G, R, H + 1, height, width, C).
            batch: the windows of these images.
            directions: (D, M), random directions for SIGReg.
        """
        latents = model.encode(images)  # (G, R, H + 1, D)
        wide = varying = latents.float()
        if self.config.center_per_layout:
            varying = wide - wide.mean(dim=(1, 2), keepdim=True)
        flat = all_gather(varying.flatten(0, -2))
        places = getattr(model.encoder, "num_places", 1)
        if places > 1:  # channels vary over frames and places, beside what a place always shows
            flat = (flat - flat.mean(dim=0)).unflatten(-1, (places, -1)).flatten(0, 1)
        seen = LossBatch(model, self.config, batch, images, latents, wide, flat, directions)
        heads = dict(self.heads.items())
        terms = {term.name: term(seen, heads.get(term.name)) for term in self.terms if term.weight}
        return terms | self._probe(model, latents, batch.states)

    def refine(
        self,
        model: WorldModel,
        latents: Tensor,
        actions: Tensor,
        states: Tensor,
        hindsight: Hindsight | None = None,
        terminal: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The terms of refinement, on latents of a frozen encoder: those of all but the distance.

        Args:
            model: the world model.
            latents: (G, R, H + 1, D).
            actions: (G, R, H, K * A).
            states: (G, R, H + 1, S).
            hindsight: what proposals are learned from, if they are.
            terminal: boolean (G, R, H + 1), where the episode has ended, if ends are learned: what
                is done then is not predicted.
        """
        imagined = model.rollout_dealt(latents[:, :, 0], actions).float()
        target = latents[:, :, 1:]
        if terminal is not None:
            target = torch.where(terminal[:, :, 1:, None], imagined.detach(), target)
        terms = {"prediction": losses.prediction(imagined, target)}
        if model.ending is not None and terminal is not None:
            terms["ending"] = model.ending.loss(latents, model.standardise(actions), terminal)
        if model.proposals is not None and hindsight is not None:
            played = model.standardise(hindsight.actions)
            terms |= model.proposals.losses(
                hindsight.latents, hindsight.goals, played, hindsight.ahead
            )
        return terms | self._probe(model, latents, states)

    def _probe(self, model: WorldModel, latents: Tensor, states: Tensor) -> dict[str, Tensor]:
        """The loss of the probe, if there is one; its gradients do not reach the latents."""
        if model.probe is None:
            return {}
        truth = (states - model.state_mean) / model.state_std
        return {"probe": losses.prediction(model.probe(latents.detach()).float(), truth)}

    def draw_hard_negatives(self, count: int, cluster: int, generator: torch.Generator) -> Tensor:
        """See `ContrastHead.draw_hard_negatives`."""
        head: Any = self.heads["contrast"]
        return head.draw_hard_negatives(count, cluster, generator)

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum."""
        weights = {term.name: term.weight for term in self.terms}
        return sum(
            (weights.get(name, 1.0) * term for name, term in terms.items()),
            start=torch.zeros((), device=next(iter(terms.values())).device),
        )
