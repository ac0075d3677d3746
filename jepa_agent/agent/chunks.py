"""From planned actions to the steps of chunks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..planners import constant

Shares = tuple[tuple[float, ...], ...]
_INVERSES: dict[Shares, Shares] = {}


@dataclass(frozen=True)
class Chunks:
    """Which K actions a chunk consists of, given the `knots` that are planned for it.

    One knot is held for the chunk. Several lie evenly from its first step to its last; between
    them, actions are interpolated, or discrete ones are those of the nearest knot.

    Args:
        steps: K.
        knots: planned actions per chunk, from 1 to K.
        discrete: whether actions are one-hot.
    """

    steps: int
    knots: int = 1
    discrete: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.knots <= self.steps:
            raise ValueError(
                f"knots must be from 1 to the {self.steps} steps of the model's chunk, got "
                f"{self.knots}; set the planner's knots to one of these"
            )

    def split(self, plan: Tensor) -> Tensor:
        """The knots (..., H, knots, A) of every chunk of plans (..., H * knots, A)."""
        return plan.unflatten(-2, (-1, self.knots))

    def fill(self, knots: Tensor) -> Tensor:
        """The actions (..., K * A) of chunks, given their knots (..., knots, A)."""
        if self.knots == 1:
            return knots.expand(*knots.shape[:-2], self.steps, -1).flatten(-2)
        weights = constant(self._shares(), knots.dtype, knots.device)
        return (weights[:, :, None] * knots[..., None, :, :]).sum(dim=-2).flatten(-2)

    def fit(self, actions: Tensor) -> Tensor:
        """The knots (..., knots, A) whose chunks are nearest to actions (..., K * A)."""
        steps = actions.unflatten(-1, (self.steps, -1))
        if self.knots == self.steps:
            return steps
        return constant(_inverse(self._shares()), steps.dtype, steps.device) @ steps

    def _shares(self) -> Shares:
        """Shares (K, knots) of the knots in every step."""
        if self.knots == 1:
            return ((1.0,),) * self.steps
        last = self.knots - 1
        at = [step * last / (self.steps - 1) for step in range(self.steps)]
        if self.discrete:
            at = [float(int(place + 0.5)) for place in at]
        knots = range(self.knots)
        return tuple(tuple(max(0.0, 1 - abs(place - knot)) for knot in knots) for place in at)


def _inverse(shares: Shares) -> Shares:
    """The pseudoinverse (knots, K) of shares (K, knots), made once.

    It is kept in a dict, since torch's compiler looks past functools' caches, and numpy would break
    the graph of a search. A search runs once before it is compiled, so it is found there.
    """
    if shares not in _INVERSES:
        _INVERSES[shares] = tuple(map(tuple, np.linalg.pinv(np.array(shares)).tolist()))
    return _INVERSES[shares]
