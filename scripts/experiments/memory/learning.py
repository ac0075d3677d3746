"""What all predictors learn by, how far ahead they foresee, and what they recall."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from jepa_agent.evaluation import diagnostics

from .predictors import LONGEST, Predictor
from .worlds import ACTION, FRAME, UNIT, Episodes, World, numbers, places

HORIZON = 16
"""Steps that are imagined in training."""
STEPS = LONGEST + HORIZON
"""An episode's steps."""
AHEAD = (1, 2, 4, 8, 16, 32)
"""Horizons, in steps."""
AGO = (1, 2, 4, 8, 16, 32, 64)
"""Steps since something was seen."""
CONTEXTS = (24, 36, 48)
"""Frames of an episode after which it is imagined."""
RIDGE = 1e-3
"""The weight of the squared coefficients, for each row."""


class Batch(NamedTuple):
    """Contexts of c frames, and what comes in the H steps after."""

    frames: Tensor
    """(B, c, F)."""
    actions: Tensor
    """(B, c - 1 + H, A)."""
    places: Tensor
    """(B, H, 2), those of all steps: the data show what the agent is not shown."""


def after(episodes: Episodes, rows: Tensor | slice, context: int, horizon: int) -> Batch:
    """The first frames of some episodes, and what comes after them."""
    end = context + horizon
    true = places(episodes.states[rows, context:end])
    return Batch(episodes.frames[rows, :context], episodes.actions[rows, : end - 1], true)


def drawn(episodes: Episodes, size: int, generator: torch.Generator) -> Batch:
    """A batch of random episodes, with contexts of a random length."""
    rows = torch.randint(len(episodes.states), (size,), generator=generator)
    return after(episodes, rows, context_length(generator), HORIZON)


def to_remember(size: int, generator: torch.Generator, context: int = 0) -> Batch:
    """A batch of pure memory: a step after the context, what its first frame showed comes again."""
    context = context or context_length(generator)
    frames = numbers(size, context, generator)
    again = frames[:, :1, :2]
    return Batch(frames, torch.zeros(size, context, ACTION), again)


def context_length(generator: torch.Generator) -> int:
    """From 1 to 64 frames, short ones as often as ones twice as long."""
    return round(LONGEST ** torch.rand((), generator=generator).item())


def foreseen(predictor: Predictor, batch: Batch) -> Tensor:
    """What is imagined (B, H, 2) after contexts."""
    past = batch.frames.shape[1] - 1
    memory = predictor.read(batch.frames[:, :-1], batch.actions[:, :past])
    return predictor.imagine(memory, batch.frames[:, -1], batch.actions[:, past:])


def learn(
    predictor: Predictor, draw: Callable[[torch.Generator], Batch], steps: int, seed: int
) -> float:
    """Train by the squared error of what is imagined open loop.

    Args:
        predictor: changed in place.
        draw: makes a batch.
        steps: of AdamW, whose rate falls from the predictor's to 0 by half a cosine.
        seed: of the batches.

    Returns:
        The mean loss of the last tenth of the steps.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(predictor.parameters(), predictor.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses = []
    for _ in range(steps):
        batch = draw(generator)
        loss = (foreseen(predictor, batch) - batch.places).square().sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(predictor.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last)


@torch.no_grad()
def errors(predictor: Predictor, episodes: Episodes) -> dict[int, float]:
    """Mean pixels between what is imagined and what comes, shown or not, by the horizon."""
    found = []
    for context in CONTEXTS:
        horizon = min(AHEAD[-1], episodes.actions.shape[1] - context)
        batch = after(episodes, slice(None), context, horizon)
        imagined = foreseen(predictor, batch)
        found.append(UNIT * (imagined - batch.places).norm(dim=-1).mean(0))
    mean = torch.stack(found).mean(0)
    return {ahead: mean[ahead - 1].item() for ahead in AHEAD if ahead <= len(mean)}


@torch.no_grad()
def recall(predictor: Predictor, world: World, train: Episodes, test: Episodes) -> dict[int, float]:
    """How well a linear map reads off the memory what was seen N steps ago: R2 by N.

    It is where the wall and the door are, of a world that tells it in the first frame alone, and
    else the place, shown or not.
    """
    found, memories = {}, {}
    for ago in AGO:
        first = 0 if world.told else LONGEST - ago
        end = first + ago
        if end not in memories:
            memories[end] = [
                predictor.read(each.frames[:, :end], each.actions[:, :end])
                for each in (train, test)
            ]
        wanted, truth = (
            each.frames[:, 0, 3:FRAME] if world.told else places(each.states[:, first])
            for each in (train, test)
        )
        found[ago] = ridge(*memories[end], wanted, truth)
    return found


def ridge(train: Tensor, test: Tensor, wanted: Tensor, truth: Tensor) -> float:
    """R2 on test rows of a ridge regression from features (N, M) to numbers (N, 2)."""
    told = diagnostics.ridge(train.double(), wanted.double(), test.double(), RIDGE)
    return explained(told, truth.double())


def explained(told: Tensor, truth: Tensor) -> float:
    """R2: the share of the variance of numbers (N, 2) that what is told (N, 2) explains."""
    rest = (told - truth).square().sum() / (truth - truth.mean(0)).square().sum()
    return 1 - rest.item()


@torch.no_grad()
def remembered(predictor: Predictor, count: int, seed: int) -> dict[int, float]:
    """R2 of the numbers of the world of pure memory, by the steps since they were shown."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for ago in AGO:
        batch = to_remember(count, generator, ago)
        found[ago] = explained(foreseen(predictor, batch)[:, 0], batch.places[:, 0])
    return found
