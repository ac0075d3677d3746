"""Rank statistics on made data, and by plain loops."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from jepa_agent.experiments.correlations import bootstrap, kendall, partial_kendall, worst_case

RANDOM = np.random.default_rng(0)


def test_tau_counts_pairs_in_order() -> None:
    assert kendall([1, 2, 3], [10, 20, 30]) == 1.0
    assert kendall([1, 2, 3], [3, 2, 1]) == -1.0
    assert kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert math.isnan(kendall([1, 2, 3], [5, 5, 5]))


def test_tau_with_ties_is_that_of_a_plain_loop() -> None:
    first, second = RANDOM.integers(0, 5, size=(2, 30))
    agree = ties_first = ties_second = 0
    pairs = list(itertools.combinations(range(30), 2))
    for i, j in pairs:
        one, two = int(np.sign(first[i] - first[j])), int(np.sign(second[i] - second[j]))
        agree += one * two
        ties_first += one == 0
        ties_second += two == 0
    count = len(pairs)
    expected = agree / math.sqrt((count - ties_first) * (count - ties_second))
    assert kendall(first, second) == pytest.approx(expected)


def test_a_partial_tau_is_what_a_third_ranking_does_not_explain() -> None:
    cause = RANDOM.normal(size=400)
    first, second = (cause + 0.5 * RANDOM.normal(size=400) for _ in range(2))
    assert kendall(first, second) > 0.5
    assert abs(partial_kendall(first, second, cause)) < 0.25
    unrelated = RANDOM.normal(size=400)
    assert partial_kendall(first, second, unrelated) == pytest.approx(
        kendall(first, second), abs=0.02
    )
    taus = (0.6, 0.5, 0.3)  # Kendall's formula, on its numbers
    assert (taus[0] - taus[1] * taus[2]) / math.sqrt((1 - 0.25) * (1 - 0.09)) == pytest.approx(
        0.5447, abs=1e-4
    )
    assert math.isnan(partial_kendall(first, cause, cause))


def test_intervals_hold_the_truth_and_narrow_with_more_groups() -> None:
    widths = []
    for count in (20, 200):
        first = RANDOM.normal(size=count)
        second = first + RANDOM.normal(size=count)
        low, high = bootstrap(kendall, (first, second), range(count), draws=100)
        assert low < 0.5 < high  # tau of a correlation of 1 / sqrt(2)
        widths.append(high - low)
        assert (low, high) == bootstrap(kendall, (first, second), range(count), draws=100)
    assert widths[1] < 0.5 * widths[0]


def test_checkpoints_of_one_training_are_drawn_together() -> None:
    first, noise = np.repeat(RANDOM.normal(size=20), 10), np.repeat(RANDOM.normal(size=20), 10)
    second, each = first + noise, np.repeat(np.arange(20), 10)
    low, high = bootstrap(kendall, (first, second), each, draws=100)
    alone_low, alone_high = bootstrap(kendall, (first, second), range(200), draws=100)
    assert high - low > 2.0 * (alone_high - alone_low)


def test_an_interval_of_nothing_is_none() -> None:
    low, high = bootstrap(kendall, ([1.0, 1.0], [1.0, 2.0]), (0, 1), draws=10)
    assert math.isnan(low)
    assert math.isnan(high)


def test_the_worst_case_is_the_environment_that_is_ranked_worst() -> None:
    environments = {
        "good": ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        "bad": ([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]),
        "unknown": ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]),
    }
    assert worst_case(environments) == ("bad", pytest.approx(1 / 3))
    with pytest.raises(ValueError, match=r"got none of \['unknown'\]; give more models"):
        worst_case({"unknown": environments["unknown"]})
