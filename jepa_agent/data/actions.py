"""What recorded actions tell where the environment does not: their range, and the idle one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..planners import ActionBounds
from ..worlds.sampling import UNBOUNDED
from .trajectories import Trajectories

MARGIN = 1e-3
"""How far bounds lie around a component of the actions that never changes, as a share of it."""
ROOMY = 0.9
"""Share of the environment's range below which the data's is another."""
ALIKE = 0.1
"""Zero is near the centre of a box below this share of its half width."""
SHARE, FEWEST, MOST = 0.01, 16, 2000
"""Actions that count as near to one: a share of all, at least and at most these."""


def fitted(bounds: ActionBounds, data: Trajectories, stated: bool = False) -> ActionBounds:
    """The bounds of plans, given those of the environment and the actions in data.

    A component that varies keeps to its range in the data where that is narrower by more than a
    tenth, since the model knows no other actions, unless the bounds are those that the data state.
    An open component gets its range in the data. Where nothing says which action
    is idle, and zero is not near the centre of the box, it is one of these two: the one near which
    the recorded observations change least; of discrete actions the one that changes them least.

    Raises:
        ValueError: if the data's actions have another size.
    """
    size = data.actions.shape[1]
    if size != len(bounds.low):
        raise ValueError(
            f"the data's actions must have as many components as their bounds, got {size} and "
            f"{len(bounds.low)}; name the environment that they come from, and "
            "the categories of discrete actions"
        )
    if bounds.categories:
        return bounds if bounds.idle else replace(bounds, idle=_idle_categories(bounds, data))
    bounds = _narrowed(bounds, data, 0.0 if stated else ROOMY)
    return bounds if bounds.idle else replace(bounds, idle=_idle(bounds, data))


def _narrowed(bounds: ActionBounds, data: Trajectories, share: float) -> ActionBounds:
    """The bounds with the data's range where they are open, or it is below a share of theirs."""
    found, varies = range_of_actions(data), np.ptp(data.actions, axis=0) > 0
    lowest, highest = np.asarray(found.low), np.asarray(found.high)
    low, high = np.asarray(bounds.low), np.asarray(bounds.high)
    low = np.where(low > -UNBOUNDED, low, lowest)
    high = np.where(high < UNBOUNDED, high, highest)
    narrow = varies & (highest - lowest < share * (high - low))
    low, high = np.where(narrow, lowest, low), np.where(narrow, highest, high)
    return replace(bounds, low=tuple(low.tolist()), high=tuple(high.tolist()))


def range_of_actions(data: Trajectories) -> ActionBounds:
    """The box of the actions in data; a component that never changes gets a small margin."""
    low, high = data.actions.min(axis=0), data.actions.max(axis=0)
    margin = np.where(low < high, 0.0, MARGIN * np.maximum(np.abs(high), 1.0))
    return ActionBounds(tuple((low - margin).tolist()), tuple((high + margin).tolist()))


def _idle(bounds: ActionBounds, data: Trajectories) -> tuple[float, ...] | None:
    """None for the default."""
    zero, centre, half_width = bounds.default_idle, bounds.centre, bounds.half_width
    if np.abs((np.asarray(zero) - centre) / half_width).max() < ALIKE:
        return None
    scaled = data.actions / np.asarray(half_width)
    changes = [
        _change(data, _nearest(scaled, np.asarray(guess) / half_width)) for guess in (zero, centre)
    ]
    return None if changes[0] <= changes[1] else centre


def _idle_categories(bounds: ActionBounds, data: Trajectories) -> tuple[float, ...]:
    """In each group the category whose steps change least; those never taken are not idle."""
    idle, begin = np.zeros(len(bounds.low)), 0
    for size in bounds.categories:
        columns = range(begin, begin + size)
        taken = [np.flatnonzero(data.actions[:, column])[:MOST] for column in columns]
        changes = [_change(data, steps) if len(steps) else np.inf for steps in taken]
        idle[begin + int(np.argmin(changes))] = 1.0
        begin += size
    return tuple(idle.tolist())


def _nearest(actions: np.ndarray, to: np.ndarray) -> np.ndarray:
    """Numbers of the actions nearest to one."""
    count = min(len(actions), int(np.clip(SHARE * len(actions), FEWEST, MOST)))
    return np.argpartition(np.square(actions - to).sum(axis=1), count - 1)[:count]


def _change(data: Trajectories, steps: np.ndarray) -> float:
    """How much these steps change what is seen, in deviations of it."""
    ends = data.offsets[1:] - np.arange(1, len(data.offsets))  # of the episodes' actions
    rows = steps + np.searchsorted(ends, steps, side="right")  # an episode has one more state
    seen = data.states if data.states.shape[1] or data.observations is None else data.observations
    before, after = (seen[each].reshape(len(each), -1).astype(float) for each in (rows, rows + 1))
    spread = np.std(np.concatenate([before, after]), axis=0)
    return float((np.abs(after - before) / np.where(spread > 0, spread, 1.0)).mean())
