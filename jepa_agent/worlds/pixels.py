"""Rendered frames as observations, where an environment shows something else."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs


class RenderedObservation(gym.Wrapper, RecordConstructorArgs):
    """Shows what the environment renders; the vector that it showed is kept as `info["state"]`.

    Of a dict observation, the entry "observation" is kept. Goals that the environment shows are
    left out, since they are no frames: give one by `agent.set_goal(frame)`.

    Args:
        env: built with `render_mode="rgb_array"`.
        size: height and width of the frames, to which they are scaled; 0 leaves them as they are.

    Raises:
        ValueError: if it renders no frames.
    """

    def __init__(self, env: gym.Env, size: int = 0) -> None:
        RecordConstructorArgs.__init__(self, size=size)
        gym.Wrapper.__init__(self, env)
        if env.render_mode != "rgb_array":
            raise ValueError(
                "frames need an environment built with render_mode='rgb_array', got "
                f"{env.render_mode!r}; rebuild it"
            )
        if size < 0:
            raise ValueError(f"size must be at least 0, got {size}; 0 leaves frames as they are")
        self._size = size
        env.reset()
        self.observation_space = gym.spaces.Box(0, 255, self._frame().shape, np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; returns its first frame."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._frame(), _with_state(info, observation)

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        """Take a step; returns the frame after it."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._frame(), reward, terminated, truncated, _with_state(info, observation)

    def _frame(self) -> np.ndarray:
        frame = np.asarray(self.env.render())
        if frame.dtype != np.uint8 or frame.ndim != 3:
            raise ValueError(
                f"a frame must be uint8 (H, W, C), got {frame.dtype} {frame.shape}; mend `render`"
            )
        if self._size:
            from PIL import Image

            image = Image.fromarray(frame).resize((self._size, self._size), Image.Resampling.BOX)
            frame = np.asarray(image)
        return frame


def _with_state(info: dict[str, Any], observation: Any) -> dict[str, Any]:
    if isinstance(observation, dict):
        observation = observation.get("observation")
    is_vector = np.ndim(observation) == 1
    return {"state": np.asarray(observation), **info} if is_vector else info
