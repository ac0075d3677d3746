"""Plots show the numbers that they were given."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from jepa_agent import JEPAAgent
from jepa_agent.evaluation.failures import forecast
from jepa_agent.evaluation.metrics import Report
from jepa_agent.viz.plots import reliability, training_curves
from jepa_agent.viz.report import write_report

CHANCES = np.array([0.05, 0.05, 0.15, 0.95])
FAILED = np.array([False, False, True, True])


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


def test_reliability_shows_every_bin_and_how_well_failures_are_ranked() -> None:
    figure = reliability({"ood": asdict(forecast(CHANCES, FAILED))})
    (axes,) = figure.axes
    line = axes.lines[1]
    np.testing.assert_allclose(line.get_xdata(), [0.05, 0.15, 0.95])
    np.testing.assert_allclose(line.get_ydata(), [0, 1, 1])
    assert line.get_label() == "ood: AUROC 1.00, calibration error 0.250"


def test_the_report_shows_failures_foreseen_once_they_are(
    tiny_agent: JEPAAgent, tmp_path: Path
) -> None:
    report = Report([], {}, {}, {})
    page = write_report(tmp_path / "page", tiny_agent, report, tmp_path, {})
    assert "Failures foreseen" not in page.read_text()
    document = {"ood": asdict(forecast(CHANCES, FAILED))}
    (tmp_path / "failures.json").write_text(json.dumps(document))
    page = write_report(tmp_path / "page", tiny_agent, report, tmp_path, {})
    assert "Failures foreseen" in page.read_text()
