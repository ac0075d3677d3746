"""Two Rooms with distractors in its pictures: things that move and that no action can change.

The world of `docs/experiments/distractors.md`. A distractor depends on the episode's seed and the
step alone, so that pictures are rendered from compact states (x, y, seed, step).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from ..data.trajectories import Trajectories
from ..envs import CollectConfig, TwoRoomsEnv, collect
from ..presets import QUICK
from ..training.config import LossWeights

DISTRACTED = replace(
    QUICK,
    training=replace(
        QUICK.training,
        steps=700,
        windows_per_layout=16,
        detach_distance=True,
        weights=LossWeights(variance=1.0, covariance=0.5, inverse_dynamics=50.0, distance=1.0),
    ),
)
"""`quick` for worlds with things that no action moves, at a sixth of its frames."""

SQUARE = slice(24, 40), slice(44, 60)
"""Rows and columns of the square of noise."""
BLOBS, BLOB_STD, BLOB_PEAK = 3, 3.0, 200.0
"""Number of blobs, their standard deviation in pixels, and their brightness."""
PRIME, MULTIPLIER = 2_147_483_647, 48_271
"""Constants of a generator of pseudo-random numbers, here a hash."""
GOAL_STEP = 100_000
"""The step whose distractors goals show: a time that is not the episode's."""


class DistractedRooms(TwoRoomsEnv):
    """Two Rooms whose pictures are those of `render_states`, of states (4,), without a distractor.

    Args:
        render_mode: as in Two Rooms.
        config: as in Two Rooms; observations are pixels.
    """

    state_names = ("x", "y", "seed", "step")

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:
        super().__init__(render_mode, **config)
        self._clock = np.zeros(2, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode, with the distractor of its seed."""
        self._clock = np.array([self._clock[0] + 1 if seed is None else seed % 2**20, 0])
        return super().reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Move the agent, and the distractor."""
        self._clock = self._clock + np.array([0, 1])
        return super().step(action)

    @property
    def state(self) -> np.ndarray:
        """(4,): the agent's position, the episode's seed and the step."""
        return np.concatenate([super().state, self._clock]).astype(np.float32)

    def _observation(self) -> Any:
        seed, _ = self._clock
        goal = np.array([*self.goal, seed, GOAL_STEP], dtype=np.float32)
        shown = self.render_states(np.stack([self.state, goal]), self.layout)
        return {**super()._observation(), "observation": shown[0], "desired_goal": shown[1]}

    @staticmethod
    def render_states(states: Any, layout: Any) -> Any:
        """Pictures (..., 65, 65, 3) of states (..., 4)."""
        return rooms(states, layout)

    @staticmethod
    def is_free(states: Any, layout: Any) -> Any:
        """As in Two Rooms, of states (..., 4)."""
        return TwoRoomsEnv.is_free(states[..., :2], layout)

    @staticmethod
    def shortest_path(states: Any, goals: Any, layout: Any) -> Any:
        """As in Two Rooms, of states (..., 4)."""
        return TwoRoomsEnv.shortest_path(states[..., :2], goals[..., :2], layout)


class NoisyRooms(DistractedRooms):
    """A square of green and blue noise, drawn anew at each step."""

    @staticmethod
    def render_states(states: Any, layout: Any) -> Any:
        """Pictures with the square."""
        return with_noise(states, layout)


class BlobRooms(DistractedRooms):
    """Three cyan blobs that move slowly on smooth paths."""

    @staticmethod
    def render_states(states: Any, layout: Any) -> Any:
        """Pictures with the blobs."""
        return with_blobs(states, layout)


WORLDS = {"none": DistractedRooms, "noise": NoisyRooms, "blobs": BlobRooms}
for world in WORLDS.values():
    gym.register(f"{world.__name__}-v0", world, max_episode_steps=200)


def distracted(config: CollectConfig, kind: str) -> Trajectories:
    """Trajectories of one of `WORLDS`, whose pictures are rendered when needed."""
    states, actions, layout, metadata, *_ = collect(config)
    episodes, length = states.shape[:2]
    seed = np.arange(episodes, dtype=np.float32)[:, None] + config.seed
    step = np.arange(length, dtype=np.float32)[None]
    clock = np.stack(np.broadcast_arrays(seed, step), axis=-1)
    metadata = {
        **metadata,
        "env_id": f"{__name__}:{WORLDS[kind].__name__}-v0",
    }
    return Trajectories.from_rollouts(
        np.concatenate([states, clock], axis=-1), actions, layout, metadata
    )


def rooms(states: Any, layout: Any) -> Any:
    """Pictures (..., 65, 65, 3) of states (..., 4), without a distractor."""
    return TwoRoomsEnv.render_states(states[..., :2], layout)


def with_noise(states: Any, layout: Any) -> Any:
    """Pictures with a square of noise."""
    images = torch.as_tensor(rooms(states, layout))
    seed, step = torch.as_tensor(states)[..., 2:].long().unbind(dim=-1)
    height, width = (each.stop - each.start for each in SQUARE)
    pixel = torch.arange(height * width, device=images.device)
    mixed = seed[..., None] * 7_919 + step[..., None] * 104_729 + pixel * 1_299_709 + 1
    noise = (_hash(mixed) >> 8).remainder(256).unflatten(-1, (height, width))
    images[..., SQUARE[0], SQUARE[1], 1:] = noise[..., None].to(torch.uint8)
    return _like(images, states)


def with_blobs(states: Any, layout: Any) -> Any:
    """Pictures with blobs on paths of their own, at about half a pixel a step."""
    images = torch.as_tensor(rooms(states, layout))
    seed, step = torch.as_tensor(states)[..., 2:].double().unbind(dim=-1)
    numbers = torch.arange(4 * BLOBS, device=images.device)
    drawn = _hash(seed[..., None].long() * 7_919 + numbers * 104_729 + 1) / PRIME  # (..., 4 * B)
    speed, phase = drawn.unflatten(-1, (2, 2 * BLOBS)).unbind(dim=-2)
    angle = (0.01 + 0.02 * speed) * step[..., None] + 2 * torch.pi * phase
    place = (32.0 + 25.0 * angle.sin()).unflatten(-1, (BLOBS, 2)).float()  # (..., B, 2)
    pixel = torch.arange(images.shape[-2], device=images.device)
    profile = (-0.5 * ((pixel - place[..., None]) / BLOB_STD) ** 2).exp()  # (..., B, 2, 65)
    shown = profile[..., 1, :, None] * profile[..., 0, None, :]  # (..., B, 65, 65)
    light = (BLOB_PEAK * shown.amax(dim=-3)).to(torch.uint8)
    images[..., 1:] = torch.maximum(images[..., 1:], light[..., None])
    return _like(images, states)


def _hash(numbers: Tensor) -> Tensor:
    """Pseudo-random integers in [0, PRIME) of integers."""
    for _ in range(3):
        numbers = (numbers % PRIME) * MULTIPLIER % PRIME
        numbers = numbers ^ (numbers >> 15)
    return numbers % PRIME


def _like(images: Tensor, states: Any) -> Any:
    return images if isinstance(states, Tensor) else images.numpy()
