"""The way in which an environment shows observations of a given shape."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym

from .reference import EnvRef, rendered


def showing(ref: EnvRef, shape: tuple[int, ...], history: int = 1) -> EnvRef:
    """An environment that shows observations of this shape, by its frames if it must.

    Args:
        ref: the environment.
        shape: of one observation, (S,) or (H, W, C).
        history: frames per observation; see `stack_frames`.

    Raises:
        ValueError: if it shows other observations, and renders no frames of this shape.
    """
    plain = replace(ref, history=history)
    seen = shown_by(plain)
    if seen == shape:
        return plain
    if len(shape) == 3 and shape[0] == shape[1] and shape[2] == 3 * history:
        framed = replace(plain, wrappers=(rendered(shape[0]), *plain.wrappers))
        seen = shown_by(framed)
        if seen == shape:
            return framed
    raise ValueError(
        f"{ref.id} must show observations of shape {shape}, as in the data, it shows {seen}; name "
        "the environment that the data come from, with its --env-kwargs and --wrapper"
    )


def shown_by(ref: EnvRef) -> tuple[int, ...]:
    """The shape of an environment's observations; of a dict, that of its entry "observation"."""
    env = ref.make()
    space = env.observation_space
    env.close()
    if isinstance(space, gym.spaces.Dict):
        space = space.spaces.get("observation", space)
    return tuple(space.shape or ())
