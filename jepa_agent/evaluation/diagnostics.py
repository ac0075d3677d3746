"""Errors of a world model on held-out trajectories, measured while it trains."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from ..agent.agent import JEPAAgent
from ..data.source import world_shape
from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource, WindowSampler
from ..worlds.protocols import GroupsPairs, HasMap
from .collapse import CollapseStats, collapse_stats
from .episodes import SuccessUnknown, play
from .open_loop import open_loop

logger = logging.getLogger(__name__)

FRAMES = 4096
"""Number of frames that a probe is fitted to, and about the number that it is tested on."""
RIDGE = 1e-4
"""Ridge of the linear probe, on standardised features."""


@dataclass(frozen=True)
class Diagnostics:
    """Errors in the unit of the states; None where world or model lack what is needed.

    Args:
        position_error: mean error of the states that the model's own probe reads off latents.
        layout_error: mean absolute error of a linear probe, fitted to the training data, for each
            number of the layout that varies.
        rank_correlation: Spearman's, of the learned distance with the length of the shortest path
            between states of one layout.
        rank_correlations: the same within the world's groups of pairs, by their names.
        open_loop_error: error after 20 and 50 imagined steps, or as many as the episodes have;
            empty without a probe.
        violations: share of states imagined 50 steps ahead that are not free.
        collapse: spread and rank of the latents.
        success: success rate of a few planned episodes; None without an environment, goals or
            `is_success`, or if every episode raised, which is logged.
    """

    position_error: float | None
    layout_error: list[float]
    rank_correlation: float | None
    rank_correlations: dict[str, float | None]
    open_loop_error: list[float]
    violations: float | None
    collapse: CollapseStats
    success: float | None


@torch.no_grad()
def diagnose(
    agent: JEPAAgent,
    trained_on: Trajectories,
    held_out: Trajectories,
    episodes: int = 0,
    seed: int = 0,
) -> Diagnostics:
    """Measure a model.

    Args:
        agent: the agent with the model.
        trained_on: data that the layout's probe is fitted to.
        held_out: data of other layouts, on which everything is measured; its metadata name the
            environment of the planned episodes.
        episodes: number of planned episodes; 0 leaves out `success`.
        seed: seed of the choice of frames.
    """
    model = agent.model
    env = None
    if agent.has_environment:
        with contextlib.suppress(gym.error.Error, ImportError):  # where the data suffice
            env = agent.env_ref.make()
    world: Any = env.unwrapped if env else None
    space = env.observation_space if env else None
    _, render, _ = world_shape(agent.env_ref if env else None, held_out)
    generator = torch.Generator(agent.device).manual_seed(seed)

    def draw(data: Trajectories) -> tuple[Tensor, Tensor, Tensor]:
        """States, layouts and latents (G, n, ...) of single frames in G layouts."""
        sampler = WindowSampler(data, 1, 1, agent.device)
        source = ObservationSource(data, render, agent.device)
        groups = min(128, sampler.num_layouts)
        batch = sampler.draw(groups, FRAMES // groups, generator)
        states, layout = batch.states[:, :, 0], batch.layout[:, :, 0]
        latents = [model.encode(source.at(rows)) for rows in batch.frame_index[:, :, 0].split(8)]
        return states, layout.expand(*states.shape[:2], -1), torch.cat(latents)

    states, layout, latents = draw(held_out)
    _, seen, seen_latents = draw(trained_on)
    varies = [bool((column != column[0, 0]).any()) for column in layout.unbind(dim=-1)]
    guess = ridge(*(each.flatten(0, 1).cpu().double() for each in (seen_latents, seen, latents)))
    layout_error = (guess - layout.flatten(0, 1).cpu()).abs().mean(dim=0)

    correlation, correlations = None, {}
    if isinstance(world, HasMap):
        goals = latents.roll(1, dims=1)
        learned = model.distance(latents, goals).flatten().cpu().numpy()
        other = states.roll(1, dims=1)
        true = world.shortest_path(states, other, layout).flatten().cpu().numpy()
        correlation = spearman(learned, true)
        if isinstance(world, GroupsPairs):
            groups = world.pair_groups(states, other, layout)
            chosen = {name: rows.flatten().cpu().numpy() for name, rows in groups.items()}
            correlations = {
                name: spearman(learned[rows], true[rows]) for name, rows in chosen.items()
            }
    position_error, open_loop_error, violations = None, [], None
    if model.probe is not None:
        position_error = (model.locate(latents) - states).norm(dim=-1).mean().item()
        chunks = max(1, min(50, int(np.diff(held_out.offsets).min()) - 1) // model.config.chunk)
        is_free = world.is_free if isinstance(world, HasMap) else None
        unrolled = open_loop(model, render, held_out, chunks, 512, is_free, seed)
        shown = (min(chunks, 20 // model.config.chunk) - 1, -1)
        open_loop_error = [unrolled[index].error for index in shown]
        violations = unrolled[-1].violations
    success = None
    if episodes and isinstance(space, gym.spaces.Dict) and "desired_goal" in space.spaces:
        kwargs = {**agent.env_ref.kwargs, **held_out.metadata.get("env_kwargs", {})}
        success = success_rate(agent, kwargs, range(seed, seed + episodes))
    return Diagnostics(
        position_error=position_error,
        layout_error=[e for e, keep in zip(layout_error.tolist(), varies, strict=True) if keep],
        rank_correlation=correlation,
        rank_correlations=correlations,
        open_loop_error=open_loop_error,
        violations=violations,
        collapse=collapse_stats(latents.flatten(0, 1)),
        success=success,
    )


def success_rate(agent: JEPAAgent, kwargs: dict[str, Any], seeds: range) -> float | None:
    """Share of planned episodes that succeed; None if it is unknown, which ends no training."""
    try:
        played = play(agent, partial(agent.env_ref.make, **kwargs), seeds)
    except SuccessUnknown:
        return None
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        logger.warning("every held-out episode raised %s; their success is unknown", reason)
        logger.debug("the first of them:", exc_info=error)
        return None
    return float(np.mean([episode.success for episode in played]))


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Rank correlation of two arrays (N,), or None of fewer than three pairs."""
    if len(first) < 3:
        return None
    ranks = np.stack([np.argsort(np.argsort(values)) for values in (first, second)])
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def ridge(known: Tensor, targets: Tensor, asked: Tensor) -> Tensor:
    """Predictions at inputs `asked` (M, D) of ridge regression on `known` inputs (N, D).

    Without the ridge, collinear features would amplify rounding errors.
    """
    mean, std, middle = known.mean(dim=0), known.std(dim=0).clamp_min(1e-6), targets.mean(dim=0)
    known, asked = (known - mean) / std, (asked - mean) / std
    gram = known.T @ known
    gram.diagonal().add_(RIDGE * len(known))
    return asked @ torch.linalg.solve(gram, known.T @ (targets - middle)) + middle
