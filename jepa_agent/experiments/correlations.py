"""How well one number ranks models by another: Kendall's tau, with intervals and controls."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

Values = Sequence[float] | np.ndarray
Pair = tuple[Values, Values]


def kendall(first: Values, second: Values) -> float:
    """Kendall's tau-b of two rankings (N,): 1 is the same order, -1 the opposite.

    NaN where one of them has all values equal. Kendall (1945), The treatment of ties.
    """
    one, two = (_order(values) for values in (first, second))
    pairs = np.sqrt((one**2).sum() * (two**2).sum())
    return float((one * two).sum() / pairs) if pairs else float("nan")


def partial_kendall(first: Values, second: Values, given: Values) -> float:
    """Tau of two rankings (N,) beyond what both share with a third.

    NaN where one of them has the third's order. Kendall (1942), Partial rank correlation.
    """
    direct, one, two = kendall(first, second), kendall(first, given), kendall(second, given)
    left = (1.0 - one**2) * (1.0 - two**2)
    return (direct - one * two) / left**0.5 if left > 1e-12 else float("nan")


def bootstrap(
    statistic: Callable[..., float],
    columns: Sequence[Values],
    groups: Sequence[Hashable],
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic of columns (N,), over groups drawn anew.

    Args:
        statistic: a function of the columns; NaN in a draw leaves the draw out.
        columns: one value a model.
        groups: what each model belongs to, such as its training: checkpoints of one are no
            independent models, so they are drawn together.
        draws: number of draws.
        seed: seed of the draws.

    Returns:
        Its ends; NaN where no draw has a value.
    """
    arrays = [np.asarray(column, dtype=float) for column in columns]
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    rows, generator = [np.array(found) for found in members.values()], np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        chosen = generator.integers(len(rows), size=len(rows))
        drawn = np.concatenate([rows[index] for index in chosen])
        values.append(statistic(*(array[drawn] for array in arrays)))
    known = np.array(values)[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def worst_case(environments: Mapping[str, Pair]) -> tuple[str, float]:
    """The environment in which a measure ranks worst, and its tau there.

    A measure that is good on average may be wrong where it is needed: Dziugaite et al. 2020, In
    search of robust measures of generalization, 2010.11924.

    Args:
        environments: the measure, where higher is thought to be better, and the score of models,
            by environment; those without a tau are left out.

    Raises:
        ValueError: if no environment has a tau.
    """
    found = {name: kendall(*pair) for name, pair in environments.items()}
    known = {name: tau for name, tau in found.items() if not np.isnan(tau)}
    if not known:
        raise ValueError(
            "a worst case needs an environment in which models differ in both numbers, got none "
            f"of {[*environments]}; give more models"
        )
    return min(known.items(), key=lambda item: item[1])


def _order(values: Values) -> np.ndarray:
    """The sign of the difference of every pair (N, N)."""
    column = np.asarray(values, dtype=float)
    return np.sign(column[:, None] - column[None, :])
