"""The learning signal: pure functions of tensors. The caller weights, detaches and logs.

Prediction, variance, covariance, temporal similarity and inverse dynamics are those of EB-JEPA
(arXiv 2602.03604), after VICReg (2105.04906) and PLDM (2502.14819); the value-shaped distance is
that of HILP and of value-guided planning with JEPAs (2601.00844); the episode's context is
identified by InfoNCE (1807.03748).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def prediction(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over all elements of predicted and true latents (..., D)."""
    return F.mse_loss(predicted, target)


def variance(latents: Tensor) -> Tensor:
    """Hinge that keeps every feature's standard deviation at 1 or more (VICReg, eq. 1).

    Args:
        latents: (N, D), time folded into the batch.
    """
    return F.relu(1.0 - torch.sqrt(latents.var(dim=0) + 1e-4)).mean()


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


def context(embedding: Tensor, remembered: Tensor, which: Tensor, temperature: float) -> Tensor:
    """InfoNCE: every frame must find its own context among all of the data.

    Contexts are compared by what is remembered of each (a memory bank, 1805.01978), so that the
    nearest of them, which are the hardest to tell apart, are there in every batch.

    Args:
        embedding: unit vectors (G, ..., E) of frames in G contexts.
        remembered: unit vectors (C, E) of all contexts, or zeros of those not seen yet.
        which: (G,), the contexts' numbers.
        temperature: of the softmax over contexts.
    """
    similarity = embedding @ remembered.T / temperature  # (G, ..., C)
    label = which.reshape(-1, *[1] * (embedding.ndim - 2)).expand(embedding.shape[:-1])
    return F.cross_entropy(similarity.flatten(0, -2), label.flatten())


def expectile_value(
    states: Tensor,
    goals: Tensor,
    next_states: Tensor,
    target_goals: Tensor,
    is_goal: Tensor,
    discount: float,
    expectile: float,
) -> Tensor:
    """Expectile regression of V(s, g) = -|phi(s) - phi(g)| on its Bellman target, without rewards.

    The target is `-1 + discount * V(s', g)` from the target embedding, and 0 where the state is
    the goal. An expectile near 1 takes the best of the actions seen (IQL, 2110.06169).

    Args:
        states: phi of states (G, S, E), in G groups of one layout each.
        goals: phi of goals (G, M, E); every state of a group meets every goal of it.
        next_states: target embedding of the successors (G, S, E).
        target_goals: target embedding of the goals (G, M, E).
        is_goal: boolean, broadcastable to (G, S, M): the state itself is the goal.
        discount: per chunk.
        expectile: in (0.5, 1).
    """
    value = -pairwise_distance(states, goals)
    target = -1.0 - discount * pairwise_distance(next_states, target_goals)
    target = torch.where(is_goal, torch.zeros_like(target), target)
    error = target.detach() - value
    weight = torch.where(error > 0, expectile, 1.0 - expectile)
    return (weight * error.square()).mean()


def pairwise_distance(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distances (G, S, M) of all pairs of (G, S, E) and (G, M, E)."""
    square = (
        first.square().sum(dim=-1, keepdim=True)
        + second.square().sum(dim=-1).unsqueeze(-2)
        - 2.0 * first @ second.transpose(-1, -2)
    )
    return torch.sqrt(square.clamp_min(1e-6))
