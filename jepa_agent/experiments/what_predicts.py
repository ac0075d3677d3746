"""Which label-free measure ranks models by planning: Kendall's taus by environment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation.label_free import MEASURES
from .correlations import bootstrap, kendall, partial_kendall, worst_case

CONTROL = "prediction_error"
"""The measure beyond which the others are asked to predict."""


@dataclass(frozen=True)
class Planned:
    """A trained model, its measures and how well it plans.

    Args:
        model: its name.
        run: the training that it is a checkpoint of.
        weights: the name of its weights, which changes with them.
        measures: label-free measures by name.
        scores: success by environment.
    """

    model: str
    run: str
    weights: str
    measures: dict[str, float]
    scores: dict[str, float]


def taus(models: Sequence[Planned], draws: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """A row a measure, the best worst case first.

    The sign is the measure's own: positive where what is thought to be better plans better.

    Args:
        models: the models, each in the environments that it has a score of.
        draws: of the bootstrap over trainings.
        seed: seed of these draws.

    Returns:
        By row the `measure`, tau and its 95 % interval in every environment (`NAME`, `NAME_low`,
        `NAME_high`), the `worst` tau and the environment `worst_in`, and the least tau `beyond`
        the prediction error. "-" where models do not differ.
    """
    environments = sorted({name for model in models for name in model.scores})
    rows = [_row(measure, models, environments, draws, seed) for measure in MEASURES]
    return sorted(rows, key=lambda row: -row["worst"] if row["worst"] != "-" else math.inf)


def columns(models: Sequence[Planned]) -> dict[str, str]:
    """Forms of the columns of a table of `taus`."""
    names = sorted({name for model in models for name in model.scores})
    keys = {name: key_of(name) for name in names}
    each = {name: f"{{{key}:.2f}} ({{{key}_low:.2f}} to {{{key}_high:.2f}})"
            for name, key in keys.items()}  # fmt: skip
    return {
        "measure": "{measure}", **each, "worst": "{worst:.2f}", "in": "{worst_in}",
        "beyond prediction error": "{beyond:.2f}",
    }  # fmt: skip


def key_of(environment: str) -> str:
    """An environment's name as the name of a field."""
    return "".join(letter if letter.isalnum() else "_" for letter in environment)


def _row(
    measure: str, models: Sequence[Planned], environments: Sequence[str], draws: int, seed: int
) -> dict[str, Any]:
    row: dict[str, Any] = {"measure": measure}
    pairs, beyond = {}, []
    for environment in environments:
        known = [model for model in models if environment in model.scores]
        better, control = _towards_better(measure, known), _towards_better(CONTROL, known)
        scores = [model.scores[environment] for model in known]
        groups = [model.run for model in known]
        low, high = bootstrap(kendall, (better, scores), groups, draws, seed)
        key = key_of(environment)
        row |= {key: kendall(better, scores), f"{key}_low": low, f"{key}_high": high}
        pairs[environment] = (better, scores)
        beyond.append(partial_kendall(better, scores, control))
    known_beyond = [value for value in beyond if not math.isnan(value)]
    row["beyond"] = min(known_beyond) if known_beyond and measure != CONTROL else math.nan
    try:
        row["worst_in"], row["worst"] = worst_case(pairs)
    except ValueError:
        row["worst_in"], row["worst"] = "-", math.nan
    return {
        name: "-" if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
    }


def _towards_better(measure: str, models: Sequence[Planned]) -> list[float]:
    """A measure of models, with the sign by which more is better."""
    sign = -1.0 if MEASURES[measure].better == "lower" else 1.0
    return [sign * model.measures[measure] for model in models]
