"""Every setting of a training changes it, and impossible ones are rejected."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from jepa_agent import TrainingConfig
from jepa_agent.training.config import LossWeights, RefinementConfig

TERMS = {
    "prediction", "variance", "covariance", "temporal_similarity", "inverse_dynamics", "distance",
}  # fmt: skip
Run = Callable[..., dict[str, Tensor]]


def differ(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return any(not torch.equal(first[name], second[name]) for name in first)


CHANGES: dict[str, Any] = {
    "steps": 4,
    "layouts_per_batch": 3,
    "windows_per_layout": 9,
    "horizon": 3,
    "prediction_horizon": 1,
    "center_per_layout": True,
    "detach_distance": True,
    "held_out_share": 0.2,
    "learning_rate": 2e-3,
    "weight_decay": 0.5,
    "warmup": 1.0,
    "max_grad_norm": 0.01,
    "weights": LossWeights(distance=3.0),
    "refinement": RefinementConfig(steps=1, layouts_per_batch=2, windows_per_layout=2, horizon=2),
    "bfloat16": True,
    "seed": 1,
}
UNSEEN = {
    "extra_terms",
    "compiled", "constraint_weight", "diagnose_episodes", "diagnose_every", "hard_negative_cluster",
}  # fmt: skip
"""Settings that change no bit of this training."""


def test_every_setting_changes_the_result(run: Run) -> None:
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    assert set(CHANGES) == names - UNSEEN
    base = run()
    for name, value in CHANGES.items():
        assert differ(run(**{name: value}), base), name


def test_every_loss_weight_changes_the_result(run: Run) -> None:
    names = {field.name for field in dataclasses.fields(LossWeights)}
    assert names == TERMS | {"contrast", "sigreg", "window_contrast"}
    base = run()
    for name in TERMS:
        assert differ(run(weights=LossWeights(**{name: 0.0})), base), name
    for name in ("contrast", "sigreg", "window_contrast"):
        assert differ(run(weights=LossWeights(**{name: 1.0})), base), name


def test_the_probe_moves_nothing_but_itself(run: Run) -> None:
    nothing = LossWeights(**dict.fromkeys(TERMS, 0.0))
    short, long = (run(weights=nothing, weight_decay=0.0, steps=steps) for steps in (1, 4))
    moved = {name for name in short if not torch.equal(short[name], long[name])}
    assert moved
    assert all(name.startswith("probe.") for name in moved)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be positive, or 0 with refinement.steps > 0, got 0 and 0"),
        ({"layouts_per_batch": 0}, "layouts_per_batch must be positive"),
        ({"windows_per_layout": 0}, "windows_per_layout must be positive"),
        ({"horizon": 0}, "horizon must be positive"),
        ({"layouts_per_batch": 3, "windows_per_layout": 5}, r"at least 16 .*got 3 \* 5"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"warmup": -0.1}, "warmup"),
        ({"max_grad_norm": 0.0}, "max_grad_norm"),
        ({"constraint_weight": 0.0}, "constraint_weight"),
        (
            {"layouts_per_batch": 16, "windows_per_layout": 1},
            "compare windows of a layout .* got windows_per_layout 1",
        ),
        ({"prediction_horizon": 5}, r"prediction_horizon must be in \[0, horizon\], got 5 of 4"),
        ({"hard_negative_cluster": 0}, r"hard_negative_cluster must be in"),
        ({"hard_negative_cluster": 2}, "1 without weights.contrast, got 2 of 4 layouts"),
        ({"hard_negative_cluster": 5, "weights": LossWeights(contrast=1.0)}, "got 5 of 4 layouts"),
    ],
    ids=str,
)
def test_impossible_settings_are_rejected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**settings)
