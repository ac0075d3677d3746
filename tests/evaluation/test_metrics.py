"""Rates, their intervals, reports and tables."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from jepa_agent.evaluation.episodes import (
    Episode,
    Latency,
)
from jepa_agent.evaluation.metrics import Report, by_layout, mcnemar, summarise, table, wilson
from jepa_agent.evaluation.open_loop import OpenLoopStep

KEYS = [
    "policy", "suite", "episodes", "success", "success_low", "success_high", "success_end",
    "success_strict", "strict_low", "strict_high", "strict_episodes", "steps", "steps_ratio",
    "spl", "latency_p50_ms", "latency_p95_ms", "latency_p99_ms",
]  # fmt: skip
"""The rows of report.json, as users may rely on them."""


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [  # Newcombe, Statistics in Medicine 17 (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_published_values(
    successes: int, episodes: int, low: float, high: float
) -> None:
    assert wilson(successes, episodes) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("successes", "episodes"), [(0, 10), (10, 10), (97, 100), (1, 1), (891, 900)]
)
def test_wilson_solves_its_equation(successes: int, episodes: int) -> None:
    """The bounds are the shares p whose test statistic is z: n (s/n - p)^2 = z^2 p (1 - p)."""
    share, z = successes / episodes, 1.959964
    equation = [episodes + z * z, -(2 * episodes * share + z * z), episodes * share**2]
    low, high = sorted(np.roots(equation).real)
    assert wilson(successes, episodes) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("episodes", [1, 10, 900])
def test_wilson_is_symmetric_and_stays_within_0_and_1(episodes: int) -> None:
    for successes in range(episodes + 1):
        low, high = wilson(successes, episodes)
        mirrored = wilson(episodes - successes, episodes)
        assert 0.0 <= low <= successes / episodes <= high <= 1.0
        assert (1.0 - high, 1.0 - low) == pytest.approx(mirrored)


def episode(steps: int | None, optimal: int, end: bool = False, strict: bool = False) -> Episode:
    return Episode(0, (32, 18), steps is not None, end, strict, steps, optimal)


def test_summarise_equals_a_calculation_by_hand() -> None:
    episodes = [
        episode(10, 10, end=True, strict=True),
        episode(20, 10, end=True),
        episode(4, 5),  # a bounce can beat the shortest path by a step
        episode(None, 7),
    ]
    row = summarise("agent", "fixed", episodes, Latency(1.5, 2.5, 3.5))
    assert (row.policy, row.suite, row.episodes) == ("agent", "fixed", 4)
    assert (row.success, row.success_end, row.success_strict) == (0.75, 0.5, 0.25)
    assert (row.success_low, row.success_high) == wilson(3, 4)
    assert (row.strict_low, row.strict_high, row.strict_episodes) == (*wilson(1, 4), 4)
    assert row.steps == pytest.approx(34 / 3)
    assert row.steps_ratio == pytest.approx((1.0 + 2.0 + 0.8) / 3)
    assert row.spl == pytest.approx((1.0 + 0.5 + 1.0 + 0.0) / 4)
    assert (row.latency_p50_ms, row.latency_p95_ms, row.latency_p99_ms) == (1.5, 2.5, 3.5)


def test_summarise_without_a_success_or_a_latency() -> None:
    row = summarise("random", "fixed", [episode(None, 7)] * 2)
    assert (row.success, row.spl, row.success_low) == (0.0, 0.0, 0.0)
    assert row.steps is row.steps_ratio is row.latency_p50_ms is row.latency_p95_ms is None


def report() -> Report:
    episodes = [episode(10, 9), Episode.failed(7, RuntimeError("oops"))]
    rows = [summarise(name, "fixed", episodes) for name in ("agent", "random")]
    unrolled = {"fixed": [OpenLoopStep(5, 0.5, 4.0, 6.0, None), OpenLoopStep(10, 1, 2, 3, 0.1)]}
    return Report(rows, {"seed": 0}, {"agent/fixed": episodes}, unrolled)


def test_the_report_has_exactly_the_promised_keys(tmp_path: Path) -> None:
    path = report().save(tmp_path / "new")
    assert path == tmp_path / "new" / "report.json"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.json"]

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    document = json.loads(path.read_text(), parse_constant=no_constant)
    assert [list(row) for row in document["rows"]] == [KEYS, KEYS]
    assert document["rows"][0]["success"] == 0.5
    assert document["rows"][1]["latency_p50_ms"] is None


def test_a_report_gives_back_what_was_saved(tmp_path: Path) -> None:
    report().save(tmp_path)
    path = report().save(tmp_path)
    assert Report.load(path) == report()


@pytest.mark.parametrize("text", [None, "", "[]", '{"rows": []}', '{"rows": 1, "config": 2}'])
def test_what_is_no_report_is_rejected(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "report.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"report\.json must"):
        Report.load(path)


def outcomes(*solved: bool) -> list[Episode]:
    return [Episode(i, None, s, s, s, 1 if s else None, 1) for i, s in enumerate(solved)]


def test_mcnemar_is_the_exact_binomial_test() -> None:
    first = outcomes(*[True] * 5, False, True, True, False)
    second = outcomes(*[False] * 5, True, True, True, False)
    expected = 2 * (1 + 6) / 2**6  # at most 1 of 6 fair coins, on either side
    assert mcnemar(first, second) == (5, 1, pytest.approx(expected))
    assert mcnemar(second, first) == (1, 5, pytest.approx(expected))
    assert mcnemar(first, first) == (0, 0, 1.0)
    with pytest.raises(ValueError, match="same seeds"):
        mcnemar(first, second[:-1])


def test_layouts_are_counted() -> None:
    episodes = [
        Episode(0, (2, 1), True, True, True, 1, 1),
        Episode(1, (1, 9), False, False, False, None, 1),
        Episode(2, (2, 1, 5), False, False, False, None, 1),
        Episode.failed(3, RuntimeError()),
    ]
    assert by_layout(episodes) == {(1, 9): (1, 0), (2, 1): (2, 1)}
    assert list(by_layout(episodes)) == [(1, 9), (2, 1)]


def test_the_table_shows_every_policy_in_80_columns() -> None:
    text = io.StringIO()
    episodes = [episode(10, 8)] * 900
    names, latency = ("agent", "stand still"), Latency(12.34, 34.5, 56.78)
    rows = [summarise(name, "fixed", episodes, latency) for name in names]
    Console(file=text, width=80).print(table(rows))
    for shown in (*names, "fixed", "900", "100.0", "1.25", "12.3", "56.8"):
        assert shown in text.getvalue()


def test_the_table_has_an_interval_for_strict_success_in_80_columns() -> None:
    text = io.StringIO()
    episodes = [Episode(0, None, True, True, True, 10, None)] * 200
    names, latency = ("agent", "stand still"), Latency(112.34, 134.5, 156.78)
    rows = [summarise(name, "offset 25", episodes, latency) for name in names]
    Console(file=text, width=80).print(table(rows))
    for name in names:
        assert f"{name} " in text.getvalue()
    assert text.getvalue().count("100.0 (98.1-100.0)") == 4
    assert "156.8" in text.getvalue()
