"""Means of the loss terms between two lines of a training's log, and the time."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from . import distributed
from .optim import strip_prefix


class LossMeter:
    """Loss terms since the last line, and the time that all steps took.

    They are part of a run's state, so that a run interrupted between two lines loses none.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        """Time that all steps took."""
        self.rate = 0.0
        """Frames per second since the last line."""
        self._terms: dict[str, list[Tensor]] = {}
        self._seen, self._since, self._last = 0, 0.0, time.perf_counter()

    def begin(self) -> None:
        """Start the clock; earlier time does not count."""
        self._last = time.perf_counter()

    def add(self, terms: dict[str, Tensor], seen: int) -> None:
        """Count a step and its number of frames."""
        for name, term in terms.items():
            self._terms.setdefault(name, []).append(term.detach())
        self._seen += seen

    def means(self) -> dict[str, float]:
        """Means of the terms over steps and processes; updates the time and the rate."""
        means = {}
        for name, terms in self._terms.items():
            means[name] = _together(terms).mean().item()
        spent = time.perf_counter() - self._last
        self.seconds += spent
        self._since += spent
        self.rate = self._seen / self._since
        self.begin()
        return distributed.averaged(means)

    def clear(self) -> None:
        """Begin another line."""
        self._terms.clear()
        self._seen, self._since = 0, 0.0

    def state(self) -> dict[str, Tensor]:
        """The terms, for `load_state`."""
        return {f"meter.{name}": _together(terms) for name, terms in self._terms.items()}

    def load_state(self, tensors: dict[str, Tensor], seconds: float) -> None:
        """Go on from the terms of a run's state."""
        self.clear()
        self.seconds = seconds
        self._terms = {name: list(terms) for name, terms in strip_prefix(tensors, "meter.").items()}


def _together(terms: list[Tensor]) -> Tensor:
    """Terms (n,), where the last one lies; those of a loaded state lie on the CPU."""
    return torch.stack([term.to(terms[-1].device) for term in terms])
