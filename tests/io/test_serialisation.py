from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from torch import nn

from jepa_agent import EnvRef, Preset, TrainingConfig, WorldModelConfig
from jepa_agent.io.serialisation import from_dict, to_dict, to_json
from jepa_agent.models.encoders import EncoderConfig, ImpalaConfig, PatchCNNConfig, PatchPoolConfig
from jepa_agent.models.predictors import GRUConfig
from jepa_agent.planners import ActionBounds, CEMConfig, MPPIConfig
from jepa_agent.training.config import LossWeights


@dataclass(frozen=True)
class Part:
    sizes: tuple[int, ...] = (1, 2)
    pair: tuple[float, str] = (0.5, "a")
    limit: float | None = None
    kind: Literal["short", "long"] = "short"


@dataclass(frozen=True)
class Whole:
    name: str
    count: int = 3
    rate: float = 0.1
    is_on: bool = False
    part: Part = field(default_factory=Part)
    free: dict = field(default_factory=dict)


@pytest.mark.parametrize(
    "config",
    [
        Whole("x"),
        Whole("y", 4, 0.2, True, Part((), (1.5, "b"), 2.0), {"any": [1, None]}),
        Preset(
            WorldModelConfig(encoder=PatchCNNConfig(channels=(1, 2, 3))),
            TrainingConfig(weights=LossWeights(distance=0.7)),
            CEMConfig(num_elites=3),
        ),
        ActionBounds((-1.0,), (1.0,)),
        ActionBounds((-1.0,), (1.0,), 0.5),
        EnvRef("TwoRooms-v0", {"layout": "fixed"}),
    ],
)
def test_a_config_survives_json(config: Any) -> None:
    data = json.loads(json.dumps(to_dict(config)))
    assert from_dict(type(config), data) == config


def good() -> dict[str, Any]:
    return json.loads(json.dumps(to_dict(Whole("x"))))


def test_a_value_that_is_none_of_the_choices_is_rejected_with_them() -> None:
    data = good()
    data["part"]["kind"] = "middle"
    with pytest.raises(ValueError, match=r"kind must be one of \['short', 'long'\], got 'middle'"):
        from_dict(Whole, data)


def test_an_unknown_field_is_rejected_with_its_path() -> None:
    data = good()
    data["part"]["size"] = 1
    with pytest.raises(ValueError, match=r"model\.part must have .* unknown \['size'\]"):
        from_dict(Whole, data, "model")


def test_a_missing_field_is_rejected_with_its_path() -> None:
    data = good()
    del data["part"]["pair"]
    with pytest.raises(ValueError, match=r"Whole\.part must have .* missing \['pair'\]"):
        from_dict(Whole, data)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("name", 1, "must be str, got 1"),
        ("name", None, "must be str, got None"),
        ("count", 1.0, "must be int, got 1.0"),
        ("count", True, "must be int, got True"),
        ("count", "1", "must be int, got '1'"),
        ("rate", "0.1", "must be float, got '0.1'"),
        ("rate", True, "must be float, got True"),
        ("rate", None, "must be float, got None"),
        ("is_on", 1, "must be bool, got 1"),
        ("part", [1], r"must be an object, got \[1\]"),
        ("part", None, "must be an object, got None"),
        ("free", [], r"must be dict, got \[\]"),
    ],
)
def test_a_mistyped_field_is_rejected_with_its_path(name: str, value: Any, rule: str) -> None:
    with pytest.raises(ValueError, match=rf"model\.{name} {rule}"):
        from_dict(Whole, {**good(), name: value}, "model")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("sizes", 3, "must be a list, got 3"),
        ("sizes", "12", "must be a list, got '12'"),
        ("sizes", [1, 2.5], "must be int, got 2.5"),
        ("pair", [0.5], r"must have 2 items, got \[0.5\]"),
        ("pair", ["a", 0.5], "must be float, got 'a'"),
        ("limit", "none", "must be float, got 'none'"),
    ],
)
def test_a_mistyped_nested_field_is_rejected_with_its_path(
    name: str, value: Any, rule: str
) -> None:
    data = good()
    data["part"][name] = value
    with pytest.raises(ValueError, match=rf"model\.part\.{name} {rule}"):
        from_dict(Whole, data, "model")


@pytest.mark.parametrize("data", [None, 3, "config", []])
def test_data_that_are_not_an_object_are_rejected(data: Any) -> None:
    with pytest.raises(ValueError, match="Whole must be an object"):
        from_dict(Whole, data)


def test_a_whole_number_may_stand_for_a_float() -> None:
    rate = from_dict(Whole, {**good(), "rate": 2}).rate
    assert (rate, type(rate)) == (2.0, float)


def test_the_rules_of_a_config_hold_for_data_too() -> None:
    data = to_dict(CEMConfig())
    with pytest.raises(ValueError, match="num_elites must be <= num_samples"):
        from_dict(CEMConfig, {**data, "num_elites": 100})


def test_configs_are_frozen() -> None:
    for config in (CEMConfig(), TrainingConfig(), WorldModelConfig(), Preset(), PatchCNNConfig()):
        name = dataclasses.fields(config)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, name, None)


def test_a_kind_is_stored_and_read() -> None:
    config = WorldModelConfig(encoder=PatchPoolConfig(queries=5), predictor=GRUConfig())
    data = json.loads(json.dumps(to_dict(config)))
    assert data["encoder"]["kind"] == "patch_pool"
    assert data["predictor"] == {"kind": "gru", "heads": 1}
    assert from_dict(WorldModelConfig, data) == config


def test_equal_fields_do_not_confuse_two_kinds() -> None:
    @dataclass(frozen=True)
    class Twin(EncoderConfig):
        stacks: tuple[int, ...] = (16, 32, 32)

        def build(self, observation_shape: tuple[int, ...], latent_dim: int) -> nn.Module:
            return ImpalaConfig(self.stacks).build(observation_shape, latent_dim)

    for config in (Twin((3,)), ImpalaConfig((3,))):
        data = to_dict(WorldModelConfig(encoder=config))
        assert from_dict(WorldModelConfig, data).encoder == config


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ({"kind": "impala", "stacks": [1], "x": 2}, "encoder must have the fields"),
        ({"stacks": [1]}, r"encoder\.kind must be one of .*'impala'.*, got None"),
        ({"kind": "gru"}, r"encoder\.kind must be one of .*, got 'gru'; import the module"),
        ({"kind": ["impala"]}, r"encoder\.kind must be one of"),
        ({"kind": "os:system"}, r"encoder\.kind .*'os:system'; let .*allow_code=True"),
        ("impala", "encoder must be an object"),
    ],
)
def test_a_kind_that_is_none_is_rejected(encoder: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_dict(WorldModelConfig, to_dict(WorldModelConfig()) | {"encoder": encoder})


def test_a_config_of_another_kind_of_the_family_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"kind must be one of \['cem'.*\], got 'mppi'"):
        from_dict(CEMConfig, to_dict(MPPIConfig()))


def test_numbers_of_numpy_become_pythons() -> None:
    document = {"a": np.int64(3), "b": [np.float32(0.5), np.bool_(True)], "c": np.arange(2)}
    assert json.loads(to_json(document)) == {"a": 3, "b": [0.5, True], "c": [0, 1]}
