"""Presets: a model's shape, its training and its planner, chosen together and measured.

`jepa_agent.train(data, BASE)` is what `jepa-agent train base` runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .agent.costs import CostConfig
from .envs import CollectConfig
from .models.distances import BlockNormConfig, ValueMapConfig
from .models.encoders import ImpalaConfig, PatchMapConfig, PatchPoolConfig, VectorMLPConfig
from .models.predictors import GRUConfig, MapCNNConfig, StepwiseMLPConfig
from .models.proposals import ProposalsConfig
from .models.world_model import WorldModelConfig
from .planners import CEMConfig, MPPIConfig, ProposalConfig, ReactiveConfig
from .training.config import LossWeights, Preset, RefinementConfig, TrainingConfig

QUICK = Preset(training=TrainingConfig(steps=1000, max_grad_norm=20.0), planner=MPPIConfig())
"""The fixed layout, in under 6 minutes on two cores."""

BASE = Preset(
    model=WorldModelConfig(
        chunk=2,
        training_chunk=5,
        latent_dim=256,
        encoder=PatchPoolConfig(),
        predictor=StepwiseMLPConfig(),
        distance_head=BlockNormConfig(width=512, depth=2),
    ),
    training=TrainingConfig(
        steps=2400,
        layouts_per_batch=64,
        windows_per_layout=4,
        max_grad_norm=200.0,
        center_per_layout=True,
        hard_negative_cluster=8,
        weights=LossWeights(temporal_similarity=1.0, distance=1.0, contrast=1.0),
        refinement=RefinementConfig(steps=4500, layouts_per_batch=64, windows_per_layout=16),
    ),
    planner=MPPIConfig(horizon=2, num_samples=128),
    cost=CostConfig(error_memory=8),
)
"""Any layout, from the 966 train layouts, in under 30 minutes on two cores."""


def in_large_batches(preset: Preset, layouts: int, windows: int) -> Preset:
    """A preset in batches of `layouts` times the layouts and `windows` times the windows of each.

    The learning rate grows by the square root of the batch, as it does for Adam whose steps are
    mostly noise (Malladi et al., 2205.10287). By their rule the steps shrink with the batch; where
    a step is mostly signal, Adam moves by the learning rate whatever the batch, and they shrink by
    the root as well. The latter is taken, so that 16 times the batch sees four times the frames.
    """
    root = (layouts * windows) ** 0.5

    def larger(stage: Any, **more: Any) -> Any:
        return replace(
            stage,
            steps=round(stage.steps / root),
            layouts_per_batch=layouts * stage.layouts_per_batch,
            windows_per_layout=windows * stage.windows_per_layout,
            learning_rate=root * stage.learning_rate,
            **more,
        )

    training = preset.training
    return replace(preset, training=larger(training, refinement=larger(training.refinement)))


BASE_GPU = in_large_batches(BASE, layouts=4, windows=4)
"""`base` in batches that fill a GPU: 16 times the frames a step, in as many launches."""

EB_JEPA = Preset(
    model=WorldModelConfig(chunk=1, latent_dim=512, encoder=ImpalaConfig(), predictor=GRUConfig()),
    training=TrainingConfig(
        steps=3125,
        layouts_per_batch=384,
        windows_per_layout=1,
        horizon=16,
        prediction_horizon=8,
        warmup=0.1,
        weights=LossWeights(
            temporal_similarity=12.0, inverse_dynamics=1.0, distance=0.0, contrast=0.0
        ),
        diagnose_episodes=0,  # on two cores they take hours
    ),
    planner=CEMConfig(horizon=90, num_samples=200, iterations=20, num_elites=20),
    cost=CostConfig(distance="latent"),
)
"""EB-JEPA's model, losses, batch and planner (arXiv 2602.03604); meant for a GPU."""

VECTOR = Preset(
    model=WorldModelConfig(
        latent_dim=64,
        encoder=VectorMLPConfig(),
        distance_head=BlockNormConfig(width=256, depth=2),
    ),
    training=TrainingConfig(
        steps=2000,
        layouts_per_batch=32,
        windows_per_layout=8,
        diagnose_episodes=8,
        held_out_share=0.05,
        refinement=RefinementConfig(steps=2000, layouts_per_batch=32, windows_per_layout=16),
    ),
    cost=CostConfig(near_weight=2.0),
)
"""Any environment whose observations are vectors."""

