"""Measures of a world model from held-out trajectories alone: no states, no rewards, no planning.

Shapes: W windows, T = H + 1 frames a chunk apart, N frames, D latent, A numbers of an action chunk.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource, Renderer
from ..models.world_model import WorldModel
from .collapse import rank_me
from .diagnostics import ridge
from .open_loop import draw_windows, encode_windows, relative_error

PERTURBATION, PERTURBATIONS = 0.02, 8
"""Relative size, and number of pairs, of the perturbations that sharpness averages."""
SLACK = 1e-3
"""Share by which a way must exceed its detour to count as a violation, against rounding."""


@dataclass(frozen=True)
class Measure:
    """What a number says.

    Args:
        meaning: in one line.
        better: which way is better, as far as its source says.
        source: the paper.
    """

    meaning: str
    better: Literal["lower", "higher"]
    source: str


GENERALISATION = "Jiang et al. 2020, Fantastic Generalization Measures, 1912.02178"
UNROLLED = "open-loop error over that of predicting no change"
MEASURES = {
    "prediction_error": Measure(f"{UNROLLED}, mean over the horizon", "lower", "EB-JEPA"),
    "prediction_error_first": Measure(f"{UNROLLED}, after one chunk", "lower", "EB-JEPA"),
    "prediction_error_half": Measure(f"{UNROLLED}, at half of the horizon", "lower", "EB-JEPA"),
    "prediction_error_last": Measure(f"{UNROLLED}, at its end", "lower", "EB-JEPA"),
    "rank_me": Measure(
        "exponential of the entropy of the latents' singular values", "higher",
        "Garrido et al. 2023, RankMe, 2210.02885",
    ),
    "effective_rank": Measure(
        "the same of the eigenvalues of their covariance", "higher",
        "Roy and Vetterli 2007, The Effective Rank",
    ),
    "variance": Measure(
        "mean variance of the latents' components", "higher",
        "Bardes et al. 2022, VICReg, 2105.04906",
    ),
    "inverse_dynamics_error": Measure(
        "variance of actions that ridge regression misses, from two latents a chunk apart",
        "lower", "Pathak et al. 2017, Curiosity, 1705.05363",
    ),
    "straightness": Measure(
        "mean cosine of one change of the latent with the next", "higher",
        "Hénaff et al. 2019, Perceptual straightening of natural videos",
    ),
    "triangle_violations": Measure(
        "share of ways that are longer than with a stop on them", "lower",
        "Wang et al. 2023, Quasimetric RL, 2304.01203",
    ),
    "distance_monotony": Measure(
        "Kendall's tau of the time left on a way with the distance to its end", "higher",
        "Wang et al. 2023, Quasimetric RL, 2304.01203",
    ),
    "distance_calibration": Measure(
        "mean difference from 1 of the distance of a chunk", "lower",
        "Wang et al. 2023, Quasimetric RL, 2304.01203",
    ),
    "gradient_norm": Measure(
        "norm of the gradient of the open-loop error by the predictor's weights", "lower",
        GENERALISATION,
    ),
    "sharpness": Measure(
        "rise of the open-loop error when the predictor's weights are perturbed", "lower",
        GENERALISATION,
    ),
    "predictor_norm": Measure("norm of the predictor's weights", "lower", GENERALISATION),
    "encoder_norm": Measure("norm of the encoder's weights", "lower", GENERALISATION),
}  # fmt: skip
"""What `measure` measures, by name."""


def measure(
    model: WorldModel,
    render: Renderer | None,
    held_out: Trajectories,
    steps: int = 50,
    windows: int = 512,
    seed: int = 0,
) -> dict[str, float]:
    """All `MEASURES` of a model.

    Args:
        model: the world model.
        render: the environment's batched renderer, if it has one.
        held_out: trajectories that the model was not trained on.
        steps: horizon in environment steps, shorter where most episodes are.
        windows: number of windows W.
        seed: seed of the windows and of the perturbations.

    Raises:
        ValueError: if most episodes are shorter than two chunks.
    """
    device, chunk = model.observation_mean.device, model.config.chunk
    longest = int(np.median(np.diff(held_out.offsets))) - 1
    chunks = min(steps, longest) // chunk
    if chunks < 2:
        raise ValueError(
            f"label-free measures need windows of two chunks, {2 * chunk} steps, got {steps} in "
            f"episodes of {longest}; give longer episodes or more steps"
        )
    batch = draw_windows(held_out, chunk, chunks, windows, device, seed)
    model = copy.deepcopy(model).requires_grad_(True)
    with torch.no_grad():
        latents = encode_windows(model, ObservationSource(held_out, render, device), batch)
        actions = batch.actions[:, 0]  # (W, H, K * A)
        imagined = model.rollout(latents[:, 0], actions)
        ways = model.distance(latents[:, :-1], latents[:, -1:].expand_as(latents[:, :-1]))
        starts = model.distance(latents[:, :1].expand_as(latents[:, 1:]), latents[:, 1:])
        single = model.distance(latents[:, :-1], latents[:, 1:])
    errors = relative_error(imagined, latents)

    def loss() -> Tensor:
        return open_loop_loss(model.rollout(latents[:, 0], actions), latents)

    weights = [*model.predictor.parameters()]
    frames = latents.flatten(0, 1)
    return {
        "prediction_error": errors.mean().item(),
        "prediction_error_first": errors[0].item(),
        "prediction_error_half": errors[(chunks - 1) // 2].item(),
        "prediction_error_last": errors[-1].item(),
        "rank_me": rank_me(frames),
        "effective_rank": effective_rank(frames),
        "variance": variance(frames),
        "inverse_dynamics_error": inverse_dynamics_error(latents, model.standardise(actions)),
        "straightness": straightness(latents),
        "triangle_violations": triangle_violations(starts, ways),
        "distance_monotony": monotony(ways),
        "distance_calibration": calibration(single * model.config.learned_chunk / chunk),
        "gradient_norm": gradient_norm(loss, weights),
        "sharpness": sharpness(loss, weights, PERTURBATION, PERTURBATIONS, seed),
        "predictor_norm": parameter_norm(model.predictor),
        "encoder_norm": parameter_norm(model.encoder),
    }


def open_loop_loss(imagined: Tensor, latents: Tensor) -> Tensor:
    """Squared error of imagined latents (W, H, D) over that of predicting no change.

    Args:
        imagined: what was imagined from the first of the latents.
        latents: true latents (W, H + 1, D).
    """
    still = (latents[:, :1] - latents[:, 1:]).square().mean()
    return (imagined - latents[:, 1:]).square().mean() / still.clamp_min(1e-12)


def effective_rank(latents: Tensor) -> float:
    """The exponential of the entropy of the covariance's eigenvalues, of latents (N, D).

    Roy and Vetterli (2007), equation 3.
    """
    values = torch.linalg.svdvals((latents - latents.mean(dim=0)).double()).square()
    share = values / values.sum().clamp_min(1e-30)
    return float(torch.exp(-torch.xlogy(share, share).sum()))


def variance(latents: Tensor) -> float:
    """The mean variance of the components of latents (N, D)."""
    return latents.var(dim=0).mean().item()


def inverse_dynamics_error(latents: Tensor, actions: Tensor) -> float:
    """The share of the actions' variance that pairs of latents do not explain linearly.

    Ridge regression is fitted to half of the windows and tested on the others: 0 is perfect, 1 no
    better than the mean.

    Args:
        latents: (W, H + 1, D).
        actions: (W, H, A), in units of their deviation.
    """
    pairs = torch.cat([latents[:, :-1], latents[:, 1:]], dim=-1).cpu().double()  # (W, H, 2D)
    targets, half = actions.detach().cpu().double(), len(pairs) // 2
    known, told, asked = (x.flatten(0, 1) for x in (pairs[:half], targets[:half], pairs[half:]))
    truth = targets[half:].flatten(0, 1)
    missed = (ridge(known, told, asked) - truth).square().sum()
    return (missed / (truth - truth.mean(dim=0)).square().sum().clamp_min(1e-12)).item()


def straightness(latents: Tensor) -> float:
    """The mean cosine of successive changes of latents (W, T, D): 1 is a straight line."""
    changes = latents.diff(dim=1)
    return torch.cosine_similarity(changes[:, :-1], changes[:, 1:], dim=-1).mean().item()


def triangle_violations(starts: Tensor, ways: Tensor) -> float:
    """The share of frames on the way whose detour is shorter than the way itself.

    Args:
        starts: distances (W, H) from the first frame to the others.
        ways: distances (W, H) from all frames but the last to the last one.
    """
    detours = starts[:, :-1] + ways[:, 1:]
    return (ways[:, :1] > (1.0 + SLACK) * detours).float().mean().item()


def monotony(ways: Tensor) -> float:
    """Kendall's tau of the time left with the distances (W, H) of successive frames to a last one.

    1: every frame is nearer to the end than those before it; ties count as nothing.
    """
    falls = torch.sign(ways[:, :, None] - ways[:, None, :])  # (W, earlier, later)
    earlier, later = torch.triu_indices(ways.shape[1], ways.shape[1], offset=1)
    return falls[:, earlier, later].mean().item()


def calibration(distances: Tensor) -> float:
    """The mean difference from 1 of distances (...) between frames that are a chunk apart."""
    return (distances - 1.0).abs().mean().item()


def gradient_norm(loss: Callable[[], Tensor], weights: Sequence[Tensor]) -> float:
    """The norm of the gradient of a loss by weights."""
    gradients = torch.autograd.grad(loss(), weights, allow_unused=True)
    return _norm([gradient for gradient in gradients if gradient is not None])


@torch.no_grad()
def sharpness(
    loss: Callable[[], Tensor], weights: Sequence[Tensor], scale: float, draws: int, seed: int
) -> float:
    """The mean rise of a loss under normal perturbations of its weights, relative to their size.

    Each is taken with both signs, so that the slope cancels and the curvature remains.

    Args:
        loss: a function of the weights; they are changed in place, and restored.
        weights: what is perturbed.
        scale: deviation of the perturbation of a weight, as a share of its magnitude.
        draws: number of pairs of perturbations.
        seed: seed of the perturbations.
    """
    generator, before = torch.Generator().manual_seed(seed), [each.clone() for each in weights]
    level, rises = loss().item(), []
    for _ in range(draws):
        noise = [
            scale * torch.randn(each.shape, generator=generator, dtype=each.dtype)
            for each in weights
        ]
        for sign in (1.0, -1.0):
            for each, old, change in zip(weights, before, noise, strict=True):
                each.copy_(old * (1.0 + sign * change.to(old.device)))
            rises.append(loss().item() - level)
    for each, old in zip(weights, before, strict=True):
        each.copy_(old)
    return float(np.mean(rises))


def parameter_norm(module: nn.Module) -> float:
    """The Euclidean norm of all parameters of a module."""
    return _norm([each.detach() for each in module.parameters()])


def _norm(tensors: Sequence[Tensor]) -> float:
    return sum(each.double().square().sum().item() for each in tensors) ** 0.5
