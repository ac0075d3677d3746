"""Trajectories: one HDF5 file, read into memory, and windows drawn from it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

FORMAT = "jepa-agent-trajectories"
VERSION = 1

Renderer = Callable[[Tensor, Tensor], Tensor]
"""Compact states (..., S) and contexts (..., C) to uint8 images (..., H, W, C)."""


class TrajectoryFileError(ValueError):
    """A trajectory file is missing, truncated, foreign or of another version."""


@dataclass(frozen=True)
class Trajectories:
    """Episodes as flat arrays.

    Args:
        states: float32 (N, S), the compact states of all episodes in a row.
        actions: float32 (N - E, A): an episode of T + 1 states has T actions.
        context: float32 (E, C), what is constant in an episode.
        offsets: int64 (E + 1): episode e has the states `offsets[e]:offsets[e + 1]`.
        metadata: what made them: `env_id`, `env_kwargs`, the policy, the seed, versions.
    """

    states: np.ndarray
    actions: np.ndarray
    context: np.ndarray
    offsets: np.ndarray
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = np.diff(self.offsets)
        if len(lengths) != len(self.context) or len(lengths) == 0 or lengths.min() < 2:
            raise TrajectoryFileError(
                "offsets must bound one episode of at least 2 states per context, got "
                f"{len(lengths)} episodes and {len(self.context)} contexts; collect again"
            )
        expected = (self.offsets[-1], self.offsets[-1] - len(lengths))
        if (len(self.states), len(self.actions)) != expected:
            raise TrajectoryFileError(
                f"states and actions must have {expected} rows by the offsets, got "
                f"{(len(self.states), len(self.actions))}; collect again"
            )

    def __len__(self) -> int:
        return len(self.context)

    @classmethod
    def from_rollouts(
        cls,
        states: np.ndarray,
        actions: np.ndarray,
        context: np.ndarray,
        metadata: dict[str, Any],
    ) -> Trajectories:
        """Flatten episodes of equal length: states (E, T + 1, S) and actions (E, T, A)."""
        episodes, length = states.shape[:2]
        return cls(
            states.reshape(-1, states.shape[-1]),
            actions.reshape(-1, actions.shape[-1]),
            context,
            np.arange(episodes + 1, dtype=np.int64) * length,
            metadata,
        )

    def save(self, path: str | Path) -> None:
        """Write one HDF5 file; an existing file stays intact until the new one is complete."""
        import h5py

        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with h5py.File(temporary, "w") as file:
                file.attrs.update(
                    format=FORMAT, version=VERSION, metadata=json.dumps(self.metadata)
                )
                for name in ("states", "actions", "context", "offsets"):
                    file.create_dataset(name, data=getattr(self, name))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> Trajectories:
        """Read a trajectory file.

        Raises:
            TrajectoryFileError: if the file is missing, truncated, foreign or of another version.
        """
        import h5py

        path = Path(path)
        if not path.is_file():
            raise TrajectoryFileError(
                f"a trajectory file must exist, got {path}; make it with scripts/collect.py"
            )
        try:
            with h5py.File(path, "r") as file:
                if file.attrs.get("format") != FORMAT:
                    raise TrajectoryFileError(
                        f"{path} must be a trajectory file of this library (format {FORMAT}), got "
                        f"{file.attrs.get('format')!r}; collect or import the data first"
                    )
                if file.attrs["version"] != VERSION:
                    raise TrajectoryFileError(
                        f"{path} must have version {VERSION}, got {file.attrs['version']}; "
                        "collect again with this version of the library"
                    )
                parts = {
                    name: file[name][...] for name in ("states", "actions", "context", "offsets")
                }
                metadata = json.loads(file.attrs["metadata"])
        except (OSError, KeyError, RuntimeError, json.JSONDecodeError) as error:
            raise TrajectoryFileError(
                f"{path} must be a complete HDF5 trajectory file, got {error}; it is truncated or "
                "of another program, collect again"
            ) from error
        return cls(**parts, metadata=metadata)


class Windows(NamedTuple):
    """A batch of G groups of one context each, R windows a group, of H chunks."""

    states: Tensor
    """(G, R, H + 1, S): the states at the chunks' ends."""
    actions: Tensor
    """(G, R, H, K * A)."""
    context: Tensor
    """(G, 1, 1, C)."""


class WindowSampler:
    """Draws windows from trajectories that lie on the training device.

    Args:
        trajectories: the data.
        chunk: environment steps K per chunk.
        horizon: chunks H per window.
        device: where the data go and the windows come from.
    """

    def __init__(
        self, trajectories: Trajectories, chunk: int, horizon: int, device: torch.device
    ) -> None:
        lengths = np.diff(trajectories.offsets)
        needed = chunk * horizon + 1
        usable = np.flatnonzero(lengths >= needed)
        if len(usable) == 0:
            raise ValueError(
                f"windows of {horizon} chunks of {chunk} steps need episodes of {needed} states, "
                f"got at most {lengths.max()}; collect longer episodes or lower the horizon"
            )
        contexts, group = np.unique(trajectories.context[usable], axis=0, return_inverse=True)
        order = np.argsort(group.reshape(-1), kind="stable")  # episodes of one context in a row
        counts = np.bincount(group.reshape(-1))

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(np.ascontiguousarray(array)).to(device)

        self._chunk, self._horizon = chunk, horizon
        self._states, self._actions = tensor(trajectories.states), tensor(trajectories.actions)
        self._contexts = tensor(contexts)
        self._first_episode, self._episodes = tensor(np.cumsum(counts) - counts), tensor(counts)
        episode = usable[order]
        self._offset = tensor(trajectories.offsets[episode])
        self._action_offset = tensor(trajectories.offsets[episode] - episode)
        self._starts = tensor(lengths[episode] - needed + 1)

    @property
    def num_contexts(self) -> int:
        """How many distinct contexts the data have."""
        return len(self._contexts)

    def draw(self, groups: int, windows: int, generator: torch.Generator) -> Windows:
        """Draw `groups` contexts and `windows` windows of each.

        Contexts are distinct where the data have enough of them.
        """
        device = self._states.device
        if self.num_contexts >= groups:
            context = torch.randperm(self.num_contexts, generator=generator, device=device)[:groups]
        else:
            context = torch.randint(
                self.num_contexts, (groups,), generator=generator, device=device
            )
        uniforms = torch.rand(2, groups, windows, generator=generator, device=device)
        share = (uniforms[0] * self._episodes[context, None]).long()
        episode = self._first_episode[context, None] + share
        start = (uniforms[1] * self._starts[episode]).long()  # (G, R)
        steps = torch.arange(self._chunk * self._horizon, device=device)
        frames = torch.arange(self._horizon + 1, device=device) * self._chunk
        states = self._states[(self._offset[episode] + start)[..., None] + frames]
        actions = self._actions[(self._action_offset[episode] + start)[..., None] + steps]
        return Windows(
            states,
            actions.reshape(groups, windows, self._horizon, -1),
            self._contexts[context][:, None, None],
        )
