"""Every config of the library, found by looking for them, to JSON and back: whole, changed in every
field, and damaged."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import itertools
import json
import pkgutil
import random
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jepa_agent
from jepa_agent import envs, planners
from jepa_agent.io.serialisation import from_dict, to_dict
from jepa_agent.models.encoders import EncodedPart, VectorMLPConfig
from jepa_agent.models.predictors import StepwiseMLPConfig
from jepa_agent.training.config import LossWeights
from jepa_agent.training.terms import LossBatch, LossTerm
from jepa_agent.worlds.reference import WrapperRef

PLAIN = (int, float, bool, str, dict, type(None), Any)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats() | st.text(max_size=8)
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
WORDS = (
    "fixed",
    "mixed",
    "latent",
    "last",
    "random",
    "state",
    "sparse",
    "other",
    "50",
    "strip",
    "cvar",
    "test",
)
"""One of them is another choice of every field that is a name."""


@dataclasses.dataclass(frozen=True)
class Nothing(LossTerm):
    """A user's loss term."""

    def __call__(self, batch: LossBatch, head: None) -> torch.Tensor:
        return torch.zeros(())


EXAMPLES: dict[str, dict[str, Any]] = {
    "ActionBounds": {"low": (-1.0,), "high": (1.0,)},
    "Calibration": {"mean": (0.5,) * 4, "std": (2.0,) * 4, "weights": (1.5,) * 4},
    "EncodedPart": {"shape": (3,), "encoder": VectorMLPConfig()},
    "FusedConfig": {"parts": (EncodedPart("part", (3,), VectorMLPConfig()),)},
    "EnvRef": {"wrappers": (WrapperRef("module:Wrapper"),)},
    "TrainingConfig": {"weights": LossWeights(contrast=1.0), "extra_terms": (Nothing(2.0),)},
}
"""Arguments with which every field of a config can be changed alone."""
ALTERNATIVES: dict[str, list[dict[str, Any]]] = {
    "ActionBounds": [
        {"low": (0.0,) * 3, "high": (1.0,) * 3},
        {"low": (0.0,) * 3, "high": (1.0,) * 3, "categories": (3,), "start": (1,)},
    ],
    "MazesConfig": [{"layout": "###\n#..\n###"}],
    "WorldModelConfig": [{"predictor": StepwiseMLPConfig()}],
}
"""Others, for fields that only some of these arguments let change."""


@functools.cache
def hints(kind: type) -> dict[str, Any]:
    found = typing.get_type_hints(kind)
    return {field.name: found[field.name] for field in dataclasses.fields(kind)}


def is_stored(hint: Any) -> bool:
    """Whether a value of this type can be written into JSON."""
    if dataclasses.is_dataclass(hint):
        return all(map(is_stored, hints(typing.cast(type, hint)).values()))
    if typing.get_origin(hint) is typing.Literal:
        return True
    if typing.get_origin(hint) in (typing.Union, types.UnionType, dict, list, tuple):
        return all(is_stored(part) for part in typing.get_args(hint) if part is not Ellipsis)
    return hint in PLAIN


def find() -> dict[str, type]:
    """The frozen dataclasses of the library, commands and experiments left out, that hold nothing
    but what JSON can."""
    found = {}
    modules = itertools.chain(
        pkgutil.walk_packages(jepa_agent.__path__, "jepa_agent."),
        pkgutil.walk_packages(planners.__path__, "jepa_agent.planners."),
        pkgutil.walk_packages(envs.__path__, "jepa_agent.envs."),
    )
    for module in modules:
        if module.name.split(".")[1] in ("cli", "experiments", "__main__"):
            continue
        for kind in vars(importlib.import_module(module.name)).values():
            if (
                isinstance(kind, type)
                and dataclasses.is_dataclass(kind)
                and kind.__dataclass_params__.frozen
                and not inspect.isabstract(kind)
                and is_stored(kind)
            ):
                found[kind.__name__] = kind
    return dict(sorted(found.items()))


KINDS = find()


def kinds_of(hint: Any) -> list[type]:
    """The configs that a field of this type may hold."""
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    members = typing.get_args(hint) if is_union else (hint,)
    return [
        kind
        for kind in KINDS.values()
        if any(isinstance(each, type) and issubclass(kind, each) for each in members)
    ]


