"""A world model's training: joint steps, refinement, losses, graphs, resuming, diagnostics."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from unittest import mock

import numpy as np
import torch
from made import CUDA, SMALL, launches, rooms, shown, steps_of
from pretended import Seen

from jepa_agent import Trajectories, train
from jepa_agent.data.windows import ObservationSource
from jepa_agent.presets import PRESETS
from jepa_agent.training import losses
from jepa_agent.training.config import LossWeights, RefinementConfig
from jepa_agent.training.loop import Trainer
from jepa_agent.training.run_folder import Run
from jepa_agent.training.world_model import WorldModelTask

LAUNCHES = {
    "quick": 600, "base": 1350, "eb_jepa": 900, "vector": 550, "proposals": 630, "gc_idm": 630,
    "lewm": 400, "pixels": 550, "maps": 4000,
}  # fmt: skip
"""Most launches in the graph of a preset's joint step; `base_gpu` is `base` in larger batches."""


def check_steps(seen: Seen, name: str) -> None:
    """Joint and refinement steps of a preset, with its model and losses, on small batches."""
    preset, data = PRESETS[name], rooms()
    if name in ("vector", "pixels", "proposals", "gc_idm", "lewm"):
        data = shown(pixels=name != "vector")
    training = preset.training
    few = {"layouts_per_batch": 8, "windows_per_layout": 2}
    if name == "base":
        few["hard_negative_cluster"] = 4
    elif name == "eb_jepa":
        few = {"layouts_per_batch": 16, "windows_per_layout": 1, "horizon": 8}
    refinement = RefinementConfig(min(2, training.refinement.steps), 4, 4, horizon=2)
    training = replace(training, steps=2, refinement=refinement, **few)
    task = WorldModelTask(data, replace(preset, training=training), CUDA)
    joint, *rest = steps_of(seen, task, may_wait=(2,))  # where refinement encodes all data
    launches[f"{name}: joint step"] = joint
    if refinement.steps:
        launches[f"{name}: refinement step"] = rest[-1]
    assert joint <= LAUNCHES[name], f"a joint step of {name} launches {joint}"


def check_losses(seen: Seen) -> None:
    """Far from the origin, where bfloat16 is coarse, the losses are those of float32."""
    task, found = WorldModelTask(rooms(), SMALL, CUDA), []
    head = task.objective.heads["contrast"]
    head.prototypes.normal_(std=10.0, generator=task.generator)
    with torch.no_grad():
        head.embedding[-1].bias.add_(10.0)
    state, prototypes = task.generator.get_state(), head.prototypes.clone()
    for task._bfloat16 in (False, True):
        task.generator.set_state(state)
        head.prototypes.copy_(prototypes)
        found.append({name: term.item() for name, term in task._joint_terms().items()})
    assert found[0]["prediction"] != found[1]["prediction"], "the model must run in bfloat16"
    for name, exact in found[0].items():
        error = abs(found[1][name] - exact)
        assert error <= 0.03 * abs(exact) + 1e-2, f"{name} is {found[1][name]} and not {exact}"
    latents = 30.0 + torch.randn(64, 4, generator=task.generator, device=CUDA)
    expected = losses.covariance(latents)
    with task.autocast():
        assert torch.equal(losses.covariance(latents).cpu(), expected.cpu()), "covariance is coarse"


def check_graphs(seen: Seen) -> None:
    """A training by graphs has the bits of one that is launched kernel by kernel."""
    found = []
    joint = replace(SMALL, training=replace(SMALL.training, refinement=RefinementConfig()))
    for graphs in (False, True):
        trainer, losses = Trainer(WorldModelTask(rooms(), joint, CUDA), graphs), []
        while trainer.step < trainer.task.stages[-1]:
            losses.append(trainer.update())
        found.append((trainer.state()[0], losses))
    (one, all_losses), (other, same) = found
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor.cpu(), other[name].cpu()), f"{name} must be what it is without"
    for step, pair in enumerate(zip(all_losses, same, strict=True)):
        terms, kept = ([*each.terms.values(), each.loss] for each in pair)
        assert [each.item() for each in terms] == [each.item() for each in kept], f"step {step}"


