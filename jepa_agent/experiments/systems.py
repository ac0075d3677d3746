"""Systems to take apart, and their variants."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """Settings that all variants of a table share."""

    minutes: float
    episodes: int
    data_scale: float
    bfloat16: bool = False


@dataclass(frozen=True)
class Variant:
    """A change of a system's preset.

    Args:
        changes: new values by dotted name.
        shares: name of what it shares with other variants of a seed, such as the trained model of
            another one where only planning differs; these run one after another.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    shares: str = ""


@dataclass(frozen=True)
class System:
    """Something to take apart.

    Args:
        variants: by name.
        run: trains (or goes on with) one variant of a seed in a folder, and measures it.
        minutes: default minutes per run.
        score: the plot's axis.
        rate: that figure over several runs, with its interval.
        columns: other figures of the table, over several runs.
        reference: the variant that the others are tested against, where runs list what they
            `solved`; empty for no tests.
    """

    variants: dict[str, Variant]
    run: Callable[[Path, Budget, str, int], Figures]
    minutes: float
    score: str
    rate: Callable[[list[Figures]], tuple[float, float, float]]
    columns: dict[str, Callable[[list[Figures]], str]]
    reference: str = ""


def with_value(config: Any, key: str, value: Any) -> Any:
    """A copy of nested frozen dataclasses with one field changed, given by its dotted name."""
    name, _, rest = key.partition(".")
    if name not in {item.name for item in fields(config)}:
        raise ValueError(f"{type(config).__name__} has no field {name!r}")
    inner = with_value(getattr(config, name), rest, value) if rest else value
    return replace(config, **{name: inner})


def with_values(config: Any, values: dict[str, Any]) -> Any:
    """Like `with_value`, for several fields."""
    for key, value in values.items():
        config = with_value(config, key, value)
    return config


def folder_name(variant: str, seed: int) -> str:
    """Name of the folder of a variant's run."""
    return f"{re.sub(r'[^a-zA-Z0-9.]+', '-', variant).strip('-')}-{seed}"