def example(hint: Any) -> Any:
    """A value of a type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if configs := kinds_of(hint):
        return made(configs[0])
    if origin in (typing.Union, types.UnionType):
        return example(next(each for each in arguments if each is not type(None)))
    if origin is typing.Literal:
        return arguments[0]
    if origin in (list, tuple):
        count = 1 if origin is list or Ellipsis in arguments else len(arguments)
        return origin(example(each) for each in arguments[:count])
    if origin is dict:
        return {"name": example(arguments[1])}
    plain = {int: 3, float: 0.25, bool: True, str: "name", dict: {"name": [None]}, Any: "any"}
    return plain[hint]


def made(kind: type) -> Any:
    """A config, its fields without defaults made up."""
    given = EXAMPLES.get(kind.__name__, {})
    needed = {
        field.name: example(hints(kind)[field.name])
        for field in dataclasses.fields(kind)
        if field.default is field.default_factory is dataclasses.MISSING
    }
    return kind(**needed | given)


def others(hint: Any, value: Any) -> Iterator[Any]:
    """Other values of a type."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if configs := kinds_of(hint):
        for each in map(made, configs):
            yield from (each, *itertools.islice(changes(each), 9))
    elif origin in (typing.Union, types.UnionType):
        for each in arguments:
            yield None if each is type(None) else example(each)
            if each is not type(None):
                yield from others(each, example(each) if value is None else value)
    elif origin is typing.Literal:
        yield from arguments
    elif origin in (list, tuple):
        if origin is list or Ellipsis in arguments:
            yield from (origin(), value * 2, value * 3, value[:-1])
        if origin is tuple and not value:
            yield (example(arguments[0]),)
        if value:
            kinds = arguments if origin is tuple else arguments * len(value)
            for other in others(kinds[0], value[0]):
                yield origin([other, *value[1:]])
    elif dict in (origin, hint):
        yield from ({}, {"other": example(arguments[1] if arguments else Any)})
    elif hint is bool:
        yield not value
    elif hint in (int, float):
        yield from (hint(each) for each in (value + 1, value * 2, value / 2, value - 1, 0, 1, 0.5))
    else:
        yield from WORDS


def changes(config: Any) -> Iterator[Any]:
    """The config with one field changed, as often as it is accepted."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        for other in others(hints(type(config))[field.name], value):
            if other != value or type(other) is not type(value):
                try:
                    yield dataclasses.replace(config, **{field.name: other})
                except ValueError:
                    continue


def stored(config: Any) -> Any:
    """What a file gives back."""
    return json.loads(json.dumps(to_dict(config)))


def test_what_is_stored_is_found() -> None:
    """And nothing that is not, so that the search below means something."""
    known = {"ActionBounds", "EnvRef", "Preset", "Report", "TrainingConfig", "WorldModelConfig"}
    assert known <= set(KINDS)
    assert "Trajectories" not in KINDS
    assert len(KINDS) > 40


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_field_changed_is_still_there_when_read_again(kind: type) -> None:
    """Fields that hold one of several configs hold each of them, in every variation."""
    changed: set[str] = set()
    for config in (made(kind), *(kind(**each) for each in ALTERNATIVES.get(kind.__name__, []))):
        assert from_dict(kind, stored(config)) == config
        for other in changes(config):
            found = from_dict(kind, stored(other))
            assert found == other
            assert found != config
            changed |= {
                name for name in hints(kind) if getattr(found, name) != getattr(config, name)
            }
    assert changed == {field.name for field in dataclasses.fields(kind)}


def damaged(document: Any, draw: random.Random, other: Any) -> Any:
    """A document with one of its parts replaced, removed or renamed."""
    if isinstance(document, dict) and document and draw.random() < 0.8:
        key = draw.choice(sorted(document))
        rest = {name: value for name, value in document.items() if name != key}
        fate = draw.random()
        if fate < 0.7:
            return {**rest, key: damaged(document[key], draw, other)}
        return rest if fate < 0.85 else {**rest, f"{key}x": document[key]}
    if isinstance(document, list) and document and draw.random() < 0.8:
        at = draw.randrange(len(document))
        return [*document[:at], damaged(document[at], draw, other), *document[at + 1 :]]
    return other


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_damaged_configs_are_read_as_what_they_say_or_named(kind: type) -> None:
    """Whatever is read is valid, and stored as what it was read from."""
    refused: list[Any] = []
    whole = [stored(config) for config in (made(kind), *changes(made(kind)))]

    @settings(
        max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(st.sampled_from(whole), DOCUMENTS, st.randoms(use_true_random=False))
    def check(document: Any, other: Any, draw: random.Random) -> None:
        try:
            found = from_dict(kind, damaged(document, draw, other))
        except ValueError:  # and no other
            refused.append(document)
            return
        assert isinstance(found, kind)
        assert json.dumps(to_dict(from_dict(kind, to_dict(found)))) == json.dumps(to_dict(found))

    check()
    assert len(refused) > 20
