"""What a format of data is: episodes in columns, from which a model's observations are chosen."""

from __future__ import annotations

import contextlib
import json
import warnings
import zipfile
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F

from ...registry import Registered
from ..arrays import as_images, as_rows, is_image
from ..trajectories import Trajectories
from ..trajectory_file import PARTS, TrajectoryFileError

ACTION = "action"
"""The column of actions, in every format."""


@dataclass(frozen=True)
class Selection:
    """What is taken of the columns.

    Args:
        observation: "pixels", the only images; "state", the compact states; a column's name, or
            several with commas between them, each with an encoder of its own; by default what the
            format's own users look at, which is images where there are some.
        resize: images are scaled to this height and width; 0 leaves them.
        categories: of discrete actions, which are integers from 0 on: how many there are of each;
            by default what the format says, or none, which means numbers of any size.
        history: frames per observation, where one is not a state.
    """

    observation: str = ""
    resize: int = 0
    categories: tuple[int, ...] = ()
    history: int = 1

    def __post_init__(self) -> None:
        if self.resize < 0:
            raise ValueError(f"resize must be at least 0, got {self.resize}; give pixels or 0")


class Recording(Registered):
    """Episodes that another program stored; a subclass is a format, in a module of its own.

    A row of a column is a step: what there was to see, and in the column `action` what was done
    then. Reading is lazy, an episode at a time, in any order but fastest from first to last. It is
    closed by `with` or `close`.

    Args:
        path: where the data lie.

    Raises:
        TrajectoryFileError: if they are damaged.
    """

    title: ClassVar[str]
    """What users call the format."""
    columns: dict[str, tuple[int, ...]]
    """The shapes of a row of all columns of numbers but the actions."""
    states: tuple[str, ...] = ()
    """The columns that make the compact state."""
    seen: str = ""
    """The column to observe by default, or several with commas between them."""
    categories: tuple[int, ...] = ()
    """How many there are of each integer of an action, if actions are known to be discrete."""
    lengths: np.ndarray
    """(E,), rows of each episode; of one row there is nothing to learn."""
    metadata: dict[str, Any]
    """What is known of the data, as `Trajectories` keep it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened = contextlib.ExitStack()  # what is to be closed
        try:
            with self.naming_damage():
                self.open()
        except BaseException:
            self.close()
            raise
        short = int((self.lengths < 2).sum())
        if short == len(self.lengths):
            raise TrajectoryFileError(
                f"{path} must have an episode of at least 2 steps, got {len(self.lengths)} shorter "
                "ones; give other data"
            )
        if short:
            warnings.warn(f"{path}: left out {short} episodes of fewer than 2 steps", stacklevel=3)

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether this looks like the format."""

    @abstractmethod
    def open(self) -> None:
        """Set the attributes; anything that is raised counts as damage."""

    @abstractmethod
    def rows(self, column: str, episode: int) -> np.ndarray:
        """A column, or `action`, in an episode; one action fewer than rows will do."""

    def close(self) -> None:
        """Close what was opened."""
        self.opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def layout(self, episode: int) -> np.ndarray:
        """What is constant in an episode, (C,)."""
        return np.zeros(0)

    def episodes(self, selection: Selection | None = None) -> Iterator[Trajectories]:
        """Each episode alone, with the columns that are selected."""
        selection = selection or Selection()
        seen, states = self.select(selection.observation)
        shape = None
        for index in np.flatnonzero(self.lengths >= 2).tolist():
            with self.naming_damage():
                found = {name: self.rows(name, index) for name in {*seen, *states, ACTION}}
            try:
                episode = self._episode(index, seen, states, found, selection)
            except TrajectoryFileError as error:
                raise TrajectoryFileError(f"{self.path}, episode {index}: {error}") from None
            others, shape = shape, [getattr(episode, name)[:0].shape for name in PARTS if
                                    getattr(episode, name) is not None]  # fmt: skip
            if others not in (None, shape):
                raise TrajectoryFileError(
                    f"{self.path}: episodes must have rows of one shape, got {others} and {shape} "
                    f"in episode {index}; images are made alike by --resize"
                )
            yield episode

    def read(self, selection: Selection | None = None) -> Trajectories:
        """All episodes, in memory."""
        episodes = list(self.episodes(selection))
        parts = {
            name: np.concatenate([getattr(each, name) for each in episodes])
            for name in PARTS
            if getattr(episodes[0], name) is not None
        }
        lengths = [len(each.states) for each in episodes]
        return Trajectories(
            **parts, offsets=np.cumsum([0, *lengths]), metadata=episodes[0].metadata
        )

    def select(self, observation: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The columns to observe, none for the states themselves, and those of the states.

        Raises:
            ValueError: if there is no such column, or none alone.
        """
        images = [name for name, shape in self.columns.items() if is_image(shape)]
        known = f"{self.path} has {sorted(self.columns)}"
        asked = observation or self.seen
        chosen, states = tuple(asked.split(",")) if asked else (), self.states
        vectors = set(self.columns) - set(images)
        if not states:  # a vector that is observed is one
            states = tuple(name for name in chosen if name in vectors)
        if not states and self.seen in vectors:
            states = (self.seen,)
        if chosen and set(chosen) <= set(self.columns):
            return () if states == chosen else chosen, states
        if asked == "pixels" or (not asked and images):
            if len(images) != 1:
                raise ValueError(
                    f"pixels must be one column of images, got {images}; {known}, name one with "
                    "--observation, or several with commas between them"
                )
            return (images[0],), states
        if asked not in ("", "state") or not states:
            raise ValueError(
                "--observation must be pixels, state, a column, or several with commas between "
                f"them, got {observation or 'none, and no images or states'}; {known}"
            )
        return (), states

    @contextlib.contextmanager
    def naming_damage(self) -> Iterator[None]:
        """Say which data cannot be read."""
        try:
            yield
        except TrajectoryFileError as error:
            if str(self.path) in str(error):
                raise
            raise TrajectoryFileError(f"{self.path}: {error}") from None
        except (
            OSError, KeyError, IndexError, TypeError, ValueError, RuntimeError, EOFError,
            json.JSONDecodeError, zipfile.BadZipFile, zlib.error,
        ) as error:  # fmt: skip
            raise TrajectoryFileError(
                f"{self.path} must be a complete {self.title}, got {type(error).__name__}: "
                f"{error}; get it again"
            ) from error

    def _episode(
        self,
        index: int,
        seen: tuple[str, ...],
        states: tuple[str, ...],
        found: dict[str, np.ndarray],
        selection: Selection,
    ) -> Trajectories:
        count = int(self.lengths[index])
        wrong = {name: len(rows) for name, rows in found.items() if len(rows) != count}
        if set(wrong) - {ACTION}:
            raise TrajectoryFileError(
                f"columns must have a row per step, {count}, got {wrong}; get the data again"
            )
        state = None
        if states:
            rows = [as_rows(name, found[name].reshape(count, -1)) for name in states]
            state = np.concatenate(rows, axis=1)
        parts: dict[str, np.ndarray] = {}
        for name in seen:
            if is_image(self.columns[name]):
                images = as_images(name, found[name])
                parts[name] = resized(images, selection.resize) if selection.resize else images
            else:
                parts[name] = as_rows(name, found[name].reshape(count, -1))
        observed: Any = parts if len(parts) > 1 else next(iter(parts.values()), state)
        return Trajectories.from_arrays(
            observed,
            found[ACTION],
            lengths=[count],
            states=state if seen and state is not None else None,
            layout=self.layout(index)[None],
            categories=selection.categories or self.categories,
            history=selection.history,
            metadata=self.metadata,
        )


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Images uint8 (N, H, W, C) scaled to (N, size, size, C)."""
    pixels = torch.as_tensor(images).movedim(-1, 1)
    scaled = F.interpolate(pixels, (size, size), mode="bilinear", antialias=True)
    return scaled.movedim(1, -1).contiguous().numpy()
