"""Goals: observations to be in, or numbers of the state to reach, to raise or to lower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..models.encoders import FusedConfig
from ..models.world_model import WorldModel, WorldModelConfig
from ..worlds.observations import as_image

StateGoal = Mapping[str | int, float] | Sequence[float] | np.ndarray
"""Numbers of the state by name or index, or all of them (S,), or those of n environments (n, S)."""


@dataclass(frozen=True)
class GivenGoals:
    """Goals set by hand: one for all environments, or one for each.

    Args:
        values: (1, ...) or (n, ...), observations or states.
        of_state: whether they are states; see `state_cost`.
    """

    values: np.ndarray
    of_state: bool

    def of(self, environments: np.ndarray) -> np.ndarray:
        """The goals (k, ...) of some environments (k,).

        Raises:
            ValueError: if there are more environments than goals.
        """
        if len(self.values) == 1:
            return np.broadcast_to(self.values, (len(environments), *self.values.shape[1:]))
        if environments.max() >= len(self.values):
            raise ValueError(
                "goals must be one, or one for each environment, got "
                f"{len(self.values)} goals and {environments.max() + 1} environments; set others"
            )
        return self.values[environments]


def observation_goals(goal: Any, config: WorldModelConfig) -> GivenGoals:
    """Observations of a model, one or n, as goals."""
    values = checked_observation("the goal", goal, config)
    return GivenGoals(values.reshape(-1, *config.observation_shape), of_state=False)


def state_goals(goal: StateGoal, model: WorldModel, names: Sequence[str]) -> GivenGoals:
    """States as goals.

    Raises:
        ValueError: if the model reads no states, or they have other numbers.
    """
    size = model.config.state_dim
    if model.probe is None:
        raise ValueError(
            "goals of the state need a model with a probe, got one of state_dim 0; set a goal by "
            "set_goal(observation), or train with the states of the data"
        )
    if isinstance(goal, Mapping):
        values = np.full(size, np.nan, dtype=np.float32)
        for name, value in goal.items():
            index = names.index(name) if name in names else name
            if not isinstance(index, int) or not -size <= index < size:
                raise ValueError(
                    f"a goal's numbers must be named {list(names)} or 0 to {size - 1}, got {name!r}"
                )
            values[index] = value
    else:
        values = np.asarray(goal, dtype=np.float32)
    if values.ndim not in (1, 2) or values.shape[-1] != size:
        raise ValueError(
            f"a goal of the state must have {size} numbers, NaN for those that do not matter, got "
            f"the shape {values.shape}"
        )
    if np.isnan(values).all(axis=-1).any():
        raise ValueError("a goal of the state must have a number that matters, got NaN alone")
    return GivenGoals(values.reshape(-1, size), of_state=True)


def state_cost(model: WorldModel, imagined: Tensor, goals: Tensor) -> Tensor:
    """How far the states read off latents are from what is wanted, in standard deviations.

    Args:
        model: with a probe.
        imagined: latents (B, N, H, D).
        goals: (B, 1, 1, S) states: numbers to reach, by squared difference; infinity for those to
            raise and minus infinity for those to lower, without end; NaN where it does not matter.

    Returns:
        (B, N, H), sums over the numbers.
    """
    read = (model.locate(imagined) - model.state_mean) / model.state_std
    target = (goals - model.state_mean) / model.state_std
    gap = torch.where(goals.isfinite(), read - target, 0.0)
    gain = torch.where(goals.isinf(), goals.sign() * read, 0.0)
    return (gap.square() - gain).sum(dim=-1)


def differ(goals: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which goals (n,) of two batches (n, ...) differ, where they are numbers."""
    changed = (goals != others) & ((goals == goals) | (others == others))  # NaN is unlike itself
    return changed.any(axis=tuple(range(1, goals.ndim)))


def checked_observation(name: str, observation: Any, config: WorldModelConfig) -> np.ndarray:
    """One or more observations as a model takes them.

    Raises:
        ValueError: if they are of another kind.
    """
    shape, encoder = config.observation_shape, config.encoder
    is_image, is_row = len(shape) == 3, isinstance(encoder, FusedConfig)
    if isinstance(encoder, FusedConfig) and isinstance(observation, Mapping):
        observation = encoder.layout.pack(observation)
    array = np.asarray(observation)
    if is_image:
        array = as_image(array, shape)  # such as those that Stable-Baselines3 turns
    kind = array.dtype == np.uint8 if is_image or is_row else array.dtype.kind in "fiu"
    if not kind or array.ndim - len(shape) not in (0, 1) or array.shape[-len(shape) :] != shape:
        kinds = "uint8 images" if is_image else "rows of bytes" if is_row else "vectors"
        raise ValueError(
            f"{name} must be {kinds} {shape}, for "
            f"which this model was trained, got {array.dtype} {array.shape}; build the "
            "environment with agent.env_ref.make()"
        )
    return array if is_image or is_row else array.astype(np.float32)


def seen_and_wanted(
    observation: Mapping[str, Any] | np.ndarray,
    config: WorldModelConfig,
    given: GivenGoals | None = None,
    environments: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The observations (n, ...), the goals (n, ...), and whether it was one without n.

    Args:
        observation: see `JEPAAgent.predict`.
        config: of the model.
        given: goals set by hand, in the place of `desired_goal`.
        environments: (n,), which environments these are; by default 0, 1, ...

    Raises:
        ValueError: if the observation or the goal is missing or of another kind.
    """
    encoder, parts = config.encoder, observation
    if not isinstance(parts, Mapping) or (
        isinstance(encoder, FusedConfig) and set(encoder.layout.shapes) <= set(parts)
    ):
        parts = {"observation": observation}
    for key in ("observation",) if given is not None else ("observation", "desired_goal"):
        if key not in parts:
            raise ValueError(
                f"an observation must be a dict with {key!r}, got "
                f"{type(observation).__name__}; use a goal-conditioned environment, or give "
                "the goal by agent.set_goal(observation)"
            )
    seen = checked_observation("observation", parts["observation"], config)
    single = seen.ndim == len(config.observation_shape)
    if given is not None:
        seen = seen[None] if single else seen
        numbers = np.arange(len(seen))
        if environments is not None and len(environments) == len(seen):
            numbers = environments
        return seen, given.of(numbers), single
    wanted = checked_observation("desired_goal", parts["desired_goal"], config)
    if seen.shape != wanted.shape:
        raise ValueError(
            "observation and desired_goal must have one shape, got "
            f"{seen.shape} and {wanted.shape}; give a goal for every observation"
        )
    return (seen[None], wanted[None], True) if single else (seen, wanted, False)
