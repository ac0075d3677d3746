from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from jepa_agent import EnvRef, Preset, TrainingConfig, WorldModelConfig
from jepa_agent.io.serialisation import from_dict, to_dict
from jepa_agent.models.encoders import PatchCNNConfig
from jepa_agent.planners import ActionBounds, CEMConfig
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
    with pytest.raises(ValueError, match=r"kind must be of \['short', 'long'\], got 'middle'"):
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


def test_a_union_of_configs_is_told_by_its_fields() -> None:
    from jepa_agent.models.encoders import ImpalaConfig, PatchPoolConfig
    from jepa_agent.models.predictors import GRUConfig

    config = WorldModelConfig(encoder=PatchPoolConfig(queries=5), predictor=GRUConfig())
    assert from_dict(WorldModelConfig, json.loads(json.dumps(to_dict(config)))) == config
    config = WorldModelConfig(encoder=ImpalaConfig((1, 2)))
    assert from_dict(WorldModelConfig, json.loads(json.dumps(to_dict(config)))) == config
    broken = to_dict(config)
    broken["encoder"] = {"stacks": [1], "nonsense": 2}
    with pytest.raises(ValueError, match="encoder must have the fields"):
        from_dict(WorldModelConfig, broken)
