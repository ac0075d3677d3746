"""Which actions a plan may contain, and their units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
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
            contains it and else its centre; the first category of each group.
        categories: sizes of the groups of a discrete action: a row of its components holds a
            one-hot vector for each; empty for continuous actions. See `one_hot`.
        start: the integer of each group's first category; empty for zeros.
        shape: of an action as the environment takes it, in integers if it is discrete; None for
            one row.
        dtype: the number type of a continuous action as the environment takes it, such as "int64",
            whose plans hold whole numbers; None for float32.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    norm: float | None = None
    idle: tuple[float, ...] | None = None
    categories: tuple[int, ...] = ()
    start: tuple[int, ...] = ()
    shape: tuple[int, ...] | None = None
    dtype: str | None = None

    @classmethod
    def one_hot(
        cls,
        categories: tuple[int, ...],
        start: tuple[int, ...] = (),
        shape: tuple[int, ...] | None = None,
    ) -> ActionBounds:
        """The bounds of discrete actions.

        Args:
            categories: how many there are in each group.
            start: the integer of each group's first one; empty for zeros.
            shape: of the integers of an action; None for one row.
        """
        size = sum(categories)
        return cls((0.0,) * size, (1.0,) * size, None, None, categories, start, shape)

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
        if self.categories:
            self._check_categories()
        groups = len(self.categories)
        if self.start and len(self.start) != groups:
            raise ValueError(
                f"start must be one integer for each of {groups} groups, got {self.start}; "
                "leave it out for zeros"
            )
        if self.shape is not None and math.prod(self.shape) != (groups or len(self.low)):
            raise ValueError(
                f"shape must hold {groups or len(self.low)} numbers, got {self.shape}; leave it "
                "out for one row"
            )

    def _check_categories(self) -> None:
        size = sum(self.categories)
        box = ((0.0,) * size, (1.0,) * size, None)
        if min(self.categories) < 1 or (self.low, self.high, self.norm) != box:
            raise ValueError(
                f"categories must be sizes of groups, in a box of 0 to 1 without norm, got "
                f"{self.categories} in {self.low} to {self.high}; use ActionBounds.one_hot"
            )
        hot = None if self.idle is None else self.snap(torch.tensor(self.idle)).tolist()
        if hot is not None and hot != list(self.idle or ()):
            raise ValueError(
                f"idle must be one-hot in each group of {self.categories}, got {self.idle}; "
                "leave it out or give such a row"
            )

    @property
    def is_whole(self) -> bool:
        """Whether the components are whole numbers."""
        return self.dtype is not None and not self.dtype.startswith("float")

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
        """Zero in the components that reach it, the centre in the others; the first categories."""
        if self.categories:
            hot = [[1.0] + [0.0] * (size - 1) for size in self.categories]
            return tuple(number for group in hot for number in group)
        pairs = zip(self.reach, self.centre, strict=True)
        idle = tuple(0.0 if low <= 0 <= high else centre for (low, high), centre in pairs)
        return tuple(map(float, map(round, idle))) if self.is_whole else idle

    def units(self, like: Tensor) -> ActionUnits:
        """The units of one action, of the type and on the device of `like`.

        Raises:
            ValueError: if the box is unbounded.
        """
        if not all(width < math.inf for width in self.half_width):
            raise ValueError(
                f"planning needs bounded actions, got {self.low} to {self.high}; give the range "
                "of the data"
            )
        parts = (self.centre, self.half_width, self.idle or self.default_idle)
        return ActionUnits(*(constant(part, like.dtype, like.device) for part in parts))

    def project(self, actions: Tensor) -> Tensor:
        """The allowed actions near actions (..., A); of discrete ones the one-hot rows."""
        return self.snap(actions if self.categories else self.clip(actions))

    def clip(self, actions: Tensor) -> Tensor:
        """The actions (..., A) moved into the box and scaled onto the ball."""
        low, high = (
            constant(limit, actions.dtype, actions.device) for limit in (self.low, self.high)
        )
        actions = torch.minimum(torch.maximum(actions, low), high)
        if self.norm is None:
            return actions
        length = torch.linalg.vector_norm(actions, dim=-1, keepdim=True)
        return actions * (self.norm / length.clamp_min(self.norm))

    def snap(self, averages: Tensor) -> Tensor:
        """The actions nearest to averages (..., A) of allowed ones; in a box, these themselves.

        Whole numbers pass gradients as if they were not rounded.
        """
        if self.is_whole:
            return averages + (averages.round() - averages).detach()
        if not self.categories:
            return averages
        groups = averages.split(self.categories, dim=-1)
        hot = [F.one_hot(group.argmax(dim=-1), group.shape[-1]) for group in groups]
        return torch.cat(hot, dim=-1).to(averages.dtype)


@cache
def constant(values: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor of fixed numbers, made once for each type and device, and kept for good.

    The host does not wait for a GPU to have it. A recorded CUDA graph reads it where it is; there
    are as many as bounds and chunks that a process plans with.
    """
    with torch.inference_mode(False):  # so that gradients can pass it later
        return torch.tensor(values, dtype=dtype).to(device, non_blocking=True)
