from __future__ import annotations

from itertools import islice

from jepa_agent.experiments.planner_comparison import Setup, on_true_physics, sequences
from jepa_agent.planners import CEM, CEMConfig


def test_sequences_are_counted_over_iterations() -> None:
    assert sequences(CEM(CEMConfig(horizon=2, num_samples=16, iterations=3, num_elites=4))) == 48


def test_our_planners_come_close_to_the_goal_on_the_true_physics() -> None:
    rows = list(islice(on_true_physics(Setup(episodes=3)), 2))  # pytorch-mppi is the third
    assert [name for name, *_ in rows] == ["cem", "mppi"]
    for _, left, reached, milliseconds in rows:
        assert left < 15.0  # of about 40 pixels
        assert 0.0 <= reached <= 1.0
        assert milliseconds > 0.0
