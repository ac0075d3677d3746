"""Open-loop prediction: the error of imagined states, read off by the probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource, Renderer, WindowSampler
from ..models.world_model import WorldModel


@dataclass(frozen=True)
class OpenLoopStep:
    """Errors after some environment steps, in the unit of the states, means over windows.

    Args:
        steps: environment steps imagined from one true frame.
        error: error of the imagined state.
        stand_still: control: error of the state before the first step.
        random_actions: control: error of the state imagined under another window's actions.
        violations: share of imagined states that are not free, or None.
    """

    steps: int
    error: float
    stand_still: float
    random_actions: float
    violations: float | None


@torch.no_grad()
def open_loop(
    model: WorldModel,
    render: Renderer | None,
    trajectories: Trajectories,
    chunks: int = 10,
    windows: int = 1024,
    is_free: Callable[[Tensor, Tensor], Any] | None = None,
    seed: int = 0,
) -> list[OpenLoopStep]:
    """Imagine windows of trajectories from their first frame alone (EB-JEPA's unrolling).

    Args:
        model: the world model; it must have a probe.
        render: the environment's batched renderer, if it has one.
        trajectories: the true states.
        chunks: length of the windows in chunks.
        windows: number of windows.
        is_free: whether states (..., S) in layouts (..., C) are possible.
        seed: seed of the choice of windows.
    """
    device = model.observation_mean.device
    sampler = WindowSampler(trajectories, model.config.chunk, chunks, device)
    generator = torch.Generator(device).manual_seed(seed)
    batch = sampler.draw(min(windows, sampler.num_layouts), 1, generator)
    while len(batch.states) < windows:
        more = sampler.draw(min(windows, sampler.num_layouts), 1, generator)
        batch = type(batch)(*(torch.cat(pair) for pair in zip(batch, more, strict=True)))
    states, actions = batch.states[:windows, 0], batch.actions[:windows, 0]  # (W, T, ...)
    layout = batch.layout[:windows, 0]  # (W, 1, C)
    source = ObservationSource(trajectories, render, device)
    start = model.encode(source.at(batch.frame_index[:windows, 0, 0]))  # (W, D)
    stood = model.locate(start)[:, None]
    imagined = model.locate(model.rollout(start, actions))  # (W, chunks, S)
    misled = model.locate(model.rollout(start, actions.roll(1, dims=0)))
    truth = states[:, 1:]

    def error(guess: Tensor) -> list[float]:
        return (guess - truth).norm(dim=-1).mean(dim=0).tolist()

    violations: list[float | None] = [None] * chunks
    if is_free is not None:
        free = torch.as_tensor(is_free(imagined, layout))
        violations = [*(1.0 - free.float().mean(dim=0)).tolist()]
    rows = zip(error(imagined), error(stood), error(misled), violations, strict=True)
    return [OpenLoopStep((index + 1) * model.config.chunk, *row) for index, row in enumerate(rows)]
