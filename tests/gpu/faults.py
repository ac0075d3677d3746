"""Faults of code for GPUs, planted one at a time: each must fail its check by its words.

So a plant that no longer applies, and raises something else, counts as missed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from jepa_agent.agent import agent as agents
from jepa_agent.agent import replayed
from jepa_agent.agent.error_memory import ErrorMemory
from jepa_agent.data.read_ahead import ReadAhead
from jepa_agent.data.windows import ObservationSource, WindowSampler
from jepa_agent.models.world_model import WorldModel
from jepa_agent.planners import CandidateTracker, Noise, bounds
from jepa_agent.pretraining.image import ImagePretrainer
from jepa_agent.training import loop, loss_meter, losses
from jepa_agent.training.batches import Batches
from jepa_agent.training.loop import Trainer
from jepa_agent.training.loss_meter import LossMeter
from jepa_agent.training.objective import Objective
from jepa_agent.training.task import Task
from jepa_agent.training.terms import ContrastHead
from jepa_agent.viz import session

Plant = Callable[[], AbstractContextManager[Any]]


def changed(owner: Any, name: str, change: Callable[[Any], Any]) -> Plant:
    """Replace a function by what `change` makes of it."""
    return lambda: mock.patch.object(owner, name, change(getattr(owner, name)))


def after(what: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a function's result go through another one."""
    return lambda function: lambda *args, **kwargs: what(function(*args, **kwargs))


def before(what: Callable[..., Any]) -> Callable[[Any], Any]:
    """Do something with a function's arguments first."""

    def change(function: Any) -> Any:
        def both(*args: Any, **kwargs: Any) -> Any:
            what(*args)
            return function(*args, **kwargs)

        return both

    return change


