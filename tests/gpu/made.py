"""What all checks of a pretended GPU share: small data, a small preset, the steps of a training."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from pretended import Seen

from jepa_agent import Preset, TrainingConfig, Trajectories
from jepa_agent.envs import CollectConfig, collect
from jepa_agent.models.distances import BlockNormConfig
from jepa_agent.models.encoders import PatchCNNConfig
from jepa_agent.models.predictors import ResidualMLPConfig
from jepa_agent.models.world_model import WorldModelConfig
from jepa_agent.planners import RandomShootingConfig
from jepa_agent.training.config import LossWeights, RefinementConfig
from jepa_agent.training.loop import Trainer
from jepa_agent.training.task import Task

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
IN_A_STEP = 3
"""Launches of a training step by its graph: the learning rate, the graph, a copy of the losses."""
launches: dict[str, int] = {}
"""Launches by what was done."""

SMALL = Preset(
    WorldModelConfig(
        chunk=3, latent_dim=8, encoder=PatchCNNConfig(16, (4, 4), 16),
        predictor=ResidualMLPConfig(16, 1), distance_head=BlockNormConfig(16, 1, 4, 2),
    ),
    TrainingConfig(
        steps=3, layouts_per_batch=8, windows_per_layout=2, horizon=2, hard_negative_cluster=4,
        center_per_layout=True, diagnose_every=3, diagnose_episodes=1,
        weights=LossWeights(sigreg=1.0, contrast=1.0, window_contrast=1.0),
        refinement=RefinementConfig(2, layouts_per_batch=4, windows_per_layout=4, horizon=2),
    ),
    RandomShootingConfig(horizon=2, num_samples=8),
)  # fmt: skip


@cache
def rooms() -> Trajectories:
    """32 episodes in 8 layouts."""
    config = CollectConfig("mixed", episodes=32, steps=24, episodes_per_layout=4)
    return Trajectories.from_rollouts(*collect(config))


@cache
def shown(pixels: bool) -> Trajectories:
    """The same, as recorded images or vectors of no environment."""
    data, observations = rooms(), None
    if pixels:
        rng = np.random.default_rng(0)
        observations = rng.integers(0, 256, (len(data.states), 32, 32, 3), dtype=np.uint8)
    return Trajectories(
        data.states, data.actions, data.layout[:, :0], data.offsets, {}, observations
    )


def steps_of(seen: Seen, task: Task, may_wait: tuple[int, ...] = ()) -> list[int]:
    """Launches that the graph of each stage holds; nothing waits for the device in any step.

    Every stage has a step that is launched kernel by kernel, and one that is recorded and replayed.
    """
    trainer, counts = Trainer(task), []
    assert task._bfloat16, "training on a GPU must be in bfloat16"
    while trainer.step < task.stages[-1]:
        step = trainer.step
        seen.clear()
        output = trainer.update()
        trainer.meter.add(output.terms, output.frames)
        assert step in may_wait or not seen.waits, f"step {step} waits: {dict(seen.waits)}"
        if task.is_static and trainer.step in task.stages:
            asked = seen.launches.total() - 1  # for the recording
            assert asked == IN_A_STEP, f"step {step} of {task.stages} is {asked} launches"
            counts.append(seen.inside.total())
    return counts
