"""What a training run counts between two lines of its log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from . import distributed
from .optim import strip_prefix


class LossMeter:
    """Loss terms since the last line, and the time that all steps took.

    The terms are part of a run's state, so that it may end between two lines and lose neither.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        """Of all steps."""
        self.rate = 0.0
        """Frames a second of the last line."""
        self._terms: dict[str, list[Tensor]] = {}
        self._seen, self._since, self._last = 0, 0.0, time.perf_counter()

    def lines(
        self,
        work: Callable[[], tuple[dict[str, Tensor], int]],
        due: Callable[[], bool],
        check: Callable[[dict[str, float]], None],
        pause: Callable[[], bool],
    ) -> Iterator[dict[str, float] | None]:
        """The means of the terms at every line, None at a pause between two; without an end.

        Args:
            work: does a step; its terms, and the frames that it saw.
            due: whether a line ends after this step.
            check: of means, before the run's state is kept.
            pause: whether to wait after this step, though no line ends.
        """
        self.begin()
        while True:
            self.add(*work())
            line = due()
            if not (line or pause()):
                continue
            means = self.means()
            check(means)
            if line:
                self.clear()
            yield means if line else None
            self.begin()

    def begin(self) -> None:
        """Start the clock; what was before does not count."""
        self._last = time.perf_counter()

    def add(self, terms: dict[str, Tensor], seen: int) -> None:
        """Count a step that saw so many frames."""
        for name, term in terms.items():
            self._terms.setdefault(name, []).append(term.detach())
        self._seen += seen

    def means(self) -> dict[str, float]:
        """Of the terms, over steps and processes; the clock shows the time until now."""
        means = {}
        for name, terms in self._terms.items():
            device = terms[-1].device  # those of a state that was loaded lie on the CPU
            means[name] = torch.stack([term.to(device) for term in terms]).mean().item()
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
        return {f"meter.{name}": torch.stack(terms) for name, terms in self._terms.items()}

    def load_state(self, tensors: dict[str, Tensor], seconds: float) -> None:
        """Go on from the terms of a run's state."""
        self.clear()
        self.seconds = seconds
        self._terms = {name: list(terms) for name, terms in strip_prefix(tensors, "meter.").items()}