def constant(values: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Copied to the device anew, and waited for."""
    return torch.tensor(values, dtype=dtype, device=device)


def numbers_of_global_noise(noise: Noise, *shape: int, like: Tensor) -> Tensor:
    """Numbers of the device's own generator, which are others."""
    return torch.rand(len(noise), *shape, device=like.device)


def stacked(terms: list[Tensor]) -> Tensor:
    """Wherever they lie."""
    return torch.stack(terms)


def masked(latents: Tensor) -> Tensor:
    """A loss of the latents that a mask picks: the host must know how many."""
    return latents[latents > 0].square().mean()


def nothing(task: Task) -> AbstractContextManager[Any]:
    """Single precision."""
    return torch.autocast("cuda", enabled=False)


def looped(*args: Any, **kwargs: Any) -> torch.optim.Optimizer:
    """An optimiser with launches for every parameter."""
    return torch.optim.Adam(*args, **kwargs | {"fused": False, "foreach": False})


def drawn_on_the_cpu(draw: Any) -> Any:
    """A generator that is not on the device of what it draws."""
    return lambda batches, _: draw(batches, torch.Generator().manual_seed(0))


def of_the_next_state(take: Any) -> Any:
    """Give what was read, whoever asks."""

    def taken(ahead: ReadAhead, state: Tensor) -> Tensor | None:
        return take(ahead, state if ahead._begun is None else ahead._begun[0])

    return taken


def drawn_twice(begin: Any) -> Any:
    """Read what the batch after the next one needs."""

    def begun(ahead: ReadAhead, generator: torch.Generator) -> None:
        later = torch.Generator(generator.device)
        later.set_state(generator.get_state())
        torch.rand(1, generator=later, device=generator.device)
        begin(ahead, later)

    return begun


def with_its_own_generator(load_state: Any) -> Any:
    """Go on from a state, but for the random numbers."""

    def load(trainer: Trainer, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        own = trainer.task.generator
        load_state(trainer, tensors | {"generator": own.get_state()}, progress)

    return load


def without_noise(fill: Any) -> Any:
    """Copy what is asked, but draw no new numbers."""

    def filled(room: Any, *args: Any) -> None:
        numbers, room._numbers = room._numbers, []
        fill(room, *args)
        room._numbers = numbers

    return filled


def set_number(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """A learning rate that Python holds."""
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def replace_prototypes(head: ContrastHead, embedding: Tensor, which: Tensor) -> None:
    """Keep the new prototypes elsewhere."""
    moved = 0.5 * (head.prototypes[which] + embedding)
    head.prototypes = head.prototypes.index_copy(0, which, moved)


def weighted_by_calls(total: Any) -> Any:
    """A weight that rises from step to step, by Python."""
    calls: list[int] = []

    def weighted(objective: Objective, terms: dict[str, Tensor]) -> Tensor:
        calls.append(1)
        return total(objective, terms) * (1 + len(calls) % 4)

    return weighted


STEPS, DECISIONS, GRAPHS = "steps of quick", "decisions of mppi", "graphs"
FAULTS: dict[str, tuple[Plant, str, str]] = {
    "constants are copied at every use": (
        lambda: mock.patch.object(bounds, "constant", constant), DECISIONS,
        "'copy to the device at bounds.py:",
    ),
    "noise stays on the CPU": (
        changed(Noise, "normal", after(lambda numbers: numbers.cpu())), DECISIONS,
        "on the CPU, at mppi.py:",
    ),
    "noise is the device's own": (
        lambda: mock.patch.object(Noise, "normal", numbers_of_global_noise), DECISIONS,
        "mppi, step 0\nMismatched",
    ),
    "costs are compared by the host": (
        changed(CandidateTracker, "evaluate", after(lambda costs: costs + 0 * costs.min().item())),
        DECISIONS,
        "'_local_scalar_dense at mppi.py:",
    ),
    "a held step reads its plan from the device": (
        changed(agents, "from_rows", before(lambda *_: torch.zeros((), device="cuda").item())),
        DECISIONS,
        "'_local_scalar_dense at agent.py:",
    ),
    "a memory lies on the CPU": (
        changed(ErrorMemory, "none", after(
            lambda memory: memory._replace(errors=memory.errors.cpu())
        )), DECISIONS,
        "on the CPU, at replayed.py:",
    ),
    "observations are copied and waited for": (
        changed(replayed._Room, "_fill", before(lambda _, asked, *__: asked.seen.to("cuda"))),
        DECISIONS,
        "'copy to the device at replayed.py:",
    ),
    "a replayed decision keeps its noise": (
        changed(replayed._Room, "_fill", without_noise), DECISIONS,
        "mppi, step 3\nMismatched",
    ),
    "a replayed learning rate is a number": (
        lambda: mock.patch.object(loop, "set_learning_rate", set_number), GRAPHS,
        "weight must be what it is without",
    ),
    "a replayed step replaces prototypes": (
        lambda: mock.patch.object(ContrastHead, "update_prototypes", replace_prototypes), GRAPHS,
        "exp_avg must be what it is without",
    ),
    "a replayed loss depends on the step's number": (
        changed(Objective, "total", weighted_by_calls), GRAPHS,
        "exp_avg must be what it is without",
    ),
    "the window draws a device's tensor": (
        changed(session, "imagined_paths", after(
            lambda paths: torch.as_tensor(paths[0]).to("cuda").numpy()
        )), "episodes",
        "to numpy, at session.py:",
    ),
    "images become arrays": (
        changed(ObservationSource, "_show", before(lambda _, rows, *__: rows.numpy())), STEPS,
        "to numpy, at windows.py:",
    ),
    "windows come from the CPU": (
        changed(WindowSampler, "draw", after(
            lambda drawn: drawn._replace(actions=drawn.actions.cpu())
        )), STEPS,
        "sub got [(8, 2, 4, 5, 2)] on the CPU, at world_model.py:",
    ),
    "the generator is on the CPU": (
        changed(Batches, "draw", drawn_on_the_cpu), STEPS,
        "generator but found 'cpu', at windows.py:",
    ),
    "a statistic is on the CPU": (
        changed(WorldModel, "standardise", before(
            lambda model, *_: setattr(model, "action_std", model.action_std.cpu())
        )), STEPS,
        "div got [(2,)] on the CPU, at world_model.py:",
    ),
    "losses are read at every step": (
        changed(LossMeter, "add", before(lambda _, terms, *__: [t.item() for t in terms.values()])),
        STEPS,
        "step 0 waits: {'_local_scalar_dense at (elsewhere)'",
    ),
    "a loss picks by a mask": (
        lambda: mock.patch.object(losses, "temporal_similarity", masked), STEPS,
        "step 0 waits: {'index at terms.py:",
    ),
    "gradients are checked by the host": (
        lambda: mock.patch.object(
            torch.nn.utils, "clip_grad_norm_",
            partial(torch.nn.utils.clip_grad_norm_, error_if_nonfinite=True),
        ), STEPS,
        "step 0 waits: {'_local_scalar_dense at loop.py:",
    ),
    "parameters are stepped one by one": (
        lambda: mock.patch.object(torch.optim, "AdamW", looped), STEPS,
        "a joint step of quick launches",
    ),
    "training forgets bfloat16": (
        lambda: mock.patch.object(Task, "autocast", nothing), "losses",
        "the model must run in bfloat16",
    ),
    "covariance is of autocast's products": (
        lambda: mock.patch.object(losses, "covariance", losses.covariance.__wrapped__), "losses",
        "covariance is coarse",
    ),
    "contrast is of autocast's products": (
        lambda: mock.patch.object(losses, "contrast", losses.contrast.__wrapped__), "losses",
        "contrast is ",
    ),
    "terms of a state stay on the CPU": (
        lambda: mock.patch.object(loss_meter, "_together", stacked), "resume",
        "stack got [()] on the CPU, at loss_meter.py:",
    ),
    "a resumed run draws anew": (
        changed(Trainer, "load_state", with_its_own_generator), "resume",
        "must be what it is without interrupts",
    ),
    "what was read ahead is of another batch": (
        lambda: mock.patch.multiple(
            ReadAhead, begin=drawn_twice(ReadAhead.begin), take=of_the_next_state(ReadAhead.take)
        ), "steps of images on the disk",
        ", in memory of [",
    ),
    "nothing is read ahead": (
        lambda: mock.patch.object(ReadAhead, "begin"),
        "steps of images on the disk",
        "step 1 waits: {'copy from the device at windows.py:",
    ),
    "what was read ahead is copied and waited for": (
        changed(ReadAhead, "take", after(
            lambda read: read if read is None else read.to("cuda")
        )), "steps of images on the disk",
        "step 1 waits: {'copy to the device at batches.py:",
    ),
    "rows of images are waited for": (
        changed(ImagePretrainer, "_rows", after(lambda rows: rows.cpu().to("cuda"))), "images",
        "'copy from the device at image.py:",
    ),
}  # fmt: skip
"""By name: how it is planted, the check that must fail, and a part of what is raised."""
STALE = changed(bounds, "renamed", after(lambda found: found)), DECISIONS, "waits"
"""A plant whose place is no more: the error that it ends in must not count."""