@contextmanager
def interrupted(after: int) -> Iterator[None]:
    """Press Ctrl-C in a step after the start of a run."""
    asked: list[int] = []

    def overdue(run: Run) -> bool:
        asked.append(1)
        run.interrupted = len(asked) == after
        return run.interrupted

    with mock.patch.object(Run, "overdue", property(overdue)):
        yield


@cache
def bits_of_whole() -> dict[str, torch.Tensor]:
    """What `SMALL` learns without interrupts, once for a check and its faults."""
    agent = train(rooms(), SMALL, CUDA)
    return {name: tensor.cpu() for name, tensor in agent.model.state_dict().items()}


def check_resume(seen: Seen) -> None:
    """Interrupted twice within one line of the log, training ends with the bits of a whole one."""
    whole = dict(bits_of_whole())
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            with interrupted(after=1):
                try:
                    train(rooms(), SMALL, CUDA, folder=folder)
                except KeyboardInterrupt:
                    continue
            raise AssertionError("the run must have been interrupted")
        parts = train(rooms(), SMALL, CUDA, folder=folder)
    for name, other in parts.model.state_dict().items():
        one = whole.pop(name)
        assert other.is_cuda, f"{name} must be on the device"
        assert torch.equal(one, other.cpu()), f"{name} must be what it is without interrupts"
    assert not whole, f"not trained: {whole.keys()}"


def check_diagnostics(seen: Seen) -> None:
    """Held-out data are measured on the device, and episodes planned."""
    measured = []
    data = rooms()
    soon = {**data.metadata["env_kwargs"], "max_episode_steps": 20}
    held_out = replace(data, metadata={**data.metadata, "env_kwargs": soon})
    short = replace(SMALL, training=replace(SMALL.training, refinement=RefinementConfig()))
    train(
        held_out, short, CUDA, held_out=held_out,
        callbacks=[lambda progress, _: measured.append(progress.diagnostics)],
    )  # fmt: skip
    assert measured[-1] is not None


def check_stored(seen: Seen) -> None:
    """Recorded images are on the device, as they were recorded."""
    data = shown(pixels=True)
    source = ObservationSource(data, None, CUDA)
    rows = torch.arange(4, device=CUDA)
    assert source.at(rows).is_cuda
    np.testing.assert_array_equal(source.at(rows).cpu().numpy(), data.observations[:4])


def losses_of_images(data: Trajectories, seen: Seen | None = None) -> list[float]:
    """Losses of a few joint steps; with what was `seen`, none waits but the first."""
    weights = LossWeights(sigreg=1.0, window_contrast=1.0)
    training = replace(SMALL.training, weights=weights, hard_negative_cluster=1)
    task, found = WorldModelTask(data, replace(SMALL, training=training), CUDA), []
    trainer = Trainer(task)
    for step in range(training.steps):
        if seen is not None:
            seen.clear()
        found.append(trainer.update().loss)
        waits = {} if seen is None or step == 0 else dict(seen.waits)
        assert not waits, f"step {step} waits: {waits}"
    task.close()
    return [loss.item() for loss in found]


@cache
def losses_in_memory() -> list[float]:
    """Those of images in memory, once for a check and its faults."""
    return losses_of_images(shown(pixels=True))


def check_on_disk(seen: Seen) -> None:
    """Images on the disk are read ahead: the losses of those in memory, no waits but for the first
    batch."""
    expected = losses_in_memory()
    with tempfile.TemporaryDirectory() as folder:
        shown(pixels=True).save(path := f"{folder}/images.h5")
        found = losses_of_images(Trajectories.load(path, in_memory=False), seen)
    assert found == expected, f"losses of {found}, in memory of {expected}"


CHECKS: dict[str, Callable[[Seen], None]] = {
    **{f"steps of {name}": partial(check_steps, name=name) for name in LAUNCHES},
    "losses": check_losses,
    "graphs": check_graphs,
    "resume": check_resume,
    "diagnostics": check_diagnostics,
    "stored observations": check_stored,
    "steps of images on the disk": check_on_disk,
}
