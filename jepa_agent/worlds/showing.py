"""The way in which an environment shows observations of a given shape."""

from __future__ import annotations

import gymnasium as gym

from .reference import EnvRef, rendered


def showing(name: str, shape: tuple[int, ...], history: int = 1) -> EnvRef:
    """An environment that shows observations of this shape, by its frames if it must.

    Args:
        name: of a registered environment, `module:Name-v0`.
        shape: of one observation, (S,) or (H, W, C).
        history: frames per observation; see `stack_frames`.

    Raises:
        ValueError: if it shows other observations, and renders no frames of this shape.
    """
    plain = EnvRef(name, {}, history)
    seen = shown_by(plain)
    if seen == shape:
        return plain
    if len(shape) == 3 and shape[0] == shape[1] and shape[2] == 3 * history:
        return EnvRef(name, {}, history, (rendered(shape[0]),))
    raise ValueError(
        f"{name} must show observations of shape {shape}, as in the data, it shows {seen}; name "
        "the environment that the data come from, or register it with wrappers that do"
    )


def shown_by(ref: EnvRef) -> tuple[int, ...]:
    """The shape of an environment's observations; of a dict, that of its entry "observation"."""
    env = ref.make()
    space = env.observation_space
    env.close()
    if isinstance(space, gym.spaces.Dict):
        space = space.spaces.get("observation", space)
    return tuple(space.shape or ())
