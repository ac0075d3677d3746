"""Observations of several parts, such as cameras and joint positions, as one row of bytes.

A row travels like any other array through files, batches and agents; only the encoder takes it
apart, on the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from .observations import as_image


@dataclass(frozen=True)
class Parts:
    """What the parts are; in a row they follow one another in the order of their names.

    Args:
        shapes: by name, (H, W, C) of uint8 images and (S,) of float32 vectors.
    """

    shapes: dict[str, tuple[int, ...]]

    def __post_init__(self) -> None:
        wrong = {name: shape for name, shape in self.shapes.items() if len(shape) not in (1, 3)}
        if wrong or not self.shapes:
            raise ValueError(
                f"parts must be vectors (S,) or images (H, W, C), got {wrong or 'none'}; reshape "
                "or leave them out"
            )
        ordered = {name: tuple(self.shapes[name]) for name in sorted(self.shapes)}
        object.__setattr__(self, "shapes", ordered)

    @property
    def places(self) -> dict[str, slice]:
        """Where the bytes of a part are in a row."""
        places, end = {}, 0
        for name, shape in self.shapes.items():
            begin, end = end, end + int(np.prod(shape)) * (1 if len(shape) == 3 else 4)
            places[name] = slice(begin, end)
        return places

    @property
    def size(self) -> int:
        """Bytes of a row."""
        return max(place.stop for place in self.places.values())

    def pack(self, parts: Mapping[str, Any]) -> np.ndarray:
        """Rows (..., size) of parts (..., *shape), any of which may be of another number type."""
        missing = sorted(set(self.shapes) - set(parts))
        if missing:
            raise ValueError(
                f"an observation must have the parts {[*self.shapes]}, got none of {missing}; "
                "show them all"
            )
        return np.concatenate([self._bytes(name, parts[name]) for name in self.shapes], axis=-1)

    def unpack(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Parts (..., *shape) of rows (..., size)."""
        found = {}
        for name, place in self.places.items():
            shape, part = self.shapes[name], np.ascontiguousarray(rows[..., place])
            values = part if len(shape) == 3 else part.view(np.float32)
            found[name] = values.reshape(*rows.shape[:-1], *shape)
        return found

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """The parts of rows (..., size) that are vectors, one after the other."""
        parts = [part for name, part in self.unpack(rows).items() if len(self.shapes[name]) == 1]
        nothing = np.zeros((*rows.shape[:-1], 0), dtype=np.float32)
        return np.concatenate([nothing, *parts], axis=-1)

    def _bytes(self, name: str, values: Any) -> np.ndarray:
        shape, array = self.shapes[name], np.asarray(values)
        if len(shape) == 3:
            array = as_image(array, shape)
        else:
            array = np.ascontiguousarray(array, dtype=np.float32)
        lead = array.ndim - len(shape)
        is_right = array.shape[lead:] == shape and (len(shape) == 1 or array.dtype == np.uint8)
        if lead < 0 or not is_right:
            kind = "vectors" if len(shape) == 1 else "uint8 images"
            raise ValueError(
                f"the part {name} must be {kind} {shape}, got {array.dtype} {array.shape}; "
                "build the environment with agent.env_ref.make()"
            )
        return np.ascontiguousarray(array).reshape(*array.shape[:lead], -1).view(np.uint8)


class PackedObservation(gym.ObservationWrapper):
    """Shows observations of several parts as rows of bytes, goals too.

    Args:
        env: of dict observations in their standard form, or of dicts of these under "observation".
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        space: Any = env.observation_space
        self._is_nested = "observation" in space.spaces
        seen = space["observation"] if self._is_nested else space
        self.parts = Parts({name: part.shape for name, part in seen.items()})
        row = gym.spaces.Box(0, 255, (self.parts.size,), np.uint8)
        self.observation_space = row
        if self._is_nested:
            self.observation_space = gym.spaces.Dict(
                {key: row if part == seen else part for key, part in space.items()}
            )

    def observation(self, observation: dict[str, Any]) -> Any:
        """The observation as a row, or the dict with its observations and goals as rows."""
        if not self._is_nested:
            return self.parts.pack(observation)
        return {
            key: self.parts.pack(value) if isinstance(value, dict) else value
            for key, value in observation.items()
        }


def pack_parts(env: gym.Env) -> gym.Env:
    """Wrap an environment whose observations have several parts."""
    space = env.observation_space
    if not isinstance(space, gym.spaces.Dict):
        return env
    seen = space.spaces.get("observation", space)
    return PackedObservation(env) if isinstance(seen, gym.spaces.Dict) else env


def parts_of(env: gym.Env) -> Parts | None:
    """The parts of an environment's observations; None if they are whole."""
    while isinstance(env, gym.Wrapper):
        if isinstance(env, PackedObservation):
            return env.parts
        env = env.env
    return None
