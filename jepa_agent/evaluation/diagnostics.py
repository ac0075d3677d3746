"""What a world model knows, measured on held-out trajectories while it trains."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

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

FRAMES = 4096
"""Frames that a probe is fitted to, and about as many that it is tried on."""
RIDGE = 1e-4
"""Ridge of the linear probe, on standardised features."""


@dataclass(frozen=True)
class Diagnostics:
    """Errors in the unit of the states; None where world or model cannot tell.

    Args:
        position_error: mean distance of the state that the model's own probe reads off a latent.
        layout_error: mean absolute error of a linear probe for each number of the layout; the
            probe is fitted to the training data. Of numbers that vary.
        rank_correlation: Spearman's, of the learned distance with the length of the shortest path
            between states of one layout.
        rank_correlations: the same within the world's groups of pairs, by their names.
        open_loop_error: after 20 and 50 imagined steps, or as many as the episodes have; empty
            without a probe, which reads states off latents.
        violations: share of states imagined 50 steps ahead that are not free.
        collapse: of the latents; says whether they have collapsed.
        success: share of a few planned episodes; None if the world has no goals or does not say.
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
        agent: whose model it is.
        trained_on: data to fit the layout's probe to.
        held_out: data of other layouts, on which all is measured; its metadata name the
            environment of the planned episodes.
        episodes: to plan for `success`; 0 leaves it out.
        seed: of the choice of frames.
    """
    model = agent.model
    env = agent.env_ref.make()
    world, space = env.unwrapped, env.observation_space
    _, render, _ = world_shape(agent.env_ref, held_out)
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
        with contextlib.suppress(SuccessUnknown):
            played = play(agent, lambda: agent.env_ref.make(**kwargs), range(seed, seed + episodes))
            success = float(np.mean([episode.success for episode in played]))
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


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Rank correlation of two arrays (N,), or None of fewer than three pairs."""
    if len(first) < 3:
        return None
    ranks = np.stack([np.argsort(np.argsort(values)) for values in (first, second)])
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def ridge(known: Tensor, targets: Tensor, asked: Tensor) -> Tensor:
    """What ridge regression fitted to known inputs (N, D) says of those asked (M, D).

    Without the ridge, rounding decides on collinear features.
    """
    mean, std, middle = known.mean(dim=0), known.std(dim=0).clamp_min(1e-6), targets.mean(dim=0)
    known, asked = (known - mean) / std, (asked - mean) / std
    gram = known.T @ known
    gram.diagonal().add_(RIDGE * len(known))
    return asked @ torch.linalg.solve(gram, known.T @ (targets - middle)) + middle
