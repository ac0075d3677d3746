"""How a world model is trained: loss weights, both stages, presets of all that goes together."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..agent.costs import CostConfig
from ..models.world_model import WorldModelConfig
from ..planners import CEMConfig, PlannerConfig


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


@dataclass(frozen=True)
class RefinementConfig:
    """Training of the predictor on the latents of the frozen encoder.

    Args:
        steps: optimiser steps; 0 leaves it out.
        groups: contexts (layouts) per batch.
        windows: trajectory windows per context.
        horizon: chunks per window.
        learning_rate: peak of AdamW's cosine schedule.
    """

    steps: int = 0
    groups: int = 32
    windows: int = 32
    horizon: int = 4
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        least = {"steps": 0, "groups": 1, "windows": 1, "horizon": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            if value < bound:
                raise ValueError(
                    f"refinement.{name} must be at least {bound}, got {value}; raise it"
                )
        if not self.learning_rate > 0:
            raise ValueError(
                f"refinement.learning_rate must be > 0, got {self.learning_rate}; raise it"
            )


@dataclass(frozen=True)
class TrainingConfig:
    """How a world model is trained.

    Args:
        steps: optimiser steps.
        groups: contexts (layouts) per batch.
        windows: trajectory windows per context.
        horizon: chunks per window, predicted autoregressively from its first frame.
        unroll: chunks of them that are predicted; 0 for all.
        alike: contexts of a batch come in clusters of so many that look most alike to the head
            that tells them apart, so that it learns the small differences; 1 draws them at random.
        learning_rate: peak of AdamW's cosine schedule.
        weight_decay: of AdamW.
        warmup: share of the steps that the learning rate rises.
        clip: largest gradient norm of encoder, predictor and value, each.
        penalty: of chunks that the value makes longer than 1.
        within_context: variance and covariance look at what differs within a context alone, so
            that the latent cannot satisfy them by a random code for every context.
        weights: coefficients of the loss terms.
        refinement: what follows joint training.
        diagnose_every: steps between diagnostics, where there are held-out data.
        diagnose_episodes: episodes planned for them.
        bfloat16: autocast to bfloat16; by default on GPUs.
        compiled: compile the objective (`torch.compile`); by default on GPUs.
        seed: of parameters, data order and everything else.
    """

    steps: int = 1000
    groups: int = 4
    windows: int = 64
    horizon: int = 4
    unroll: int = 0
    alike: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    warmup: float = 0.05
    clip: float = 2.0
    penalty: float = 100.0
    within_context: bool = False
    weights: LossWeights = field(default_factory=LossWeights)
    refinement: RefinementConfig = field(default_factory=RefinementConfig)
    diagnose_every: int = 500
    diagnose_episodes: int = 32
    bfloat16: bool | None = None
    compiled: bool | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "groups", "windows", "horizon", "diagnose_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}; raise it")
        if self.groups * self.windows < 16:
            raise ValueError(
                "groups * windows must be at least 16 for the batch statistics, got "
                f"{self.groups} * {self.windows}; raise one of them"
            )
        if not (self.learning_rate > 0 and self.weight_decay >= 0 and self.clip > 0):
            raise ValueError(
                "learning_rate and clip must be > 0 and weight_decay >= 0, got "
                f"{self.learning_rate}, {self.clip} and {self.weight_decay}; change them"
            )
        if not (0 <= self.warmup <= 1 and self.penalty > 0):
            raise ValueError(
                f"warmup must be in [0, 1] and penalty > 0, got {self.warmup} and {self.penalty}; "
                "change them"
            )
        if (self.weights.value or self.weights.context) and self.windows < 2:
            raise ValueError(
                "value and context compare windows of a group and need at least 2 of them, got "
                f"windows {self.windows}; raise it or set weights.value and weights.context to 0"
            )
        if not 1 <= self.alike <= self.groups or (self.alike > 1 and not self.weights.context):
            raise ValueError(
                "alike must be in [1, groups], and 1 without weights.context, got "
                f"{self.alike} of {self.groups} groups; change it"
            )
        if not 0 <= self.unroll <= self.horizon:
            raise ValueError(
                f"unroll must be in [0, horizon], got {self.unroll} of {self.horizon}; change it"
            )


@dataclass(frozen=True)
class Preset:
    """A model's shape, its training and its planner, chosen together.

    Args:
        model: the world model's shape.
        training: how it is trained.
        planner: the search that its agent uses.
        cost: what that search minimises.
    """

    model: WorldModelConfig = field(default_factory=WorldModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    planner: PlannerConfig = field(default_factory=CEMConfig)
    cost: CostConfig = field(default_factory=CostConfig)
