"""Plots show the numbers that they were given."""

from __future__ import annotations

from typing import Any

import numpy as np

from jepa_agent.viz.plots import training_curves


def line(step: int, loss: float, **measured: Any) -> dict[str, Any]:
    return {"step": step, "losses": {"prediction": loss}, "diagnostics": measured or None}


def test_curves_of_losses_and_of_what_was_measured() -> None:
    """Lists have no curve, and empty axes are not shown."""
    figure = training_curves(
        [
            line(50, 2.0),
            line(100, 1.0, success=0.5, open_loop_error=[1.0], collapse={"rank_me": 3.0}),
            line(150, 0.5, success=1.0, open_loop_error=[0.5], collapse={"rank_me": 4.0}),
        ]
    )
    shown = {axes.get_title(): axes for axes in figure.axes if axes.axison}
    assert list(shown) == ["loss: prediction", "success", "rank me"]
    points = {name: axes.lines[0].get_xydata().tolist() for name, axes in shown.items()}
    assert points["loss: prediction"] == [[50, 2.0], [100, 1.0], [150, 0.5]]
    assert points["success"] == [[100, 0.5], [150, 1.0]]
    assert points["rank me"] == [[100, 3.0], [150, 4.0]]


def test_many_curves_fill_rows_of_four() -> None:
    lines = [{"step": 1, "losses": dict.fromkeys("abcde", 1.0), "diagnostics": None}]
    axes = np.array([each.axison for each in training_curves(lines).axes])
    assert axes.tolist() == [True] * 5 + [False] * 3
