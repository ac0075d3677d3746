"""Errors of a world model on held-out trajectories, measured while it trains."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
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
from ..worlds.protocols import GroupsPairs, HasMap, state_names
from .collapse import CollapseStats, collapse_stats
from .episodes import SuccessUnknown, play
from .open_loop import against_standing_still, open_loop

logger = logging.getLogger(__name__)

FRAMES = 4096
"""Number of frames, about, that a probe is fitted to and tested on, or all of smaller data."""
MIN_PER_LAYOUT = 4
"""Number of frames of each layout, however few there are in all."""
RIDGE = 1e-4
"""Ridge of the linear probe, on standardised features."""
MISSING = 0.5
"""R2 below which a number of the state is said not to be in the latent."""
NAMED = 5
"""Numbers of the state that one warning names."""
AHEAD = 50
"""Environment steps that are imagined, or as many as most episodes have."""


@dataclass(frozen=True)
class Diagnostics:
    """Errors in the unit of the states; None where world or model lack what is needed.

    Args:
        state_r2: R2 of the model's own probe for each number of the state, by its name: 1 is known
            exactly, 0 no better than the mean. Numbers that are constant are left out.
        position_error: mean error of the states that the model's own probe reads off latents.
        layout_error: mean absolute error of a linear probe, fitted to the training data, for each
            number of the layout that varies.
        rank_correlation: Spearman's, of the learned distance with the length of the shortest path
            between states of one layout.
        rank_correlations: the same within the world's groups of pairs, by their names.
        open_loop_error: error after 20 and 50 imagined steps, or as many as the episodes have;
            empty without a probe.
        standing_still: the error of imagined latents over that of predicting no change, by the
            environment steps that are imagined; below 1 imagination is of use.
        violations: share of states imagined 50 steps ahead that are not free.
        collapse: spread and rank of the latents.
        success: success rate of a few planned episodes, by the world's own rule; None if unknown.
        success_unknown: why it is unknown, or how many episodes raised.
        warnings: in words, what the model has not learnt.
    """

    state_r2: dict[str, float]
    position_error: float | None
    layout_error: list[float]
    rank_correlation: float | None
    rank_correlations: dict[str, float | None]
    open_loop_error: list[float]
    standing_still: dict[str, float]
    violations: float | None
    collapse: CollapseStats
    success: float | None
    success_unknown: str
    warnings: list[str]


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
    entries = getattr(env.observation_space, "spaces", {}) if env else {}
    _, render, _ = world_shape(agent.env_ref if env else None, held_out)
    generator = torch.Generator(agent.device).manual_seed(seed)

    def draw(data: Trajectories) -> tuple[Tensor, Tensor, Tensor]:
        """States, layouts and latents (G, n, ...) of single frames in G layouts."""
        sampler = WindowSampler(data, 1, 1, agent.device)
        source = ObservationSource(data, render, agent.device)
        groups = min(128, sampler.num_layouts)
        each = max(MIN_PER_LAYOUT, min(FRAMES, len(data.states)) // groups)
        batch = sampler.draw(groups, each, generator)
        states, layout = batch.states[:, :, 0], batch.layout[:, :, 0]
        latents = [model.encode(source.at(rows)) for rows in batch.frame_index[:, :, 0].split(8)]
        return states, layout.expand(*states.shape[:2], -1), torch.cat(latents)

    states, layout, latents = draw(held_out)
    varies = (layout != layout[0, 0]).flatten(0, 1).any(dim=0)
    layout_error: list[float] = []
    if varies.any():
        _, seen, seen_latents = draw(trained_on)
        known, told, asked = (
            each.flatten(0, 1).cpu().double() for each in (seen_latents, seen[..., varies], latents)
        )
        guess = ridge(known, told, asked)
        truth = layout[..., varies].flatten(0, 1).cpu()
        layout_error = (guess - truth).abs().mean(dim=0).tolist()

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
    chunk = model.config.chunk
    chunks = max(1, min(AHEAD, int(np.median(np.diff(held_out.offsets))) - 1) // chunk)
    ratios = against_standing_still(model, render, held_out, chunks, seed=seed)
    shown = sorted({*(2**power for power in range(chunks.bit_length())), chunks})
    standing_still = {str(count * chunk): ratios[count - 1] for count in shown}
    state_r2, position_error, open_loop_error, violations = {}, None, [], None
    if model.probe is not None:
        found = model.locate(latents)
        r2 = r_squared(found.flatten(0, 1), states.flatten(0, 1))
        names = state_names(world, len(r2))
        state_r2 = {name: r for name, r in zip(names, r2, strict=True) if r is not None}
        position_error = (found - states).norm(dim=-1).mean().item()
        is_free = world.is_free if isinstance(world, HasMap) else None
        unrolled = open_loop(model, render, held_out, chunks, 512, is_free, seed)
        ends = (min(chunks, 20 // chunk) - 1, -1)
        open_loop_error = [unrolled[index].error for index in ends]
        violations = unrolled[-1].violations
    success, unknown = None, "the environment shows no desired_goal" if env else "no environment"
    if episodes and "desired_goal" in entries:
        kwargs = {**agent.env_ref.kwargs, **held_out.metadata.get("env_kwargs", {})}
        success, unknown = planned(agent, kwargs, range(seed, seed + episodes))
    collapse = collapse_stats(latents.flatten(0, 1))
    return Diagnostics(
        state_r2=state_r2,
        position_error=position_error,
        layout_error=layout_error,
        rank_correlation=correlation,
        rank_correlations=correlations,
        open_loop_error=open_loop_error,
        standing_still=standing_still,
        violations=violations,
        collapse=collapse,
        success=success,
        success_unknown=unknown if episodes else "no episodes were planned",
        warnings=[*warnings(state_r2, standing_still, collapse)],
    )


def warnings(
    state_r2: dict[str, float], standing_still: dict[str, float], collapse: CollapseStats
) -> Iterator[str]:
    """What a model has not learnt, in words; see `Diagnostics`."""
    if collapse.collapsed:
        yield collapse.collapsed
    missing = sorted((r2, name) for name, r2 in state_r2.items() if r2 < MISSING)
    if missing:
        worst = missing[:NAMED]
        names = ", ".join(name for _, name in worst)
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        yield (
            f"{names}{more} {'is' if len(missing) == 1 else 'are'} not in the latent: R2 "
            f"{', '.join(f'{r2:.2f}' for r2, _ in worst)}; train longer, raise the weight of "
            "window_contrast, or show it (history for speeds, larger images for small things)"
        )
    steps, ratio = [*standing_still.items()][-1]
    if ratio >= 1.0:
        yield (
            f"imagining {steps} steps is no better than predicting no change: error "
            f"{ratio:.2f} times as large; train longer, or see whether the data's actions matter"
        )


def planned(agent: JEPAAgent, kwargs: dict[str, Any], seeds: range) -> tuple[float | None, str]:
    """The success rate of planned episodes, None if unknown, and what is to be said about it.

    Whatever an episode raises is told and does not end a training.
    """
    try:
        played = play(agent, partial(agent.env_ref.make, **kwargs), seeds)
    except SuccessUnknown as error:
        return None, str(error)
    except Exception as error:
        logger.debug("the first of the held-out episodes raised", exc_info=error)
        return None, f"every episode raised {type(error).__name__}: {error}"
    raised = [episode for episode in played if episode.error]
    said = f"{len(raised)} of {len(played)} episodes raised and count as failures" if raised else ""
    first = f", the first {raised[0].error}" if raised else ""
    return float(np.mean([episode.success for episode in played])), said + first


def r_squared(guess: Tensor, truth: Tensor) -> list[float | None]:
    """R2 of guesses (N, S) for each column; None where the truth (N, S) is constant."""
    residual = (guess - truth).double().square().mean(dim=0)
    spread = truth.double().var(dim=0, correction=0)
    least = 1e-12 * truth.double().square().mean(dim=0)
    pairs = zip(residual.tolist(), spread.tolist(), least.tolist(), strict=True)
    return [1.0 - error / var if var > small else None for error, var, small in pairs]


def spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    """Rank correlation of two arrays (N,), or None of fewer than three pairs."""
    if len(first) < 3:
        return None
    ranks = np.stack([np.argsort(np.argsort(values)) for values in (first, second)])
    return float(np.asarray(np.corrcoef(ranks))[0, 1])


def ridge(known: Tensor, targets: Tensor, asked: Tensor, weight: float = RIDGE) -> Tensor:
    """Predictions at inputs `asked` (M, D) of ridge regression on `known` inputs (N, D).

    Without the ridge, collinear features would amplify rounding errors.
    """
    mean, std, middle = known.mean(dim=0), known.std(dim=0).clamp_min(1e-6), targets.mean(dim=0)
    known, asked = (known - mean) / std, (asked - mean) / std
    gram = known.T @ known
    gram.diagonal().add_(weight * len(known))
    return asked @ torch.linalg.solve(gram, known.T @ (targets - middle)) + middle