MAPS = Preset(
    model=WorldModelConfig(
        chunk=3,
        training_chunk=5,
        latent_dim=16 * 16 * 8,
        encoder=PatchMapConfig(patch=4),
        predictor=MapCNNConfig(rows=16, columns=16),
        distance_head=ValueMapConfig(rows=16, columns=16),
    ),
    training=TrainingConfig(
        steps=2200,
        layouts_per_batch=32,
        windows_per_layout=4,
        learning_rate=2e-3,
        max_grad_norm=200.0,
        weights=LossWeights(variance=4.0, covariance=2.0, distance=1.0),
        refinement=RefinementConfig(steps=2000, layouts_per_batch=32, windows_per_layout=4),
    ),
    planner=MPPIConfig(horizon=1, num_samples=24, iterations=3, temperature=0.1),
    cost=CostConfig(near_weight=2.0, error_memory=8),
)
"""Pictures of 64 or 65 pixels of something among walls that may be anywhere: latents are maps."""

PIXELS = Preset(
    model=WorldModelConfig(distance_head=BlockNormConfig(width=256, depth=2)),
    training=TrainingConfig(
        steps=1500,
        layouts_per_batch=4,
        windows_per_layout=32,
        horizon=3,
        max_grad_norm=20.0,
        weights=LossWeights(variance=4.0, covariance=2.0, window_contrast=2.0),
        diagnose_episodes=8,
        held_out_share=0.05,
        refinement=RefinementConfig(steps=1500, layouts_per_batch=4, windows_per_layout=128),
    ),
)
"""Any environment whose observations are images."""

PROPOSALS = replace(
    PIXELS,
    model=replace(PIXELS.model, proposals=ProposalsConfig(heads=8)),
    training=replace(
        PIXELS.training,
        steps=2000,
        refinement=RefinementConfig(
            steps=2500, layouts_per_batch=4, windows_per_layout=128, horizon=5
        ),
    ),
    planner=ProposalConfig(horizon=5, knots=5, num_samples=64, iterations=3, std=0.1),
    cost=CostConfig(near_weight=2.0, reduction="arrival"),
)
"""Images of any world, from data in which someone goes somewhere: a script, a policy, people."""

GC_IDM = replace(
    PROPOSALS,
    model=replace(PROPOSALS.model, proposals=ProposalsConfig(heads=1)),
    planner=ReactiveConfig(horizon=5, knots=5),
)
"""A goal-conditioned inverse model on frozen latents, played without any search, as a control."""

LEWM = Preset(
    training=TrainingConfig(
        steps=3000,
        layouts_per_batch=4,
        windows_per_layout=32,
        horizon=3,
        max_grad_norm=20.0,
        weights=LossWeights(
            variance=0.0,
            covariance=0.0,
            sigreg=0.1,
            temporal_similarity=0.0,
            inverse_dynamics=0.0,
            distance=0.0,
        ),
        diagnose_episodes=8,
        held_out_share=0.05,
    ),
    planner=CEMConfig(horizon=5, num_samples=300, iterations=10, num_elites=30),
    cost=CostConfig(distance="latent", reduction="last"),
)
"""LeWM's two losses and planner (arXiv 2603.19312) in the small networks of `pixels`, as a control:
convolutions and a multilayer perceptron for its transformers, 10 iterations of CEM for 30."""

PRESETS = {
    "quick": QUICK,
    "base": BASE,
    "base_gpu": BASE_GPU,
    "eb_jepa": EB_JEPA,
    "maps": MAPS,
    "vector": VECTOR,
    "pixels": PIXELS,
    "proposals": PROPOSALS,
    "gc_idm": GC_IDM,
    "lewm": LEWM,
}

ALL_LAYOUTS = CollectConfig(
    policy="mixed", layout="train", episodes=966 * 24, episodes_per_layout=24
)
"""24 episodes in each of the train layouts."""

DATA = {
    "quick": CollectConfig(policy="mixed", layout="fixed", episodes=8_000),
    "base": ALL_LAYOUTS,
    "base_gpu": ALL_LAYOUTS,
    "eb_jepa": CollectConfig(
        policy="reference", layout="train", episodes=1_200_000, steps=16, episodes_per_layout=1
    ),
    "maps": CollectConfig(episodes=1),
    "vector": CollectConfig(episodes=1),
    "pixels": CollectConfig(episodes=1),
    "proposals": CollectConfig(episodes=1),
    "gc_idm": CollectConfig(episodes=1),
    "lewm": CollectConfig(episodes=1),
}
"""The data that each preset collects, unless trajectories are given."""
