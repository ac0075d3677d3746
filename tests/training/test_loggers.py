"""Where a training's numbers go."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jepa_agent import Preset, Trajectories, train
from jepa_agent.evaluation.collapse import CollapseStats
from jepa_agent.evaluation.diagnostics import Diagnostics
from jepa_agent.training.loggers import TensorBoard, Trackio, WandB
from jepa_agent.training.task import Progress

PROGRESS = Progress(50, 100, 2.0, 10.0, {"prediction": 0.5}, collapse=CollapseStats(0.1, 3.0, 8))


class FakeDashboard(SimpleNamespace):
    """What `wandb` and `trackio` have in common, written down."""

    def init(self, **named: Any) -> FakeDashboard:
        self.calls = [named]
        return self

    def log(self, metrics: dict[str, float], step: int) -> None:
        self.calls.append((step, metrics))

    def finish(self) -> None:
        self.calls.append("finish")


def test_metrics_are_all_numbers_by_name() -> None:
    assert PROGRESS.metrics() == {
        "seconds": 2.0, "frames_per_second": 10.0, "losses/prediction": 0.5,
        "collapse/spread": 0.1, "collapse/rank_me": 3.0, "collapse/dim": 8,
    }  # fmt: skip


@pytest.mark.parametrize(("logger", "package"), [(WandB, "wandb"), (Trackio, "trackio")])
def test_a_training_is_logged_to_a_dashboard(
    logger: type[WandB], package: str, tiny_trajectories: Trajectories, tiny_preset: Preset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    fake = FakeDashboard()
    monkeypatch.setitem(sys.modules, package, fake)
    lines: list[Progress] = []
    dashboard = logger("rooms", name="first", config={"seed": 0})
    callbacks = [dashboard, lambda progress, _: lines.append(progress)]
    train(tiny_trajectories, tiny_preset, callbacks=callbacks)
    named = {"project": "rooms", "name": "first", "config": {"seed": 0}}
    assert fake.calls == [named, (3, lines[0].metrics()), "finish"]
    assert "losses/prediction" in lines[0].metrics()


def test_a_dashboard_is_closed_when_the_training_fails(
    tiny_trajectories: Trajectories, tiny_preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeDashboard()
    monkeypatch.setitem(sys.modules, "wandb", fake)

    def fail(*_: Any) -> None:
        raise RuntimeError("of the caller")

    with pytest.raises(RuntimeError, match="of the caller"):
        train(tiny_trajectories, tiny_preset, callbacks=[WandB(), fail])
    assert fake.calls[-1] == "finish"


@pytest.mark.parametrize(
    ("logger", "package"),
    [(WandB, "wandb"), (Trackio, "trackio"), (TensorBoard, "torch.utils.tensorboard")],
)
def test_a_missing_package_names_its_extra(
    logger: type[TensorBoard | WandB], package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    extra = package.split(".")[-1]
    with pytest.raises(ImportError, match=rf"^logging to {extra} needs .*jepa-agent\[{extra}\]'"):
        logger("folder")


def test_tensorboard_shows_the_same_numbers(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    logger = TensorBoard(tmp_path)
    logger(PROGRESS, None)
    logger(dataclasses.replace(PROGRESS, step=100), None)
    logger.close()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) == set(PROGRESS.metrics())
    found = [(event.step, event.value) for event in events.Scalars("losses/prediction")]
    assert found == [(50, 0.5), (100, 0.5)]


def test_warnings_are_text_on_tensorboard_and_no_metrics(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = Diagnostics(
        state_r2={"block angle": 0.08}, position_error=None, layout_error=[],
        rank_correlation=None, rank_correlations={}, open_loop_error=[],
        standing_still={"5": 0.5}, violations=None, collapse=CollapseStats(1.0, 5.0, 8),
        success=None, success_unknown="no goals", warnings=["block angle is not in the latent"],
    )  # fmt: skip
    progress = dataclasses.replace(PROGRESS, diagnostics=found)
    metrics = progress.metrics()
    assert metrics["diagnostics/state_r2/block angle"] == 0.08
    assert metrics["diagnostics/standing_still/5"] == 0.5
    assert all(isinstance(value, int | float) for value in metrics.values())
    logger = TensorBoard(tmp_path)
    logger(progress, None)
    logger.close()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    (text,) = events.Tensors("warnings/text_summary")
    assert text.tensor_proto.string_val == [b"block angle is not in the latent"]
