from __future__ import annotations

from itertools import chain

from jepa_agent.experiments import speed


def test_work_is_timed_after_a_run_that_warms_up() -> None:
    calls: list[int] = []
    assert len(speed.timed(3, lambda: calls.append(1))) == 3
    assert len(calls) == 4


def test_environments_are_measured() -> None:
    found = list(chain(speed.single_env(1), speed.vector_env(2, copies=4)))
    assert [each.what for each in found] == [
        "gym.make, pixels", "gym.make, state", "make_vec x 4, state", "make_vec x 4, pixels",
    ]  # fmt: skip
    assert [len(each.values) for each in found] == [1, 1, 2, 2]
    assert all((each.values > 0).all() for each in found)
