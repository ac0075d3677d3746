"""Loss terms of joint training: each has a name, a weight, a value and perhaps a head.

The values are the pure functions of `losses`. A new term is a subclass of `LossTerm`, here or
in a module of yours; `TrainingConfig.extra_terms` puts it into a training.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from ..data.windows import Windows
from ..models.layers import mlp
from ..models.world_model import WorldModel
from ..registry import Registered
from . import losses
from .distributed import all_gather

if TYPE_CHECKING:
    from .config import TrainingConfig

CONTRAST_DIM = 32
"""Size of the embedding that identifies a layout or a window."""
PAIRINGS = 4
"""Windows of the same layout that each window is compared with by the distance term."""


class LossBatch(NamedTuple):
    """The input of a loss term. G layouts, R windows of each, H chunks of K steps, latents of D.

    With several processes, all fields but `flat` hold this process's share of the batch.
    """

    model: WorldModel
    config: TrainingConfig
    windows: Windows
    """Has `actions` (G, R, H, K * A), `states` (G, R, H + 1, S), `layout_ids` (G,) and more."""
    observations: Tensor
    """(G, R, H + 1, *shape), the encoder's input."""
    latents: Tensor
    """(G, R, H + 1, D), the encoder's output; in bfloat16 under autocast, for heads."""
    wide: Tensor
    """The latents in float32, for losses."""
    flat: Tensor
    """(N, D), latents of all processes, minus their layout's mean if `center_per_layout`; of
    encoders of maps the channels of all places, minus each place's mean."""
    directions: Tensor
    """(D, M), random directions for SIGReg."""


@dataclass(frozen=True)
class LossTerm(Registered):
    """The base class of loss terms.

    Args:
        weight: its coefficient; a term of weight 0 is not computed.
    """

    weight: float = 1.0

    @property
    def name(self) -> str:
        """Its name in logs and in states of runs."""
        return self.kind.rpartition(":")[2].rpartition(".")[2]

    def build(self, model: WorldModel, num_layouts: int) -> nn.Module | None:
        """The head that only this term needs, if any. It is trained with the model."""
        return None

    @abstractmethod
    def __call__(self, batch: LossBatch, head: Any) -> Tensor:
        """The unweighted value, a number; `head` is what `build` returned."""


@dataclass(frozen=True)
class Prediction(LossTerm, kind="prediction"):
    """Predicted latents, from the first frame on, match the encoded ones."""

    def __call__(self, batch: LossBatch, head: Any) -> Tensor:
        actions = batch.windows.actions
        chunks = batch.config.prediction_horizon or actions.shape[2]
        imagined = batch.model.rollout_dealt(batch.latents[:, :, 0], actions[:, :, :chunks])
        return losses.prediction(imagined.float(), batch.wide[:, :, 1 : chunks + 1])


@dataclass(frozen=True)
class Variance(LossTerm, kind="variance"):
    """Against collapse to a point."""

    def __call__(self, batch: LossBatch, head: Any) -> Tensor:
        return losses.variance(batch.flat)


@dataclass(frozen=True)
class Covariance(LossTerm, kind="covariance"):
    """Against collapse to few dimensions."""

    def __call__(self, batch: LossBatch, head: Any) -> Tensor:
        return losses.covariance(batch.flat)


@dataclass(frozen=True)
class SIGReg(LossTerm, kind="sigreg"):
    """Against collapse, instead of variance and covariance."""

    def __call__(self, batch: LossBatch, head: Any) -> Tensor:
        return losses.sigreg(batch.flat, batch.directions[: batch.flat.shape[-1]])


@dataclass(frozen=True)
class TemporalSimilarity(LossTerm, kind="temporal_similarity"):
    """Consecutive latents are close."""

    def __call__(self, batch: LossBatch, head: Any) -> Tensor:
        return losses.temporal_similarity(batch.wide)


@dataclass(frozen=True)
class InverseDynamics(LossTerm, kind="inverse_dynamics"):
    """Actions can be read off consecutive latents."""

    def build(self, model: WorldModel, num_layouts: int) -> nn.Module:
        shape = model.config
        return mlp(2 * shape.latent_dim, 256, 2, shape.learned_chunk * shape.action_dim)

    def __call__(self, batch: LossBatch, head: Any) -> Tensor:
        pairs = torch.cat([batch.latents[:, :, :-1], batch.latents[:, :, 1:]], dim=-1)
        played = batch.model.standardise(batch.windows.actions)
        return losses.inverse_dynamics(head(pairs).float(), played)


