"""The learning signal: pure functions of tensors. The caller weights, detaches and logs.

Prediction, variance, covariance, temporal similarity and inverse dynamics are those of EB-JEPA
(arXiv 2602.03604), after VICReg (2105.04906) and PLDM (2502.14819); path lengths are learned as
in quasimetric reinforcement learning (2304.01203), and layouts are distinguished by prototypes
(1703.05175). They are small differences of large numbers, so `in_float32` keeps autocast out.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def in_float32(loss: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss of tensors, computed in float32 or better wherever it is called from.

    Within autocast, products would be taken in bfloat16 although their factors are float32.
    """

    @functools.wraps(loss)
    def exact(*arguments: Any) -> Tensor:
        with torch.autocast(arguments[0].device.type, enabled=False):
            return loss(*map(_widened, arguments))

    return exact


def _widened(argument: Any) -> Any:
    if not isinstance(argument, Tensor) or not argument.is_floating_point():
        return argument
    return argument.to(torch.promote_types(argument.dtype, torch.float32))


def prediction(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over all elements of predicted and true latents (..., D)."""
    return F.mse_loss(predicted, target)


def variance(latents: Tensor) -> Tensor:
    """Hinge that keeps every feature's standard deviation at 1 or more (VICReg, eq. 1).

    Args:
        latents: (N, D), time folded into the batch.
    """
    return F.relu(1.0 - torch.sqrt(latents.var(dim=0) + 1e-4)).mean()


@in_float32
def covariance(latents: Tensor) -> Tensor:
    """Mean squared off-diagonal element of the feature covariance (VICReg, eq. 3-4).

    Args:
        latents: (N, D), time folded into the batch.
    """
    count, features = latents.shape
    centred = latents - latents.mean(dim=0)
    matrix = centred.T @ centred / (count - 1)
    off_diagonal = matrix.square().sum() - matrix.diagonal().square().sum()
    return off_diagonal / (features * (features - 1))


@in_float32
def sigreg(latents: Tensor, directions: Tensor) -> Tensor:
    """Distance of the latents from an isotropic Gaussian (SIGReg of LeJEPA, 2511.08544).

    The Epps-Pulley statistic of one-dimensional projections: the squared difference of their
    empirical characteristic function from that of a standard normal, under a Gaussian window.

    Args:
        latents: (N, D), time folded into the batch.
        directions: (D, M), on which to project; they are scaled to unit length.
    """
    projected = latents @ F.normalize(directions, dim=0)  # (N, M)
    frequency = torch.linspace(-5.0, 5.0, 17, device=latents.device, dtype=latents.dtype)
    window = torch.exp(-0.5 * frequency**2)  # also the characteristic function itself
    phase = projected[..., None] * frequency  # (N, M, 17)
    difference = (phase.cos().mean(dim=0) - window) ** 2 + phase.sin().mean(dim=0) ** 2
    return len(latents) * torch.trapezoid(difference * window, frequency, dim=-1).mean()


def temporal_similarity(latents: Tensor) -> Tensor:
    """Mean squared change between consecutive latents (..., T, D)."""
    return (latents[..., 1:, :] - latents[..., :-1, :]).square().mean()


def inverse_dynamics(predicted: Tensor, actions: Tensor) -> Tensor:
    """Mean squared error of actions (..., A) predicted from two consecutive latents."""
    return F.mse_loss(predicted, actions)


@in_float32
def contrast(embedding: Tensor, prototypes: Tensor, which: Tensor) -> Tensor:
    """Cross-entropy of recognising a frame's layout among all layouts of the data.

    A softmax over squared distances to the layouts' prototypes (prototypical networks,
    1703.05175). The prototype of a layout is the mean of its frames, and for its own frames the
    mean of the other windows. Layouts outside the batch take part by their stored prototypes (a
    memory bank, 1805.01978), so that the hardest negatives are always there; gradients reach the
    prototypes of the layouts in the batch only.

    Args:
        embedding: (G, R, T, E) of T frames in R >= 2 windows of G layouts.
        prototypes: prototypes (C, E) of all layouts.
        which: (G,), the layouts' numbers.
    """
    groups, windows, frames, _ = embedding.shape
    window = embedding.mean(dim=2)  # (G, R, E)
    everything = window.sum(dim=1)
    others = (everything[:, None] - window) / (windows - 1)
    prototypes = prototypes.index_copy(0, which, everything / windows)

    def closeness(prototype: Tensor, product: Tensor) -> Tensor:
        # minus half the squared distance, without the term that is the same for all layouts
        return product - 0.5 * prototype.square().sum(dim=-1)

    flat = embedding.flatten(0, 2)  # (N, E)
    logits = closeness(prototypes, flat @ prototypes.T)  # (N, C)
    own = closeness(others[:, :, None], (embedding * others[:, :, None]).sum(dim=-1))
    label = which[:, None, None].expand(groups, windows, frames).reshape(-1, 1)
    logits = logits.scatter(1, label, own.reshape(-1, 1))
    return F.cross_entropy(logits, label[:, 0])


def window_contrast(embedding: Tensor) -> Tensor:
    """Cross-entropy of recognising a frame's window among all windows of the batch.

    As `contrast`, with windows in the place of layouts: the prototype of a window is the mean of
    its frames, and for its own frames the mean of the other ones. What changes slowly must be
    identified; no labels are needed.

    Args:
        embedding: (W, T, E) of T >= 2 frames in W windows.
    """
    windows = torch.arange(len(embedding), device=embedding.device)
    nothing = embedding.new_zeros(len(embedding), embedding.shape[-1])
    return contrast(embedding[:, :, None], nothing, windows)


def shortest_path_lengths(steps: Tensor, apart: Tensor, constraint_weight: float) -> Tensor:
    """The largest distance under which no chunk goes further than 1 (QRL, 2304.01203).

    The largest metric in which one chunk of actions covers at most 1 is the shortest path length.
    So pairs are pushed apart, and chunks longer than 1 are penalised: no rewards, no
    bootstrapping, no discount.

    Args:
        steps: learned distances between states one chunk apart.
        apart: learned distances between states of one layout, near and far.
        constraint_weight: weight of the penalty on too long chunks.
    """
    return constraint_weight * F.relu(steps - 1.0).square().mean() - apart.mean()
