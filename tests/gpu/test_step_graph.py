"""Steps of a training that are recorded once and replayed, with a stand-in for CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from jepa_agent import Preset, Trajectories
from jepa_agent.training import graph
from jepa_agent.training.config import LossWeights, RefinementConfig
from jepa_agent.training.graph import StepGraph
from jepa_agent.training.loop import Trainer
from jepa_agent.training.task import StepOutput
from jepa_agent.training.world_model import WorldModelTask

from .tape import Graph, Recording


class Static(Trainer):
    """Trains on the CPU as on a GPU, by graphs or not."""

    def __init__(self, task: WorldModelTask, graphs: bool) -> None:
        super().__init__(task)
        self._graphs = graphs
        self.optimizer = self._begin_stage(0)

    def _begin_stage(self, step: int) -> torch.optim.Optimizer:
        optimizer = super()._begin_stage(step)
        groups = optimizer.param_groups
        decay = groups[0]["weight_decay"]
        optimizer = torch.optim.AdamW(groups[0]["params"], weight_decay=decay, fused=True)
        optimizer.param_groups[0]["lr"] = torch.zeros(())
        return optimizer


@pytest.fixture
def new(tiny_trajectories: Trajectories, tiny_preset: Preset) -> Callable[[bool], Static]:
    """A training of two stages, all of whose random numbers matter."""
    weights = LossWeights(sigreg=1.0, contrast=1.0, window_contrast=1.0)
    refinement = RefinementConfig(6, layouts_per_batch=2, windows_per_layout=4, horizon=2)
    training = replace(tiny_preset.training, steps=6, weights=weights, refinement=refinement)
    preset = replace(tiny_preset, training=training)
    return lambda graphs: Static(
        WorldModelTask(tiny_trajectories, preset, torch.device("cpu")), graphs
    )


def tensors(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.state()[0].items()}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_replayed_steps_have_the_bits_of_others(
    new: Callable[[bool], Static], graphs: list[Graph]
) -> None:
    """Parameters, moments, prototypes, the generator and every loss, over both stages."""
    plain, replayed = new(False), new(True)
    kept = []
    while plain.step < 12:
        expected, found = plain.update(), replayed.update()
        kept.append((expected, found))
        if plain.step in plain.task.stages:
            assert_equal(tensors(plain), tensors(replayed))
    for expected, found in kept:  # replays leave earlier losses alone
        assert expected.frames == found.frames
        assert_equal(expected.terms, found.terms)
        assert torch.equal(expected.loss, found.loss)
    assert [each.replays for each in graphs] == [6 - graph.WARM_UP] * 2


def test_python_runs_at_the_recording_alone(
    new: Callable[[bool], Static], graphs: list[Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, asked = new(True), []
    losses = trainer.task.compute_losses
    monkeypatch.setattr(
        trainer.task, "compute_losses", lambda *each: (asked.append(each[0]), losses(*each))[1]
    )
    before = None
    for _ in range(6):
        rate = trainer.task.learning_rate(trainer.step)
        trainer.update()
        set_now = trainer.optimizer.param_groups[0]["lr"]
        assert set_now.item() == pytest.approx(rate)
        assert before is None or before is set_now, "a graph reads it where it was"
        before = set_now
    assert asked == list(range(graph.WARM_UP + 1))


def test_a_resumed_training_goes_on_bit_for_bit(
    new: Callable[[bool], Static], graphs: list[Graph]
) -> None:
    whole, parts, resumed = new(True), new(True), new(True)
    for _ in range(12):
        whole.update()
    for _ in range(5):  # two of them replayed
        parts.update()
    resumed.load_state(tensors(parts), parts.state()[1])
    while resumed.step < 12:
        resumed.update()
    assert_equal(tensors(whole), tensors(resumed))


class Sums:
    """A task whose losses are what it is given."""

    def __init__(self) -> None:
        self.generator = None

    def step(self, given: tuple[torch.Tensor, ...]) -> StepOutput:
        return StepOutput({"first": given[0].sum()}, given[1].sum(), 1)


def test_what_is_given_is_copied_to_where_the_graph_reads(graphs: list[Graph]) -> None:
    task: Any = Sums()
    step = StepGraph(task.step, task)
    for index in range(graph.WARM_UP + 3):
        given = torch.full((2,), float(index)), torch.full((3,), float(index))
        output = step(given)
        assert (output.terms["first"].item(), output.loss.item()) == (2.0 * index, 3.0 * index)
    assert graphs[0].replays == 3


def test_a_failed_recording_warns_in_a_line_and_changes_nothing(
    new: Callable[[bool], Static], graphs: list[Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, plain = new(True), new(False)

    class Broken(Recording):
        def __exit__(self, *failure: Any) -> None:
            super().__exit__(*failure)
            trainer.task.generator.manual_seed(77)
            raise RuntimeError("CUDA error:\noperation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", Broken)
    for step in range(6):
        if step == graph.WARM_UP:
            with pytest.warns(
                UserWarning, match=r"kernel by kernel.* \(CUDA error: operation"
            ) as w:
                trainer.update()
            assert len(w) == 1
            assert "\n" not in str(w[0].message)
        else:
            trainer.update()
        plain.update()
    assert_equal(tensors(plain), tensors(trainer))


def test_a_step_that_waits_or_draws_elsewhere_is_not_recorded(graphs: list[Graph]) -> None:
    """As on a GPU: the stand-in refuses what CUDA does."""
    for take in (
        lambda given: StepOutput({}, given[0] * given[0].item(), 1),
        lambda given: StepOutput({}, given[0][given[0] > 0].sum(), 1),
        lambda given: StepOutput({}, torch.rand((), generator=torch.Generator()), 1),
    ):
        task: Any = Sums()
        step = StepGraph(take, task)
        for _ in range(graph.WARM_UP):
            step((torch.ones(1),))
        with pytest.warns(UserWarning, match="kernel by kernel"):
            step((torch.ones(1),))
