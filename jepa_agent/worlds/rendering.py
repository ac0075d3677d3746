"""Whether images need not be stored, because a world's batched renderer makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .protocols import HasLayout, HasState, RendersStates

ROUNDING = 1
"""Grey levels by which the same lines may differ in numpy and in torch."""


def layout_of(world: Any) -> np.ndarray:
    """The layout (C,) of a world's episode; (0,) if it has none."""
    return np.asarray(world.layout if isinstance(world, HasLayout) else [], dtype=np.float32)


def shows_rendering(world: Any, observation: Any) -> bool:
    """Whether an observation is what the world's renderer makes of its state.

    Where several frames are shown, the newest counts.
    """
    if not (isinstance(world, RendersStates) and isinstance(world, HasState)):
        return False
    shown = np.asarray(observation["observation"] if isinstance(observation, dict) else observation)
    state, layout = map(torch.as_tensor, (world.state, layout_of(world)))
    image = world.render_states(state, layout).numpy()
    if shown.shape[:-1] != image.shape[:-1] or shown.shape[-1] % image.shape[-1]:
        return False
    newest = shown[..., -image.shape[-1] :]
    return bool(np.abs(image.astype(int) - newest).max() <= ROUNDING)