@dataclass(frozen=True)
class Distance(LossTerm, kind="distance"):
    """The learned path length: a chunk covers at most 1, windows of a layout are pushed apart.

    Distances are those from a frame to a later one and, as windows are drawn in any order, from
    every window to others as often as back.
    """

    def __call__(self, batch: LossBatch, head: Any) -> Tensor:
        model = batch.model
        latents = batch.latents.detach() if batch.config.detach_distance else batch.latents
        embedding = model.distance_embedding(latents).float()  # (G, R, H + 1, E)
        others = range(1, min(embedding.shape[1], 1 + PAIRINGS))
        if getattr(model.distance_head, "is_metric", True):
            steps = model.embedding_distance(embedding[:, :, :-1], embedding[:, :, 1:])
            apart = torch.stack(
                [model.embedding_distance(embedding, embedding.roll(k, dims=1)) for k in others]
            )
        else:
            steps, apart = self._computed(model, embedding, others)
        return losses.shortest_path_lengths(steps, apart, batch.config.constraint_weight)

    @staticmethod
    def _computed(model: WorldModel, embedding: Tensor, others: range) -> tuple[Tensor, Tensor]:
        """Steps and distances apart by a head that might break the triangle inequality.

        So it is taught it, too: a chunk brings no goal nearer by more than 1. Every second frame
        is a goal, since such a head computes much for a goal and little for a start.
        """
        ends = embedding[:, :, 1::2]  # (G, R, T, E)
        starts = torch.stack([embedding.roll(k, dims=1) for k in (0, *others)])
        lengths = model.embedding_distance(starts[..., None, :], ends[:, :, None])
        steps = lengths[0, :, :, :-1:2].diagonal(dim1=-2, dim2=-1)  # a chunk before each goal
        gained = lengths[:, :, :, :-1] - lengths[:, :, :, 1:]  # (1 + k, G, R, H, T)
        return torch.cat([steps.flatten(), gained.flatten()]), lengths[1:]


@dataclass(frozen=True)
class Contrast(LossTerm, kind="contrast"):
    """Windows of one layout are distinguished from those of the others."""

    def build(self, model: WorldModel, num_layouts: int) -> ContrastHead:
        return ContrastHead(model.config.latent_dim, num_layouts)

    def __call__(self, batch: LossBatch, head: ContrastHead) -> Tensor:
        embedding = all_gather(head(batch.latents).float())  # (G, R, H + 1, E)
        which = all_gather(batch.windows.layout_ids)
        loss = losses.contrast(embedding, head.prototypes, which)
        head.update_prototypes(embedding.detach().mean(dim=(1, 2)), which)
        return loss


@dataclass(frozen=True)
class WindowContrast(LossTerm, kind="window_contrast"):
    """Frames of one window are distinguished from those of all others; needs no layouts."""

    def build(self, model: WorldModel, num_layouts: int) -> nn.Module | None:
        return mlp(model.config.latent_dim, 256, 1, CONTRAST_DIM) if self.weight else None

    def __call__(self, batch: LossBatch, head: Any) -> Tensor:
        embedding = all_gather(head(batch.latents).float().flatten(0, 1))  # (W, H + 1, E)
        return losses.window_contrast(embedding)


class ContrastHead(nn.Module):
    """Embeds latents and stores a prototype of every layout."""

    prototypes: Tensor

    def __init__(self, latent_dim: int, num_layouts: int) -> None:
        super().__init__()
        self.embedding = mlp(latent_dim, 256, 1, CONTRAST_DIM)
        self.register_buffer("prototypes", torch.zeros(num_layouts, CONTRAST_DIM))

    def forward(self, latents: Tensor) -> Tensor:
        """Latents (..., D) to embeddings (..., E)."""
        return self.embedding(latents)

    @torch.no_grad()
    def update_prototypes(self, embedding: Tensor, which: Tensor) -> None:
        """Move the prototypes of some layouts halfway to their new embeddings (G, E)."""
        moved = 0.5 * (self.prototypes[which] + embedding)
        self.prototypes.index_copy_(0, which, moved)

    @torch.no_grad()
    def draw_hard_negatives(self, count: int, cluster: int, generator: torch.Generator) -> Tensor:
        """Indices (count,) of distinct layouts: some at random, and those most similar to them.

        Similar layouts rarely meet in a random batch, and stored prototypes differ from fresh
        ones by their age alone; so batches are drawn to hold the nearest layouts (hard
        negatives, 2010.04592).

        Args:
            count: number of layouts to draw.
            cluster: layouts per cluster, its centre included.
            generator: on the device of the prototypes.
        """
        total, device = len(self.prototypes), self.prototypes.device
        centres = torch.randperm(total, generator=generator, device=device)[: -(-count // cluster)]
        apart = torch.cdist(self.prototypes[centres], self.prototypes)
        # at first all prototypes are equal: ties are broken at random
        ties = torch.rand(total, generator=generator, device=device)
        order = torch.argsort(apart + 1e-6 * ties, dim=1)
        rank = torch.argsort(order, dim=1).amin(dim=0)  # rank by the nearest centre
        return torch.argsort(rank + 0.5 * ties)[:count]
