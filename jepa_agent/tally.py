"""What a training run counts between two lines of its log."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from . import distributed
from .optim import part


class Tally:
    """Loss terms since the last line, and the time that all steps took.

    It is part of a run's state, so that a run may end between two lines and lose nothing of either.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        """Of all steps."""
        self._terms: dict[str, list[Tensor]] = {}
        self._seen, self._since, self._last = 0, 0.0, time.perf_counter()

    def begin(self) -> None:
        """Start the clock; what was before does not count."""
        self._last = time.perf_counter()

    def add(self, terms: dict[str, Tensor], seen: int) -> None:
        """Count a step that saw so many frames."""
        for name, term in terms.items():
            self._terms.setdefault(name, []).append(term.detach())
        self._seen += seen

    def means(self) -> dict[str, float]:
        """Of the terms, over steps and processes."""
        means = {name: torch.stack(terms).mean().item() for name, terms in self._terms.items()}
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._last, self._since + now - self._last
        self._last = now
        return distributed.averaged(means)

    @property
    def rate(self) -> float:
        """Frames a second since the last line, when `means` was called."""
        return self._seen / self._since

    def clear(self) -> None:
        """Begin another line."""
        self._terms.clear()
        self._seen, self._since = 0, 0.0

    def state(self) -> dict[str, Tensor]:
        """The terms, for `load_state`."""
        return {f"tally.{name}": torch.stack(terms) for name, terms in self._terms.items()}

    def load_state(self, tensors: dict[str, Tensor], seconds: float) -> None:
        """Go on from the terms of a run's state."""
        self.clear()
        self.seconds = seconds
        self._terms = {name: list(terms) for name, terms in part(tensors, "tally.").items()}
