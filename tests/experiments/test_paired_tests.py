"""Paired tests against a reference, on made results."""

from __future__ import annotations

import math

import pytest

from jepa_agent.evaluation.metrics import sign_test
from jepa_agent.experiments.ablations import format_table, pooled_success
from jepa_agent.experiments.paired_tests import compared, holm
from jepa_agent.experiments.systems import Figures, System, Variant


def run(seed: int, solved: list[int]) -> Figures:
    success = sum(solved) / len(solved)
    return {"seed": seed, "solved": solved, "episodes": len(solved), "success": success}


RESULTS = {
    "ours": [run(0, [1] * 20), run(1, [1] * 20)],
    "worse": [run(0, [0] * 10 + [1] * 10), run(1, [0] * 2 + [1] * 18)],
    "same": [run(1, [0, *[1] * 19])],
    "unpaired": [run(7, [0] * 20)],
    "old": [{"episodes": 20, "success": 0.5}],
}


def test_a_sign_test_is_the_tail_of_a_fair_coin() -> None:
    assert sign_test(0, 0) == 1.0
    assert sign_test(5, 5) == 1.0
    assert sign_test(0, 6) == sign_test(6, 0) == pytest.approx(2 / 2**6)
    assert sign_test(1, 4) == pytest.approx(2 * (1 + 5) / 2**5)


def test_holm_multiplies_by_the_tests_that_are_left_and_never_falls() -> None:
    found = holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.9})
    assert found == pytest.approx({"b": 0.04, "c": 0.09, "a": 0.09, "d": 0.9})
    assert holm({"a": 0.5, "b": 0.6}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}


def test_only_seeds_that_both_have_are_paired() -> None:
    tests = compared(RESULTS, "ours")
    assert tests.keys() == {"worse", "same"}
    worse, same = tests["worse"], tests["same"]
    assert (worse.episodes, worse.gained, worse.lost) == (40, 0, 12)
    assert worse.p == pytest.approx(2 * 2 / 2**12)
    assert (same.episodes, same.gained, same.lost, same.p) == (20, 0, 1, 1.0)
    assert str(worse) == "-30.0 (< 0.001)"
    assert str(same) == "-5.0 (1.000)"
    assert compared({"worse": RESULTS["worse"]}, "ours") == {}


def test_the_table_has_the_tests_where_there_are_any() -> None:
    def measured(*_: object) -> Figures:
        return {}

    variants = {name: Variant() for name in RESULTS}
    system = System(variants, measured, 1.0, "success", pooled_success, {}, reference="ours")
    head, _, *rows = format_table(system, RESULTS).splitlines()
    assert head == "| variant | seeds | success | minus ours, points (p) |"
    assert [row.split(" | ")[-1] for row in rows] == [
        " |", "-30.0 (< 0.001) |", "-5.0 (1.000) |", " |", " |"
    ]  # fmt: skip
    assert "minus" not in format_table(system, {"ours": RESULTS["ours"], "old": RESULTS["old"]})
    assert math.isclose(pooled_success(RESULTS["worse"])[0], 0.7)
