"""Variants against a reference, on the same episodes, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..evaluation.metrics import sign_test
from .systems import Figures


@dataclass(frozen=True)
class PairedTest:
    """A variant's episodes beside those of the reference.

    Args:
        episodes: number of pairs, each of one training seed and one episode.
        gained: pairs that only the variant solved.
        lost: pairs that only the reference solved.
        p: McNemar's exact two-sided p-value, corrected for the number of variants.
    """

    episodes: int
    gained: int
    lost: int
    p: float

    def __str__(self) -> str:
        points = 100 * (self.gained - self.lost) / self.episodes
        return f"{points:+.1f} ({'< 0.001' if self.p < 0.001 else format(self.p, '.3f')})"


def compared(results: Mapping[str, Sequence[Figures]], reference: str) -> dict[str, PairedTest]:
    """Test every variant against the reference, by McNemar's test with Holm's correction.

    Only training seeds that both have are paired. Episodes are the sample, so the test speaks of
    these trainings: a difference between two trainings of one variant is as real to it.

    Args:
        results: figures by variant; those with a `seed` and a list of what they `solved` count.
        reference: the variant that the others are tested against.

    Returns:
        The tests by variant, of all that have a training seed in common with the reference.
    """
    solved = {name: _solved(runs) for name, runs in results.items()}
    truth = solved.pop(reference, {})
    counts = {}
    for name, runs in solved.items():
        pairs = [
            pair
            for seed in runs.keys() & truth.keys()
            for pair in zip(runs[seed], truth[seed], strict=True)
        ]
        if pairs:
            counts[name] = len(pairs), pairs.count((1, 0)), pairs.count((0, 1))
    corrected = holm({name: sign_test(*split) for name, (_, *split) in counts.items()})
    return {name: PairedTest(*found, corrected[name]) for name, found in counts.items()}


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values: those below 0.05 hold together at 5 %.

    Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return adjusted


def _solved(runs: Sequence[Figures]) -> dict[int, list[int]]:
    """What each training seed solved, where that is known."""
    return {run["seed"]: run["solved"] for run in runs if "solved" in run and "seed" in run}
