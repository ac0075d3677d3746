"""Which actions a plan may contain, and their units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class ActionUnits(NamedTuple):
    """What planners measure actions in, each (A,)."""

    centre: Tensor
    half_width: Tensor
    """Settings such as a standard deviation are shares of it."""
    idle: Tensor
    """The action that does nothing."""


@dataclass(frozen=True)
class ActionBounds:
    """Which actions a candidate may contain.

    Args:
        low, high: the box, one number per action component.
        norm: largest Euclidean norm of an action, or None.
        idle: the action that does nothing; by default, in each component, zero where the box
            contains it and else its centre.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    norm: float | None = None
    idle: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not self.low:
            raise ValueError(
                f"low and high must have one number per action component, got {self.low} and "
                f"{self.high}"
            )
        pairs = list(zip(self.low, self.high, strict=True))
        if not all(low < high for low, high in pairs):
            raise ValueError(f"low must be < high, got {self.low} and {self.high}")
        if self.norm is not None and not self.norm > 0:
            raise ValueError(f"norm must be positive or None, got {self.norm}")
        if self.norm is not None and not all(low <= 0 <= high for low, high in pairs):
            raise ValueError(
                "a box with a norm must contain zero, so that scaling stays in it, got "
                f"{self.low} to {self.high}; drop the norm or shift the actions"
            )
        if self.idle is not None and not (
            len(self.idle) == len(self.low)
            and all(low <= at <= high for at, (low, high) in zip(self.idle, pairs, strict=True))
            and (self.norm is None or math.hypot(*self.idle) <= self.norm)
        ):
            raise ValueError(
                f"idle must be an action within the bounds {self.low} to {self.high}, got "
                f"{self.idle}; leave it out or give one"
            )

    @property
    def reach(self) -> list[tuple[float, float]]:
        """The least and the greatest value of each component, in the box and in the ball."""
        norm = math.inf if self.norm is None else self.norm
        pairs = zip(self.low, self.high, strict=True)
        return [(max(low, -norm), min(high, norm)) for low, high in pairs]

    @property
    def centre(self) -> tuple[float, ...]:
        """The middle of each component's reach."""
        return tuple((low + high) / 2 for low, high in self.reach)

    @property
    def half_width(self) -> tuple[float, ...]:
        """Half of each component's reach."""
        return tuple((high - low) / 2 for low, high in self.reach)

    @property
    def default_idle(self) -> tuple[float, ...]:
        """Zero in the components that reach it, the centre in the others."""
        pairs = zip(self.reach, self.centre, strict=True)
        return tuple(0.0 if low <= 0 <= high else centre for (low, high), centre in pairs)

    def units(self, like: Tensor) -> ActionUnits:
        """The units of one action, of the type and on the device of `like`; made once for each.

        Raises:
            ValueError: if the box is unbounded.
        """
        return _units(self, like.dtype, like.device)

    def project(self, actions: Tensor) -> Tensor:
        """The actions (..., A) moved into the box and scaled onto the ball."""
        low, high = _limits(self, actions.dtype, actions.device)
        actions = torch.minimum(torch.maximum(actions, low), high)
        if self.norm is None:
            return actions
        length = torch.linalg.vector_norm(actions, dim=-1, keepdim=True)
        return actions * (self.norm / length.clamp_min(self.norm))


# Tensors made anew at every projection make the host wait for a GPU.


@lru_cache(maxsize=64)
def _limits(
    bounds: ActionBounds, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    low, high = (
        torch.tensor(each, dtype=dtype, device=device) for each in (bounds.low, bounds.high)
    )
    return low, high


@lru_cache(maxsize=64)
def _units(bounds: ActionBounds, dtype: torch.dtype, device: torch.device) -> ActionUnits:
    if not all(width < math.inf for width in bounds.half_width):
        raise ValueError(
            f"planning needs bounded actions, got {bounds.low} to {bounds.high}; give the range "
            "of the data"
        )
    parts = (bounds.centre, bounds.half_width, bounds.idle or bounds.default_idle)
    return ActionUnits(*(torch.tensor(each, dtype=dtype, device=device) for each in parts))
