"""Documents of version 1, frozen, are read as today's."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from jepa_agent import EnvRef, JEPAAgent, Preset, WorldModelConfig
from jepa_agent.io.migrate import completed, from_version_1
from jepa_agent.io.serialisation import from_dict, to_dict
from jepa_agent.models.backbones import BackboneConfig, ResNetConfig, ViTConfig
from jepa_agent.models.distances import BlockNormConfig
from jepa_agent.models.encoders import (
    BackboneEncoderConfig,
    EncoderConfig,
    ImpalaConfig,
    PatchCNNConfig,
    PatchPoolConfig,
    VectorMLPConfig,
)
from jepa_agent.models.predictors import (
    GRUConfig,
    PredictorConfig,
    ResidualMLPConfig,
    StepwiseMLPConfig,
)
from jepa_agent.planners import (
    CEMConfig,
    CEMGradientConfig,
    GradientConfig,
    ICEMConfig,
    MPPIConfig,
    PlannerConfig,
    RandomShootingConfig,
)
from jepa_agent.training.config import LossWeights, RefinementConfig, TrainingConfig

TRAINING = """{
  "steps": 60, "groups": 2, "windows": 8, "horizon": 2, "unroll": 1, "alike": 2,
  "learning_rate": 0.001, "weight_decay": 1e-05, "warmup": 0.05, "clip": 3.0, "penalty": 50.0,
  "within_context": true,
  "weights": {"prediction": 1.0, "variance": 16.0, "covariance": 8.0, "sigreg": 0.0,
    "temporal_similarity": 0.1, "inverse_dynamics": 10.0, "value": 0.3, "context": 1.0},
  "refinement": {"steps": 20, "groups": 3, "windows": 5, "horizon": 2, "learning_rate": 0.003},
  "diagnose_every": 500, "diagnose_episodes": 32, "bfloat16": null, "compiled": null, "seed": 0
}"""
RUN = f"""{{"run": {{"preset": {{
  "model": {{"observation_shape": [65, 65, 3], "action_dim": 2, "state_dim": 2, "chunk": 3,
    "latent_dim": 8, "encoder": {{"patch": 16, "channels": [4, 4], "hidden": 16}},
    "predictor": {{"width": 16, "depth": 1}},
    "value": {{"width": 16, "depth": 1, "dim": 4, "blocks": 2}}}},
  "training": {TRAINING},
  "planner": {{"horizon": 2, "candidates": 16, "iterations": 2, "elites": 4, "std": 1.0,
    "min_std": 0.02}},
  "cost": {{"distance": "value", "over": "last", "discount": 0.9, "effort": 0.1, "memory": 3}}}},
  "training": {TRAINING}, "data": {{"env_id": "TwoRooms-v0", "value": 1}}}}}}"""


def migrated(document: dict[str, Any]) -> dict[str, Any]:
    return completed(*from_version_1({}, document))[1]


def test_the_config_of_a_run_of_version_1_is_todays() -> None:
    document = json.loads(RUN)
    run = migrated(document)["run"]
    training = TrainingConfig(
        60, 2, 8, 2, 1, 2,
        max_grad_norm=3.0, constraint_weight=50.0, center_per_layout=True,
        weights=LossWeights(distance=0.3, contrast=1.0),
        refinement=RefinementConfig(20, 3, 5, 2),
    )  # fmt: skip
    preset = from_dict(Preset, migrated({"was": document["run"]["preset"]})["was"])
    assert preset.training == training
    assert preset.planner == CEMConfig(2, 16, 2, 4)
    assert (preset.cost.distance, preset.cost.reduction) == ("learned", "last")
    assert (preset.cost.action_cost, preset.cost.error_memory) == (0.1, 3)
    assert preset.model.distance_head == BlockNormConfig(16, 1, 4, 2)
    assert preset.model.encoder == PatchCNNConfig(16, (4, 4), 16)
    assert run == {
        "model": to_dict(preset.model),
        "training": to_dict(training),
        "data": {"env_id": "TwoRooms-v0", "value": 1},
    }


FAMILIES: list[tuple[type, str, list[Any]]] = [
    (EncoderConfig, "encoder", [
        PatchCNNConfig(), PatchPoolConfig(), ImpalaConfig(), VectorMLPConfig(),
        BackboneEncoderConfig(BackboneConfig((16, 16, 3), ViTConfig())),
    ]),
    (PredictorConfig, "predictor", [ResidualMLPConfig(), StepwiseMLPConfig(), GRUConfig()]),
    (PlannerConfig, "planner", [
        CEMConfig(), ICEMConfig(), MPPIConfig(), GradientConfig(), CEMGradientConfig(),
        RandomShootingConfig(),
    ]),
]  # fmt: skip
OLD = {
    "num_samples": "candidates",
    "num_elites": "elites",
    "elite_fraction_kept": "kept",
    "std_decay": "decay",
    "sample_decay": "decay",
}


PREDICTORS = ("residual_mlp", "stepwise_mlp", "gru")


def before(value: Any) -> Any:
    """A document of today as version 1 wrote it."""
    if not isinstance(value, dict):
        return value
    document = {OLD.get(name, name): before(item) for name, item in value.items()
                if name != "kind"}  # fmt: skip
    if value.get("kind") in PREDICTORS:
        del document["heads"]  # of an ensemble, which there was not
    return document | ({"decay": 1.25} if value.get("kind") == "icem" else {})


@pytest.mark.parametrize(
    ("family", "name", "config"),
    [(family, name, config) for family, name, configs in FAMILIES for config in configs],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_every_kind_of_version_1_is_told_by_its_fields(family: Any, name: str, config: Any) -> None:
    old = before(json.loads(json.dumps(to_dict(config))))
    assert from_dict(family, migrated({name: old})[name]) == config
    if name == "planner":
        in_an_agent = {"planner": {"name": config.kind, "config": old}}
        assert from_dict(family, migrated(in_an_agent)["planner"]) == config


def test_backbones_of_version_1() -> None:
    for network in (ResNetConfig(), ViTConfig()):
        config = BackboneConfig((16, 16, 3), network)
        old = before(json.loads(json.dumps(to_dict(config))))
        assert from_dict(BackboneConfig, migrated({"backbone": old})["backbone"]) == config


def test_tensors_of_version_1() -> None:
    names = [
        "value.0.weight", "pixel_mean", "encoder.norm.weight", "model.value.2.bias",
        "model.pixel_std", "objective.context.0.weight", "objective.contexts",
        "objective.inverse_dynamics.0.bias", "optimizer.3.exp_avg", "tally.value",
        "tally.context", "tally.prediction",
    ]  # fmt: skip
    found = from_version_1(dict.fromkeys(names, torch.zeros(1)), {})[0]
    assert list(found) == [
        "distance_head.0.weight", "observation_mean", "encoder.norm.weight",
        "model.distance_head.2.bias", "model.observation_std",
        "objective.heads.contrast.embedding.0.weight", "objective.heads.contrast.prototypes",
        "objective.heads.inverse_dynamics.0.bias", "optimizer.3.exp_avg",
        "meter.distance", "meter.contrast", "meter.prediction",
    ]  # fmt: skip


def test_fields_that_an_older_checkpoint_lacks_are_what_they_were() -> None:
    older: dict[str, Any] = {"env_ref": {"id": "A-v0", "kwargs": {"env_ref": {}}, "history": 2}}
    found = completed({}, older | {"notes": {"env_ref": {}}})[1]
    assert from_dict(EnvRef, found["env_ref"]) == EnvRef("A-v0", {"env_ref": {}}, 2)
    assert found["notes"] == {"env_ref": {}}
    assert completed({}, found)[1] == found


def test_the_shipped_checkpoint_is_of_base() -> None:
    agent = JEPAAgent.load("default")
    expected = WorldModelConfig(
        chunk=2,
        training_chunk=5,
        latent_dim=256,
        encoder=PatchPoolConfig(),
        predictor=StepwiseMLPConfig(),
        distance_head=BlockNormConfig(512, 2),
    )
    assert agent.model.config == expected
    assert agent.planner.config == MPPIConfig(horizon=2, num_samples=128)


def test_actions_of_checkpoints_without_their_statistics_were_raw() -> None:
    model = to_dict(WorldModelConfig())
    for prefix, document in (("", {"model": model}), ("model.", {"run": {"model": model}})):
        found = completed({f"{prefix}observation_mean": torch.zeros(3)}, document)[0]
        assert found[f"{prefix}action_mean"].tolist() == [0.0, 0.0]
        assert found[f"{prefix}action_std"].tolist() == [1.0, 1.0]
        assert completed({**found, f"{prefix}action_mean": torch.ones(2)}, document)[0][
            f"{prefix}action_mean"
        ].tolist() == [1.0, 1.0]
    assert completed({"stem.weight": torch.zeros(1)}, {"backbone": {}})[0].keys() == {"stem.weight"}


def test_fields_that_were_added_later_get_what_was_fixed_before() -> None:
    bounds = {"low": [-1.0], "high": [1.0], "norm": None}
    added = {"idle": None, "categories": [], "start": [], "shape": None, "dtype": None}
    assert completed({}, {"bounds": bounds})[1] == {"bounds": {**bounds, **added}}
    assert completed({}, {"planner": {"kind": "mppi"}})[1]["planner"]["knots"] == 1
    head = {"distance_head": {"kind": "value_map"}}
    assert completed({}, head)[1]["distance_head"]["near_most"] == 0.0
    assert completed({}, {"data": {"bounds": {}}})[1] == {"data": {"bounds": {}}}


def test_proposals_without_a_search_are_a_planner_of_their_own() -> None:
    saved = {"kind": "proposal", "horizon": 5, "knots": 2, "num_samples": 8, "iterations": 0}
    _, config = completed({}, {"planner": saved})
    assert config["planner"] == {"kind": "reactive", "horizon": 5, "knots": 2}
    searched = saved | {"iterations": 1}
    assert completed({}, {"planner": searched})[1]["planner"].items() >= searched.items()
