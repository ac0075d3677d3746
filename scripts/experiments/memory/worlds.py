"""Worlds where one frame is not a state.

A frame (..., F) is the agent's place (2 numbers, 0 where it is not shown), whether it is shown, and
2 numbers about the world. Places are in units of 16 pixels from the middle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jepa_agent.envs import physics
from jepa_agent.envs.collection import CollectConfig, collect
from jepa_agent.envs.physics import CENTRE, HIGH, LOW, MARGIN, Layout
from jepa_agent.envs.policies import uniform_disc
from jepa_agent.envs.tasks import TwoRoomsConfig

FRAME, ACTION = 5, 2
UNIT = 16.0
"""Pixels."""
FRICTION, PUSH = 0.9, 0.3
"""The share of its velocity that the mass keeps in a step, and what an action adds in pixels."""


class Episodes(NamedTuple):
    """E episodes of T steps."""

    states: Tensor
    """(E, T + 1, S): pixels, and of a mass pixels a step."""
    actions: Tensor
    """(E, T, A)."""
    walls: Tensor
    """(E, 3): see `Layout`."""
    frames: Tensor
    """(E, T + 1, F)."""


@dataclass(frozen=True)
class World:
    """A point that is moved in a square, and what is seen of it.

    Args:
        layouts: of Two Rooms, to learn in and to be tested in; none for a mass in an open square.
        every: a place is shown in every so manieth frame.
        told: whether the first frame tells where the wall and its door are.
    """

    layouts: tuple[str, str] | None = None
    every: int = 1
    told: bool = False

    def episodes(self, count: int, steps: int, seed: int, test: bool = False) -> Episodes:
        """Walks of the data's behaviour: `mixed` in Two Rooms, else held random pushes."""
        if self.layouts is None:
            states, actions, walls = glides(count, steps, np.random.default_rng((seed, test)))
        else:
            config = CollectConfig(
                "mixed", self.layouts[test], count, steps, 1, seed=2 * seed + test
            )
            states, actions, walls, *_ = collect(config)
        states, actions, walls = map(torch.as_tensor, (states, actions, walls))
        return Episodes(states, actions, walls, self.frames(states, walls))

    def frames(self, states: Tensor, walls: Tensor, first: int = 0) -> Tensor:
        """What is seen (B, T, F) of states (B, T, S), the earliest of which has the number `first`.

        Args:
            states: (B, T, S).
            walls: (B, 3).
            first: steps since the episode's beginning.
        """
        times = first + torch.arange(states.shape[1])
        shown = (times % self.every == 0).float()[:, None].expand(len(states), -1, 1)
        numbers = ((walls[:, None, :2] - CENTRE) / UNIT).expand(-1, len(times), -1)
        about = numbers * (self.told & (times == 0))[:, None]
        return torch.cat([places(states) * shown, shown, about], dim=-1)

    def step(self, states: Tensor, actions: Tensor, walls: Tensor, bounces: Tensor) -> Tensor:
        """States (B, S) after actions (B, A), and bounces (B, 2) where they meet walls."""
        if self.layouts is None:
            return glide(states, actions)
        length = TwoRoomsConfig.step_length
        return physics.step(states, length * actions, Layout.from_array(walls), bounces)


WORLDS = {
    "hidden": World(("fixed", "fixed"), every=3),
    "velocity": World(),
    "wall": World(("train", "test"), told=True),
}


def places(states: Tensor) -> Tensor:
    """Places (..., 2) as frames show them of states (..., S)."""
    return (states[..., :2] - CENTRE) / UNIT


def glide(states: Tensor, actions: Tensor) -> Tensor:
    """A mass's states (B, 4) after pushes (B, A); the border stops what moves across it."""
    velocity = FRICTION * states[:, 2:] + PUSH * actions
    place = states[:, :2] + velocity
    inside = place.clamp(LOW + MARGIN, HIGH - MARGIN)
    return torch.cat([inside, velocity * (inside == place)], dim=-1)


def glides(
    count: int, steps: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A mass under random pushes, each held for 7 steps on average.

    Returns:
        States (E, T + 1, 4), actions (E, T, A), and an empty place for walls (E, 3).
    """
    drawn = np.concatenate(
        [rng.uniform(LOW + 4, HIGH - 4, (count, 2)), rng.uniform(-1.5, 1.5, (count, 2))], axis=1
    )
    states, actions = [torch.as_tensor(drawn.astype(np.float32))], []
    push = uniform_disc(rng, count)
    for _ in range(steps):
        renew = rng.random(count) < 1 / 7
        push = np.where(renew[:, None], uniform_disc(rng, count), push).astype(np.float32)
        actions.append(push)
        states.append(glide(states[-1], torch.as_tensor(push)))
    walls = np.zeros((count, 3), np.float32)
    return torch.stack(states, 1).numpy(), np.stack(actions, 1), walls


def numbers(count: int, length: int, generator: torch.Generator) -> Tensor:
    """Frames (B, T, F) of a world of pure memory: two numbers shown once, then distractors."""
    frames = torch.zeros(count, length, FRAME)
    frames[:, 0, :2] = torch.randn(count, 2, generator=generator)
    frames[:, 0, 2] = 1
    frames[:, 1:, 3:] = torch.randn(count, length - 1, 2, generator=generator)
    return frames
