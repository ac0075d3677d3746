"""Kinds of the parts of a preset, chosen by name: `--planner cem`, `--encoder impala`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any

import tyro

from ..models.distances import DistanceHeadConfig
from ..models.encoders import BackboneEncoderConfig, EncoderConfig
from ..models.predictors import PredictorConfig
from ..planners import PlannerConfig
from ..registry import Registered, import_object
from ..training.config import Preset

FAMILIES: dict[str, type[Registered]] = {
    "planner": PlannerConfig,
    "encoder": EncoderConfig,
    "predictor": PredictorConfig,
    "distance_head": DistanceHeadConfig,
}
"""The families of configs whose kind can be chosen, by the option that does it."""


def known(family: type[Registered]) -> list[str]:
    """The library's kinds of a family that have default settings."""
    needy = BackboneEncoderConfig.kind  # chosen by its folder, --encoder.backbone
    return sorted(kind for kind in family.kinds if ":" not in kind and kind != needy)


def _shown(name: str) -> Any:
    return tyro.conf.arg(name=name, metavar="|".join((*known(FAMILIES[name]), "module:Name")))


@dataclass(frozen=True)
class Kinds:
    """Kinds other than the preset's, with their default settings; yours are module:Name."""

    planner: Annotated[str, _shown("planner")]
    """Its settings are --planner.NAME."""
    encoder: Annotated[str, _shown("encoder")]
    """Its settings are --model.encoder.NAME."""
    predictor: Annotated[str, _shown("predictor")]
    """Its settings are --model.predictor.NAME."""
    distance_head: Annotated[str, _shown("distance_head")]
    """Its settings are --model.distance-head.NAME."""


def kinds_of(preset: Preset) -> Kinds:
    """The kinds of a preset's parts."""
    model = preset.model
    parts = (preset.planner, model.encoder, model.predictor, model.distance_head)
    return Kinds(*(part.kind for part in parts))


def with_kinds(preset: Preset, options: Sequence[str]) -> Preset:
    """A preset with the parts that the options name, in their default settings.

    Raises:
        ValueError: if a family has no such kind.
    """
    for option, following in pairwise((*options, "")):
        flag, equals, value = option.partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or name not in FAMILIES:
            continue
        part = _part(name, value if equals else following)
        if name == "planner":
            preset = replace(preset, planner=part)
        else:
            preset = replace(preset, model=replace(preset.model, **{name: part}))
    return preset


def _part(name: str, kind: str) -> Any:
    family, flag = FAMILIES[name], name.replace("_", "-")
    found: Any = import_object(kind) if ":" in kind else family.kinds.get(kind)
    is_one = isinstance(found, type) and issubclass(found, family)
    if not is_one or (":" not in kind and kind not in known(family)):
        fix = "; for a pretrained one use --encoder.backbone FOLDER" if name == "encoder" else ""
        raise ValueError(
            f"--{flag} must be one of {known(family)} or module:Name of a {family.__name__}, got "
            f"{kind!r}{fix or '; choose one of them'}"
        )
    return found()
