"""Drive the agent through Two Rooms yourself: arrow keys, or hold the mouse where it should go.

$ jepa-agent play --layout random
"""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np

import jepa_agent  # noqa: F401  registers the environments

from ..envs.drawing import Window, from_array, from_screen, has_display

FPS = 60
SPEED = 0.2
"""Share of a full step per frame, slow enough for hands."""


@dataclass(frozen=True)
class Args:
    """What to play."""

    layout: str = "random"
    """random, fixed, train, test or ood."""
    seed: int = 0


def main(args: Args) -> None:
    if not has_display():
        raise SystemExit("error: playing needs a display, and there is none; run it on a desktop")
    import pygame

    env = gym.make("TwoRooms-v0", layout=args.layout, obs_type="state", render_mode="rgb_array",
                   max_episode_steps=10**9)  # fmt: skip
    _, info = env.reset(seed=args.seed)
    window = Window("TwoRooms-v0: arrow keys or mouse, escape to leave", FPS)
    goals = 0
    while window.show(from_array(np.asarray(env.render()))):
        keys = pygame.key.get_pressed()
        action = np.array(
            [
                keys[pygame.K_RIGHT] - keys[pygame.K_LEFT],
                keys[pygame.K_DOWN] - keys[pygame.K_UP],
            ],
            dtype=np.float32,
        )
        if pygame.mouse.get_pressed()[0]:
            cursor = from_screen(np.array(pygame.mouse.get_pos(), dtype=np.float32))
            action = cursor - info["position"]
        length = float(np.linalg.norm(action))
        action *= SPEED / max(length, 1.0)
        _, _, reached, _, info = env.step(action)
        if reached:
            goals += 1
            _, info = env.reset()
    window.close()
    print(f"{goals} goals reached")
