"""Presets: a model's shape, its training and its planner, chosen together and measured.

`jepa_agent.train(data, BASE)` is what `jepa-agent train base` runs.
"""

from __future__ import annotations

from .agent.costs import CostConfig
from .envs import CollectConfig
from .models.encoders import ImpalaConfig, PatchPoolConfig, VectorMLPConfig
from .models.predictors import GRUConfig, StepwiseMLPConfig
from .models.world_model import ValueConfig, WorldModelConfig
from .planners import CEMConfig, MPPIConfig
from .training.config import LossWeights, Preset, RefinementConfig, TrainingConfig

QUICK = Preset(training=TrainingConfig(steps=1000, clip=20.0), planner=MPPIConfig())
"""The fixed layout, in under 6 minutes on two cores."""

BASE = Preset(
    model=WorldModelConfig(
        latent_dim=256,
        encoder=PatchPoolConfig(),
        predictor=StepwiseMLPConfig(),
        value=ValueConfig(width=512, depth=2),
    ),
    training=TrainingConfig(
        steps=2400,
        groups=64,
        windows=4,
        clip=200.0,
        within_context=True,
        alike=8,
        weights=LossWeights(temporal_similarity=1.0, value=1.0, context=1.0),
        refinement=RefinementConfig(steps=4500, groups=64, windows=16),
    ),
    planner=MPPIConfig(horizon=2, candidates=128),
    cost=CostConfig(memory=8),
)
"""Any layout, from the 966 train layouts, in under 30 minutes on two cores."""

EB_JEPA = Preset(
    model=WorldModelConfig(chunk=1, latent_dim=512, encoder=ImpalaConfig(), predictor=GRUConfig()),
    training=TrainingConfig(
        steps=3125,
        groups=384,
        windows=1,
        horizon=16,
        unroll=8,
        warmup=0.1,
        weights=LossWeights(temporal_similarity=12.0, inverse_dynamics=1.0, value=0.0, context=0.0),
        diagnose_episodes=0,  # on two cores they take hours
    ),
    planner=CEMConfig(horizon=90, candidates=200, iterations=20, elites=20),
    cost=CostConfig(distance="latent"),
)
"""EB-JEPA's model, losses, batch and planner (arXiv 2602.03604); meant for a GPU."""

VECTOR = Preset(
    model=WorldModelConfig(
        latent_dim=64, encoder=VectorMLPConfig(), value=ValueConfig(width=256, depth=2)
    ),
    training=TrainingConfig(
        steps=2000,
        groups=4,
        windows=64,
        refinement=RefinementConfig(steps=2000, groups=8, windows=64),
    ),
)
"""Any environment whose observations are vectors."""

PRESETS = {"quick": QUICK, "base": BASE, "eb_jepa": EB_JEPA, "vector": VECTOR}

DATA = {
    "quick": CollectConfig(policy="mixed", layout="fixed", episodes=8_000),
    "base": CollectConfig(
        policy="mixed", layout="train", episodes=966 * 24, episodes_per_layout=24
    ),
    "eb_jepa": CollectConfig(
        policy="reference", layout="train", episodes=1_200_000, steps=16, episodes_per_layout=1
    ),
    "vector": CollectConfig(episodes=1),
}
"""What a preset learns from, unless trajectories are given."""
