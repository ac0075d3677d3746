"""What presets promise beside their measured results."""

from __future__ import annotations

from dataclasses import replace

from jepa_agent.cli import train
from jepa_agent.presets import BASE, BASE_GPU, DATA, PRESETS
from jepa_agent.training.config import RefinementConfig, TrainingConfig


def frames(stage: TrainingConfig | RefinementConfig) -> int:
    return stage.layouts_per_batch * stage.windows_per_layout * (stage.horizon + 1)


def test_every_preset_has_data_and_a_line_of_help() -> None:
    assert PRESETS.keys() == DATA.keys() == train.ABOUT.keys()


def test_base_gpu_is_base_in_larger_batches_by_the_stated_rule() -> None:
    """16 times the frames a step, 4 times the learning rate, a fourth of the steps."""
    large, small = BASE_GPU.training, BASE.training
    for one, other in ((large, small), (large.refinement, small.refinement)):
        assert frames(one) == 16 * frames(other)
        assert one.learning_rate == 4 * other.learning_rate
        assert 4 * one.steps == other.steps
    assert large.layouts_per_batch <= 966, "a batch's layouts are distinct"

    def sized(stage: TrainingConfig | RefinementConfig) -> dict:
        names = ("steps", "layouts_per_batch", "windows_per_layout", "learning_rate")
        return {name: getattr(stage, name) for name in names}

    refinement = replace(large.refinement, **sized(small.refinement))
    training = replace(large, **sized(small), refinement=refinement)
    assert replace(BASE_GPU, training=training) == BASE
    assert DATA["base_gpu"] == DATA["base"]
