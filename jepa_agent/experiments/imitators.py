"""Cheap rivals on the same offline data: goal-conditioned cloning and inverse dynamics."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource, Renderer, WindowSampler
from ..envs.episodes import Observation
from ..models.encoders import PatchPoolConfig
from ..models.layers import mlp
from ..models.world_model import WorldModel, WorldModelConfig

LATENT_DIM = 256
WIDTH, DEPTH = 512, 3
PAIRS = 512
"""Pairs of a frame and a goal per batch."""


class Imitator(nn.Module):
    """A policy (frame, goal) -> action, trained on where trajectories went.

    Behaviour cloning (goal-conditioned supervised learning, 1912.06088) trains its own encoder and
    takes any later frame of the episode for the goal. Inverse dynamics reads the latents of a
    trained world model, which stays frozen, and takes frames at most `reach` steps later.

    Args:
        model: a trained world model whose encoder is used, frozen; None for one of its own.
    """

    def __init__(self, model: WorldModel | None = None) -> None:
        super().__init__()
        self.frozen = model is not None
        self.model = model or WorldModel(
            WorldModelConfig(latent_dim=LATENT_DIM, encoder=PatchPoolConfig())
        )
        shape = self.model.config
        self.head = mlp(2 * shape.latent_dim, WIDTH, DEPTH, shape.action_dim)

    def forward(self, frames: Tensor, goals: Tensor) -> Tensor:
        """Actions (B, A) of uint8 images (B, H, W, C)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            latents = self.model.encode(torch.stack([frames, goals], dim=1))
        return self.head(latents.flatten(1))

    def size(self) -> int:
        """How many parameters it uses."""
        used = (self.model.encoder, self.head)
        return sum(p.numel() for module in used for p in module.parameters())

    @torch.no_grad()
    def predict(
        self,
        observation: Observation,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        """Actions for one observation or a batch of them, as Stable-Baselines3's policies do."""
        single = observation["observation"].ndim == 3
        frames, goals = (
            torch.as_tensor(observation[key], device=self.model.observation_mean.device)
            for key in ("observation", "desired_goal")
        )
        if single:
            frames, goals = frames[None], goals[None]
        actions = self(frames, goals).clamp(-1, 1).cpu().numpy()
        return (actions[0] if single else actions), state


def imitate(
    trajectories: Trajectories,
    render: Renderer,
    steps: int,
    reach: int,
    model: WorldModel | None = None,
    seed: int = 0,
    on_step: Callable[[int], None] | None = None,
    device: torch.device | str = "cpu",
) -> tuple[Imitator, float]:
    """Train an imitator.

    Args:
        trajectories: the data.
        render: the environment's batched renderer.
        steps: of AdamW, with a cosine schedule from 1e-3.
        reach: the goal is a frame 1 to `reach` steps later.
        model: see `Imitator`.
        seed: of parameters and data order.
        on_step: called with the number of steps done.
        device: where to train, and where the policy stays.

    Returns:
        The policy, and the seconds that it took.
    """
    device = torch.device(device)
    generator = torch.Generator(device).manual_seed(seed)
    sampler = WindowSampler(trajectories, 1, reach, device)
    source = ObservationSource(trajectories, render, device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        policy = Imitator(model).to(device)
    if model is None:
        batch = sampler.draw(PAIRS, 1, generator)
        seen = source.at(batch.frame_index[..., 0])
        pixels = seen.flatten(0, -2).float()
        policy.model.observation_mean.copy_(pixels.mean(0))
        policy.model.observation_std.copy_(pixels.std(0).clamp_min(1.0))
    learned = policy.head if policy.frozen else policy
    optimizer = torch.optim.AdamW(learned.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    began = time.perf_counter()
    for step in range(steps):
        batch = sampler.draw(PAIRS, 1, generator)
        later = torch.randint(1, reach + 1, (PAIRS,), generator=generator, device=device)
        ends = torch.stack([torch.zeros_like(later), later], dim=1)  # (B, 2)
        pick = torch.arange(PAIRS, device=device)[:, None], 0, ends
        images = source.at(batch.frame_index[pick])
        actions = policy(images[:, 0], images[:, 1])
        loss = nn.functional.mse_loss(actions, batch.actions[:, 0, 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step + 1)
    return policy.eval(), time.perf_counter() - began
