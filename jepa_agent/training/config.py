"""Settings of world-model training: loss weights, both stages, and presets."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from ..agent.costs import CostConfig
from ..models.world_model import WorldModelConfig
from ..planners import CEMConfig, PlannerConfig
from .terms import LossTerm


@dataclass(frozen=True)
class LossWeights:
    """The coefficients of the library's loss terms; a term of weight 0 is not computed.

    Args:
        prediction: predicted latents, from the first frame on, match the encoded ones.
        variance, covariance: against collapse.
        sigreg: against collapse, instead of those two.
        temporal_similarity: consecutive latents are close.
        inverse_dynamics: actions can be read off consecutive latents.
        distance: the learned distance is the shortest path length.
        contrast: windows of one layout are distinguished from those of the others.
        window_contrast: frames of one window are distinguished from those of the others, which
            finds what changes slowly, without layouts.
    """

    prediction: float = 1.0
    variance: float = 16.0
    covariance: float = 8.0
    sigreg: float = 0.0
    temporal_similarity: float = 0.1
    inverse_dynamics: float = 10.0
    distance: float = 0.2
    contrast: float = 0.0
    window_contrast: float = 0.0


@dataclass(frozen=True)
class RefinementConfig:
    """Training of the predictor on the latents of the frozen encoder.

    Args:
        steps: optimiser steps; 0 leaves it out.
        layouts_per_batch: layouts per batch.
        windows_per_layout: trajectory windows per layout.
        horizon: chunks per window.
        learning_rate: peak of AdamW's cosine schedule.
    """

    steps: int = 0
    layouts_per_batch: int = 32
    windows_per_layout: int = 32
    horizon: int = 4
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        least = {"steps": 0, "layouts_per_batch": 1, "windows_per_layout": 1, "horizon": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            if value < bound:
                raise ValueError(f"refinement.{name} must be at least {bound}, got {value}")
        if not self.learning_rate > 0:
            raise ValueError(f"refinement.learning_rate must be > 0, got {self.learning_rate}")


@dataclass(frozen=True)
class TrainingConfig:
    """How a world model is trained.

    Args:
        steps: optimiser steps of joint training; 0 refines alone, from an agent to start from.
        layouts_per_batch: layouts per batch.
        windows_per_layout: trajectory windows per layout.
        horizon: chunks per window, predicted autoregressively from its first frame.
        prediction_horizon: how many of these chunks are predicted; 0 for all.
        hard_negative_cluster: a batch's layouts are drawn in clusters of this size, each of layouts
            with similar contrast embeddings, so that the contrast head learns small differences;
            1 draws all layouts at random.
        learning_rate: peak of AdamW's cosine schedule.
        weight_decay: of AdamW.
        warmup: share of the steps that the learning rate rises.
        max_grad_norm: largest gradient norm of encoder, predictor and distance head, each.
        constraint_weight: penalty on chunks whose learned distance exceeds 1.
        detach_distance: the distance trains its head alone and not the encoder, in which it would
            keep whatever tells frames apart, such as things that no action moves.
        center_per_layout: subtract each layout's mean before the variance and covariance terms, so
            that the latent cannot satisfy them by a random code for every layout.
        weights: coefficients of the library's loss terms.
        extra_terms: loss terms besides these.
        refinement: the second stage, after joint training.
        diagnose_every: steps between diagnostics, where there are held-out data.
        held_out_share: share of the episodes that is kept back for the diagnostics, at least one,
            where no held-out data are given and there are 10 episodes or more.
        diagnose_episodes: episodes planned for them.
        bfloat16: autocast to bfloat16; by default on GPUs.
        compiled: compile the objective (`torch.compile`); by default on GPUs that have a compiler
            beside them, in trainings of 10,000 steps and more.
        seed: of parameters, data order and everything else.
    """

    steps: int = 1000
    layouts_per_batch: int = 4
    windows_per_layout: int = 64
    horizon: int = 4
    prediction_horizon: int = 0
    hard_negative_cluster: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    warmup: float = 0.05
    max_grad_norm: float = 2.0
    constraint_weight: float = 100.0
    detach_distance: bool = False
    center_per_layout: bool = False
    weights: LossWeights = field(default_factory=LossWeights)
    extra_terms: tuple[LossTerm, ...] = ()
    refinement: RefinementConfig = field(default_factory=RefinementConfig)
    diagnose_every: int = 500
    diagnose_episodes: int = 32
    held_out_share: float = 0.0
    bfloat16: bool | None = None
    compiled: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 0 or not self.steps + self.refinement.steps:
            raise ValueError(
                "steps must be positive, or 0 with refinement.steps > 0, got "
                f"{self.steps} and {self.refinement.steps}; raise one of them"
            )
        for name in (
            "layouts_per_batch",
            "windows_per_layout",
            "horizon",
            "diagnose_every",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.layouts_per_batch * self.windows_per_layout < 16:
            raise ValueError(
                "layouts_per_batch * windows_per_layout must be at least 16 for the batch "
                f"statistics, got {self.layouts_per_batch} * {self.windows_per_layout}"
            )
        if not (self.learning_rate > 0 and self.weight_decay >= 0 and self.max_grad_norm > 0):
            raise ValueError(
                "learning_rate and max_grad_norm must be > 0 and weight_decay >= 0, got "
                f"{self.learning_rate}, {self.max_grad_norm} and {self.weight_decay}"
            )
        if not (0 <= self.warmup <= 1 and self.constraint_weight > 0):
            raise ValueError(
                "warmup must be in [0, 1] and constraint_weight > 0, got "
                f"{self.warmup} and {self.constraint_weight}"
            )
        if (self.weights.distance or self.weights.contrast) and self.windows_per_layout < 2:
            raise ValueError(
                "distance and contrast compare windows of a layout and need at least 2 of them, "
                f"got windows_per_layout {self.windows_per_layout}; raise it or set "
                "weights.distance and weights.contrast to 0"
            )
        if not 1 <= self.hard_negative_cluster <= self.layouts_per_batch or (
            self.hard_negative_cluster > 1 and not self.weights.contrast
        ):
            raise ValueError(
                "hard_negative_cluster must be in [1, layouts_per_batch], and 1 without "
                f"weights.contrast, got {self.hard_negative_cluster} of {self.layouts_per_batch} "
                f"layouts and weights.contrast {self.weights.contrast}"
            )
        if not 0 <= self.held_out_share < 1:
            raise ValueError(f"held_out_share must be in [0, 1), got {self.held_out_share}")
        if not 0 <= self.prediction_horizon <= self.horizon:
            raise ValueError(
                "prediction_horizon must be in [0, horizon], got "
                f"{self.prediction_horizon} of {self.horizon}"
            )
        names = [term.name for term in self.terms]
        if len(set(names)) < len(names):
            extra = [term.name for term in self.extra_terms]
            raise ValueError(f"extra_terms must have names of their own, got {extra}")

    @property
    def terms(self) -> tuple[LossTerm, ...]:
        """All loss terms, in the order in which their heads are initialised."""
        weights = {item.name: getattr(self.weights, item.name) for item in fields(self.weights)}
        own = [LossTerm.of_kind(name)(weight) for name, weight in weights.items()]
        return (*own, *self.extra_terms)


@dataclass(frozen=True)
class Preset:
    """A model's shape, its training and its planner, chosen together.

    Args:
        model: the world model's shape.
        training: how it is trained.
        planner: the search that its agent uses.
        cost: the cost that the search minimises.
    """

    model: WorldModelConfig = field(default_factory=WorldModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    planner: PlannerConfig = field(default_factory=CEMConfig)
    cost: CostConfig = field(default_factory=CostConfig)
