"""The second stage: the predictor alone, on latents."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from jepa_agent import Preset, Trajectories, train
from jepa_agent.models.encoders import ImpalaConfig
from jepa_agent.models.predictors import GRUConfig, PredictorConfig, ResidualMLPConfig
from jepa_agent.models.proposals import ProposalsConfig
from jepa_agent.training.config import RefinementConfig
from jepa_agent.training.loop import Trainer
from jepa_agent.training.task import Progress
from jepa_agent.training.world_model import WorldModelTask

Run = Callable[..., dict[str, Tensor]]


def test_refinement_needs_windows() -> None:
    with pytest.raises(
        ValueError, match=r"refinement\.windows_per_layout must be at least 1, got 0"
    ):
        RefinementConfig(windows_per_layout=0)


def test_refinement_moves_the_predictor_alone(run: Run) -> None:
    short, long = (
        run(
            refinement=RefinementConfig(
                steps=steps, layouts_per_batch=2, windows_per_layout=2, horizon=2
            )
        )
        for steps in (1, 4)
    )
    moved = {name.split(".")[0] for name in short if not torch.equal(short[name], long[name])}
    assert moved == {"predictor", "probe"}


def test_joint_training_goes_on_learning_to_its_end_where_refinement_follows(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    def last_rate(refinement: RefinementConfig) -> float:
        training = dataclasses.replace(tiny_preset.training, steps=1000, refinement=refinement)
        preset = dataclasses.replace(tiny_preset, training=training)
        trainer = Trainer(WorldModelTask(tiny_trajectories, preset, torch.device("cpu")))
        trainer.step = 999
        trainer.update()
        return trainer.optimizer.param_groups[0]["lr"] / training.learning_rate

    assert last_rate(RefinementConfig()) < 1e-4
    assert last_rate(RefinementConfig(steps=1)) == pytest.approx(0.05, abs=1e-3)


def test_proposals_are_learned_in_refinement(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    refinement = RefinementConfig(steps=100, layouts_per_batch=4, windows_per_layout=4, horizon=2)
    training = dataclasses.replace(tiny_preset.training, steps=50, refinement=refinement)
    proposals = ProposalsConfig(heads=2, horizon=2, reach=3, width=64)
    preset = dataclasses.replace(
        tiny_preset,
        model=dataclasses.replace(tiny_preset.model, proposals=proposals),
        training=training,
    )
    log: list[Progress] = []
    train(tiny_trajectories, preset, callbacks=[lambda progress, _: log.append(progress)])
    assert "proposals" not in log[0].losses
    assert log[2].losses["proposals"] < log[1].losses["proposals"]
    with pytest.raises(ValueError, match=r"learned in refinement, got.*steps 0; raise it"):
        train(tiny_trajectories, dataclasses.replace(preset, training=tiny_preset.training))


def test_refinement_lowers_its_own_loss(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    refinement = RefinementConfig(steps=100, layouts_per_batch=4, windows_per_layout=4, horizon=2)
    training = dataclasses.replace(tiny_preset.training, steps=50, refinement=refinement)
    log: list[Progress] = []
    train(
        tiny_trajectories,
        dataclasses.replace(tiny_preset, training=training),
        callbacks=[lambda progress, _: log.append(progress)],
    )
    assert [(p.step, p.steps) for p in log] == [(50, 150), (100, 150), (150, 150)]
    assert "variance" not in log[1].losses
    assert log[2].losses["prediction"] < log[1].losses["prediction"]


@pytest.mark.parametrize("predictor", [ResidualMLPConfig(width=16, depth=1), GRUConfig()])
def test_refinement_has_gradients_of_what_it_trains_alone(
    tiny_trajectories: Trajectories, tiny_preset: Preset, predictor: PredictorConfig
) -> None:
    """Neither those of the last joint step, nor those of the norm that a GRU shares."""
    refinement = RefinementConfig(steps=3, layouts_per_batch=2, windows_per_layout=2, horizon=2)
    training = dataclasses.replace(tiny_preset.training, refinement=refinement)
    model = dataclasses.replace(tiny_preset.model, encoder=ImpalaConfig(), predictor=predictor)
    preset = dataclasses.replace(tiny_preset, model=model, training=training)
    task = WorldModelTask(tiny_trajectories, preset, torch.device("cpu"))
    trainer = Trainer(task)
    while trainer.step < task.stages[-1]:
        trainer.update()
    given = {name for name, p in task.model.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] for name in given} == {"predictor", "probe"}
