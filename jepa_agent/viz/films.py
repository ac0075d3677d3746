"""Films of episodes, as the world itself renders them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from ..agent.agent import JEPAAgent
from ..evaluation.episodes import Success
from ..worlds.reference import EnvRef
from .videos import STEPS_A_SECOND, VideoWriter


def filmed(env_ref: EnvRef, **kwargs: Any) -> gym.Env:
    """A world that renders frames; more arguments are its constructor's.

    Raises:
        ValueError: if it renders none.
    """
    if "rgb_array" not in env_ref.make().metadata["render_modes"]:
        raise ValueError(f"{env_ref.id} must render rgb_array to be shown, it does not")
    return env_ref.make(render_mode="rgb_array", **kwargs)


def film(
    agent: JEPAAgent,
    env: gym.Env,
    seeds: Iterable[int],
    path: Path,
    success: Success | None = None,
) -> None:
    """Play an episode per seed, until its goal is reached, into a video.

    Args:
        agent: plays.
        env: renders frames (H, W, 3), all of one size.
        seeds: of the episodes.
        path: ends in .gif or .mp4.
        success: whether an observation with its info counts as success; None for the info's
            `is_success`, or `success`.
    """
    with VideoWriter(path, STEPS_A_SECOND) as writer:
        for seed in seeds:
            (observation, info), state, steps, done = env.reset(seed=seed), None, 0, False
            reached = False
            while not (done or reached):
                action, state = agent.act(observation, state)
                observation, _, terminated, truncated, info = env.step(action)
                writer.add(np.asarray(env.render()))
                steps, done = steps + 1, terminated or truncated
                known = info.get("is_success", info.get("success", False))
                reached = bool(success(observation, info) if success else known)
            print(f"seed {seed}: {steps} steps{', goal reached' if reached else ''}")
    print(f"see {path}")
