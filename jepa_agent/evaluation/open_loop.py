"""Open-loop prediction: the error of imagined states, read off by the probe, and of latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource, Renderer, Windows, WindowSampler
from ..models.world_model import WorldModel

ENCODED_TOGETHER = 64
"""Windows whose observations are encoded at once."""


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
    batch = draw_windows(trajectories, model.config.chunk, chunks, windows, device, seed)
    states, actions = batch.states[:, 0], batch.actions[:, 0]  # (W, T, ...)
    layout = batch.layout[:, 0]  # (W, 1, C)
    source = ObservationSource(trajectories, render, device)
    start = model.encode(source.at(batch.frame_index[:, 0, 0]))  # (W, D)
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


@torch.no_grad()
def against_standing_still(
    model: WorldModel,
    render: Renderer | None,
    trajectories: Trajectories,
    chunks: int = 10,
    windows: int = 512,
    seed: int = 0,
) -> list[float]:
    """The error of imagined latents over that of predicting no change, after 1, 2, ... chunks.

    0 is perfect, 1 no better than standing still. Neither a probe nor states are needed. Where
    no latent changes, nothing can be better: 1.

    Args:
        model: the world model.
        render: the environment's batched renderer, if it has one.
        trajectories: the true observations.
        chunks: length of the windows in chunks.
        windows: number of windows.
        seed: seed of the choice of windows.
    """
    device = model.observation_mean.device
    batch = draw_windows(trajectories, model.config.chunk, chunks, windows, device, seed)
    latents = encode_windows(model, ObservationSource(trajectories, render, device), batch)
    return relative_error(model.rollout(latents[:, 0], batch.actions[:, 0]), latents).tolist()


def relative_error(imagined: Tensor, latents: Tensor) -> Tensor:
    """Mean errors (H,) of imagined latents (W, H, D) over those of predicting no change.

    Args:
        imagined: what was imagined from the first of the latents.
        latents: true latents (W, H + 1, D).
    """
    error = (imagined - latents[:, 1:]).norm(dim=-1).mean(dim=0)
    still = (latents[:, :1] - latents[:, 1:]).norm(dim=-1).mean(dim=0)
    return torch.where(still > 0, error / still, 1.0)


def encode_windows(model: WorldModel, source: ObservationSource, batch: Windows) -> Tensor:
    """Latents (W, T, D) of the windows of `draw_windows`."""
    rows = batch.frame_index[:, 0].split(ENCODED_TOGETHER)
    return torch.cat([model.encode(source.at(part)) for part in rows])


def draw_windows(
    trajectories: Trajectories, chunk: int, chunks: int, windows: int, device: torch.device,
    seed: int,
) -> Windows:  # fmt: skip
    """W windows, each the only one of its group: (W, 1, ...); neighbours differ in their layout."""
    sampler = WindowSampler(trajectories, chunk, chunks, device)
    generator = torch.Generator(device).manual_seed(seed)
    groups = min(windows, sampler.num_layouts)
    drawn = [sampler.draw(groups, 1, generator) for _ in range(-(-windows // groups))]
    return Windows(*(torch.cat(parts)[:windows] for parts in zip(*drawn, strict=True)))
