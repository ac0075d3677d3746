"""Trainings that are interrupted go on exactly where they were."""

from __future__ import annotations

import dataclasses
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from jepa_agent import JEPAAgent, Preset, Trajectories, train
from jepa_agent.agent.costs import CostConfig
from jepa_agent.io import checkpoint
from jepa_agent.io.locking import RunError
from jepa_agent.models.proposals import ProposalsConfig
from jepa_agent.planners import MPPIConfig
from jepa_agent.training import loop
from jepa_agent.training import run_folder as runs
from jepa_agent.training.config import RefinementConfig
from jepa_agent.training.loop import Trainer
from jepa_agent.training.run_folder import Run
from jepa_agent.training.task import Progress, StepOutput


def same(first: JEPAAgent, second: JEPAAgent) -> bool:
    """Whether two agents have the same bits."""
    weights = first.model.state_dict(), second.model.state_dict()
    return checkpoint.digest(weights[0]) == checkpoint.digest(weights[1])


def logged(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("stop_at", "heads"), [(50, 0), (60, 0), (110, 2)])
def test_an_interrupted_training_goes_on_with_the_same_bits(
    stop_at: int, heads: int, tmp_path: Path, tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    """In joint training, at its end, and in refinement, with proposals."""
    refinement = RefinementConfig(steps=70, layouts_per_batch=2, windows_per_layout=2, horizon=2)
    training = dataclasses.replace(tiny_preset.training, steps=60, refinement=refinement)
    proposals = ProposalsConfig(heads, horizon=2, reach=3, width=16)
    model = dataclasses.replace(tiny_preset.model, proposals=proposals)
    preset = dataclasses.replace(tiny_preset, model=model, training=training)

    def interrupt(progress: Progress, _: JEPAAgent) -> None:
        if progress.step >= stop_at:
            raise KeyboardInterrupt

    whole = train(tiny_trajectories, preset, folder=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tiny_trajectories, preset, callbacks=[interrupt], folder=tmp_path / "parts")
    agent = train(tiny_trajectories, preset, folder=tmp_path / "parts")
    assert same(agent, whole)
    steps = [[line["step"] for line in logged(tmp_path / name)] for name in ("whole", "parts")]
    assert steps[0] == steps[1]


@pytest.fixture
def ctrl_c() -> Iterator[Callable[[], None]]:
    """Presses it. Jobs in the background ignore it, and their tests would too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("stops", [(7, 30), (50,), (75,), (100,)])
def test_ctrl_c_keeps_the_step_in_progress(
    stops: tuple[int, ...], tmp_path: Path, tiny_trajectories: Trajectories, tiny_preset: Preset,
    monkeypatch: pytest.MonkeyPatch, ctrl_c: Callable[[], None],
) -> None:  # fmt: skip
    """Twice between two lines of the log, at a line, in refinement, and in the last step."""
    refinement = RefinementConfig(steps=40, layouts_per_batch=2, windows_per_layout=2, horizon=2)
    training = dataclasses.replace(tiny_preset.training, steps=60, refinement=refinement)
    preset = dataclasses.replace(tiny_preset, training=training)
    whole = train(tiny_trajectories, preset, folder=tmp_path / "whole")
    update = Trainer.update
    for stop_at in stops:

        def press(trainer: Trainer, stop_at: int = stop_at) -> StepOutput:
            if trainer.step == stop_at - 1:
                ctrl_c()
            return update(trainer)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "update", press)
            with pytest.raises(KeyboardInterrupt):
                train(tiny_trajectories, preset, folder=tmp_path / "parts")
        _, state = checkpoint.load(tmp_path / "parts" / "state")
        assert state["progress"]["step"] == stop_at
    agent = train(tiny_trajectories, preset, folder=tmp_path / "parts")
    assert same(agent, whole)
    lines = [logged(tmp_path / name) for name in ("whole", "parts")]
    for one, other in zip(*lines, strict=True):
        assert (one["step"], one["losses"]) == (other["step"], other["losses"])


def test_slow_steps_are_kept_between_two_lines_of_the_log(
    tmp_path: Path, tiny_trajectories: Trajectories, tiny_preset: Preset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    training = dataclasses.replace(tiny_preset.training, steps=10)
    preset = dataclasses.replace(tiny_preset, training=training)
    whole = train(tiny_trajectories, preset, folder=tmp_path / "whole")
    update = Trainer.update

    def crash(trainer: Trainer) -> StepOutput:
        if trainer.step == 7:
            raise OSError("the power is gone")
        return update(trainer)

    monkeypatch.setattr(runs, "SAVE_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", crash)
        with pytest.raises(OSError, match="power"):
            train(tiny_trajectories, preset, folder=tmp_path / "parts")
    _, state = checkpoint.load(tmp_path / "parts" / "state")
    assert state["progress"]["step"] == 7
    agent = train(tiny_trajectories, preset, folder=tmp_path / "parts")
    assert same(agent, whole)
    lines = [logged(tmp_path / name) for name in ("whole", "parts")]
    for one, other in zip(*lines, strict=True):
        assert (one["step"], one["losses"]) == (other["step"], other["losses"])


def test_a_second_ctrl_c_ends_at_once(
    tmp_path: Path, tiny_trajectories: Trajectories, tiny_preset: Preset,
    monkeypatch: pytest.MonkeyPatch, ctrl_c: Callable[[], None], capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def press_twice(trainer: Trainer) -> StepOutput:
        ctrl_c()
        ctrl_c()
        raise AssertionError("still running")

    monkeypatch.setattr(Trainer, "update", press_twice)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_trajectories, tiny_preset, folder=tmp_path)
    assert "Ctrl-C again ends at once" in capfd.readouterr().err


def test_a_callers_own_handler_is_left_alone(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with closing(Run(tmp_path, {})) as run:
            signal.raise_signal(signal.SIGINT)
            assert not run.interrupted
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_finished_training_is_only_loaded_again(
    tmp_path: Path, tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    first = train(tiny_trajectories, tiny_preset, folder=tmp_path)
    again = train(
        tiny_trajectories,
        tiny_preset,
        callbacks=[lambda *_: pytest.fail("trained again")],
        folder=tmp_path,
    )
    assert same(first, again)


def test_resuming_with_another_config_names_the_field(
    tmp_path: Path, tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    train(tiny_trajectories, tiny_preset, folder=tmp_path)
    training = dataclasses.replace(tiny_preset.training, learning_rate=0.5)
    with pytest.raises(RunError, match=r"training.learning_rate \(0.001 then, 0.5 now\)"):
        train(
            tiny_trajectories, dataclasses.replace(tiny_preset, training=training), folder=tmp_path
        )


@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_training_goes_on_under_another_planner_and_cost(
    stop_at: int, tmp_path: Path, tiny_trajectories: Trajectories, tiny_preset: Preset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Also one that has ended already."""

    def interrupt(progress: Progress, _: JEPAAgent) -> None:
        if progress.step == stop_at:
            raise KeyboardInterrupt

    whole = train(tiny_trajectories, tiny_preset)
    monkeypatch.setattr(loop, "LOG_EVERY", 1)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_trajectories, tiny_preset, folder=tmp_path, callbacks=[interrupt])
    preset = dataclasses.replace(
        tiny_preset, planner=MPPIConfig(horizon=3), cost=CostConfig(distance="latent")
    )
    agent = train(tiny_trajectories, preset, folder=tmp_path)
    assert same(agent, whole)
    for each in (agent, JEPAAgent.load(tmp_path)):
        assert each.planner.config == preset.planner
        assert each.cost == preset.cost


def test_resuming_with_other_data_is_refused(
    tmp_path: Path, tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    train(tiny_trajectories, tiny_preset, folder=tmp_path)
    others = dataclasses.replace(tiny_trajectories, actions=-tiny_trajectories.actions)
    with pytest.raises(RunError, match=r"data_checksum \('\w{8}' then, '\w{8}' now\)"):
        train(others, tiny_preset, folder=tmp_path)
