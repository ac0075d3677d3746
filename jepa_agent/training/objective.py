"""The weighted loss of a world model, with the heads that only training needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..data.windows import Windows
from ..models.layers import mlp
from ..models.world_model import WorldModel
from . import losses
from .config import TrainingConfig
from .distributed import all_gather

CONTRAST_DIM = 32
"""Size of the embedding that identifies a layout."""
PAIRINGS = 4
"""Other windows of its group that a window is compared with by the value."""


class Objective(nn.Module):
    """Loss terms by name, unweighted; `total` weights them.

    With several processes the batch is a share of it; see `distributed`.
    """

    prototypes: Tensor

    def __init__(self, model: WorldModel, config: TrainingConfig, num_layouts: int) -> None:
        super().__init__()
        shape = model.config
        self.config = config
        self.inverse_dynamics = mlp(2 * shape.latent_dim, 256, 2, shape.chunk * shape.action_dim)
        self.contrast_head = mlp(shape.latent_dim, 256, 1, CONTRAST_DIM)
        self.register_buffer("prototypes", torch.zeros(num_layouts, CONTRAST_DIM))

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
        if self.config.center_per_layout:
            varying = wide - wide.mean(dim=(1, 2), keepdim=True)
        weights, terms = self.config.weights, {}
        if weights.variance or weights.covariance or weights.sigreg:
            flat = all_gather(varying.flatten(0, -2))
        if weights.prediction:
            chunks = self.config.prediction_horizon or batch.actions.shape[2]
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
        if weights.distance:
            terms["distance"] = self._distance(model, latents)
        if weights.contrast:
            embedding = all_gather(self.contrast_head(latents).float())  # (G, R, H + 1, E)
            which = all_gather(batch.layout_ids)
            terms["contrast"] = losses.contrast(embedding, self.prototypes, which)
            self.update_prototypes(embedding.detach().mean(dim=(1, 2)), which)
        return terms | self._probe(model, latents, batch.states)

    def refine(
        self, model: WorldModel, latents: Tensor, actions: Tensor, states: Tensor
    ) -> dict[str, Tensor]:
        """The predictor's term on latents of a frozen encoder, and the probe's.

        Args:
            model: the world model.
            latents: (G, R, H + 1, D).
            actions: (G, R, H, K * A).
            states: (G, R, H + 1, S).
        """
        imagined = model.rollout(latents[:, :, 0], actions)
        terms = {"prediction": losses.prediction(imagined.float(), latents[:, :, 1:])}
        return terms | self._probe(model, latents, states)

    def _probe(self, model: WorldModel, latents: Tensor, states: Tensor) -> dict[str, Tensor]:
        """Teaches the probe, if there is one, to read states off latents; the latents nothing."""
        if model.probe is None:
            return {}
        truth = (states - model.state_mean) / model.state_std
        return {"probe": losses.prediction(model.probe(latents.detach()).float(), truth)}

    @torch.no_grad()
    def update_prototypes(self, embedding: Tensor, which: Tensor) -> None:
        """Move what is remembered of some layouts halfway to their new embedding (G, E)."""
        moved = 0.5 * (self.prototypes[which] + embedding)
        # a new tensor: the old one is still needed for the gradient
        self.prototypes = self.prototypes.index_copy(0, which, moved)

    @torch.no_grad()
    def draw_hard_negatives(self, groups: int, alike: int, generator: torch.Generator) -> Tensor:
        """Numbers (groups,) of distinct layouts: some at random, and those most like them.

        In a random batch hardly any two layouts differ by a little, and remembered prototypes
        are told from fresh ones by their age alone; the nearest layouts must meet in one batch
        (hard negatives, 2010.04592).

        Args:
            groups: how many.
            alike: layouts per cluster, its centre included.
            generator: on the device of the layouts.
        """
        count, device = len(self.prototypes), self.prototypes.device
        centres = torch.randperm(count, generator=generator, device=device)[: -(-groups // alike)]
        apart = torch.cdist(self.prototypes[centres], self.prototypes)
        # at first all are remembered as the same: then chance decides
        ties = torch.rand(count, generator=generator, device=device)
        order = torch.argsort(apart + 1e-6 * ties, dim=1)
        rank = torch.argsort(order, dim=1).amin(dim=0)  # how near the nearest centre has it
        return torch.argsort(rank + 0.5 * ties)[:groups]

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum."""
        weights = self.config.weights
        return sum(
            (getattr(weights, name, 1.0) * term for name, term in terms.items()),
            start=torch.zeros((), device=next(iter(terms.values())).device),
        )

    def _distance(self, model: WorldModel, latents: Tensor) -> Tensor:
        """One chunk is at most 1; windows of a group are apart."""
        embedding = model.distance_embedding(latents).float()  # (G, R, H + 1, E)
        others = range(1, min(embedding.shape[1], 1 + PAIRINGS))
        return losses.shortest_path_lengths(
            steps=model.embedding_distance(embedding[:, :, :-1], embedding[:, :, 1:]),
            apart=torch.stack(
                [
                    model.embedding_distance(embedding, embedding.roll(shift, dims=1))
                    for shift in others
                ]
            ),
            constraint_weight=self.config.constraint_weight,
        )
