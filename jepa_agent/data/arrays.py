"""Plain arrays of any number type, checked and cast to what trajectories hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..worlds.parts import Parts
from .trajectory_file import TrajectoryFileError

SMALLEST_IMAGE = 8
"""Arrays of fewer pixels a side are no images."""


def parts_of(
    observations: Any,
    actions: Any,
    division: tuple[Any, Any, Any],
    states: Any,
    layout: Any,
    history: int,
) -> dict[str, Any]:
    """The arrays of `Trajectories` out of the arguments of `Trajectories.from_arrays`.

    Observations of several parts come with `metadata` that name them.

    Args:
        observations, actions, states, layout, history: see there.
        division: `episode_ids`, `terminals` and `lengths`.
    """
    is_whole = not isinstance(observations, Mapping)
    named = {"observations": observations} if is_whole else observations
    is_divided = any(each is not None for each in division)
    in_rows = isinstance(actions, np.ndarray) and actions.ndim != 3

    def read(name: str, values: Any) -> tuple[np.ndarray, np.ndarray | None]:
        is_flat = is_divided or (in_rows and isinstance(values, np.ndarray))
        return joined(name, values, is_flat)

    read_parts = {name: read(name, values) for name, values in named.items()}
    counts = {name: len(array) for name, (array, _) in read_parts.items()}
    if len(set(counts.values())) != 1:
        raise TrajectoryFileError(
            f"parts of observations must have one length, got {counts}; give a row for every state"
        )
    (count, *_), (_, listed) = counts.values(), next(iter(read_parts.values()))
    lengths = lengths_of(count, *division, listed)
    seen = {
        name: stacked(
            as_images(name, each) if is_image(each.shape[1:]) else as_rows(name, each),
            lengths,
            history,
        )
        for name, (each, _) in read_parts.items()
    }
    parts: dict[str, Any] = {
        "actions": as_actions(*read("actions", actions), lengths),
        "layout": np.zeros((len(lengths), 0)) if layout is None else as_rows("layout", layout),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]),
        "states": np.zeros((count, 0)),
    }
    if not is_whole:
        rows = Parts({name: each.shape[1:] for name, each in seen.items()})
        parts |= {"observations": rows.pack(seen), "metadata": {"parts": rows.shapes}}
    else:
        shown = seen["observations"]
        parts["states" if shown.ndim == 2 else "observations"] = shown
    if states is not None:
        parts.setdefault("observations", parts["states"])
        parts["states"] = as_rows("states", read("states", states)[0])
    return parts


def joined(name: str, values: Any, is_flat: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """An array as it is, or arrays of an episode each as one; then also their lengths."""
    if is_flat or np.ndim(values[0]) < 1:
        return _numbers(name, values), None
    episodes = [_numbers(f"{name}[{index}]", each) for index, each in enumerate(values)]
    shapes = {each.shape[1:] for each in episodes}
    if len(shapes) > 1:
        raise TrajectoryFileError(
            f"{name} must have rows of one shape, got {sorted(shapes)}; convert some episodes"
        )
    return np.concatenate(episodes), np.array([len(each) for each in episodes])


def lengths_of(
    count: int, episode_ids: Any, terminals: Any, lengths: Any, listed: np.ndarray | None
) -> np.ndarray:
    """How many states each episode has, by the one way in which that is given.

    Args:
        count: states of all episodes, N.
        episode_ids: (N,), the same within an episode.
        terminals: (N,), true in the last row of an episode.
        lengths: (E,).
        listed: (E,), the lengths of episodes that were given one by one.
    """
    ways = {"episode_ids": episode_ids, "terminals": terminals, "lengths": lengths}
    given = [name for name, value in ways.items() if value is not None]
    given += ["lists with an array per episode"] if listed is not None else []
    if len(given) != 1:
        raise TrajectoryFileError(
            "episodes must be told apart in one way, by episode_ids, terminals, lengths or lists "
            f"with an array per episode, got {given}; give one of them"
        )
    name = given[0]
    found = listed if listed is not None else np.asarray(ways[name]).reshape(-1)
    if name in ("episode_ids", "terminals"):
        if len(found) != count:
            raise TrajectoryFileError(
                f"{name} must have a number per state, got {len(found)} of {count} states; give "
                "as many"
            )
        ends = found[1:] != found[:-1] if name == "episode_ids" else found[:-1].astype(bool)
        bounds = np.concatenate([[0], np.flatnonzero(ends) + 1, [count]])
        names = found[bounds[:-1]]
        if name == "episode_ids" and len(np.unique(names)) < len(names):
            raise TrajectoryFileError(
                "episode_ids must be the same in all rows of an episode, one episode after the "
                f"other, got {len(names)} runs of {len(np.unique(names))} ids; sort the rows"
            )
        found = np.diff(bounds)
    found = found.astype(np.int64)
    if found.sum() != count or found.min(initial=count) < 2:
        raise TrajectoryFileError(
            f"{name} must give episodes of at least 2 states, {count} in all, got lengths of "
            f"{found.min(initial=count)} to {found.max(initial=0)}, {found.sum()} in all; leave "
            "out shorter episodes"
        )
    return found


def as_rows(name: str, values: Any) -> np.ndarray:
    """Numbers (N,) or (N, S) as float32 (N, S)."""
    array = _numbers(name, values)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise TrajectoryFileError(
            f"{name} must be rows of numbers (N, S), got {array.shape}; flatten each row, or give "
            f"images of at least {SMALLEST_IMAGE} pixels a side as observations"
        )
    with np.errstate(over="ignore"):  # infinite ones are found later
        return array.astype(np.float32, copy=False)


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether rows of this shape are images: (H, W), (H, W, C) or (C, H, W)."""
    sides = sorted(shape)[-2:]
    return len(shape) in (2, 3) and sides[0] >= SMALLEST_IMAGE


def as_images(name: str, values: np.ndarray) -> np.ndarray:
    """Images as uint8 (N, H, W, C).

    Args:
        name: for messages.
        values: (N, H, W), (N, H, W, C) or (N, C, H, W), where no side of an image is shorter than
            its channels are many; integers in [0, 255], or floats in [0, 1] or [0, 255].
    """
    if values.ndim == 3:
        values = values[..., None]
    elif values.shape[-1] > values.shape[1]:
        values = np.moveaxis(values, 1, -1)
    if values.dtype != np.uint8 and values.size:
        low, high = values.min(), values.max()
        if not 0 <= low <= high <= 255:
            raise TrajectoryFileError(
                f"{name} must be images in [0, 1] or [0, 255], got values from {low} to {high}; "
                "rescale them"
            )
        unit = values.dtype.kind == "b" or (values.dtype.kind == "f" and high <= 1)
        scaled = values.astype(np.float32) * 255 if unit else values
        values = np.rint(scaled).astype(np.uint8)
    return np.ascontiguousarray(values)


def stacked(rows: np.ndarray, lengths: np.ndarray, frames: int) -> np.ndarray:
    """Each row with those before it, oldest first, in its last axis, as `stack_frames` does.

    Args:
        rows: (N, ..., C).
        lengths: (E,), rows of each episode, of which the first is repeated.
        frames: rows in one.
    """
    if frames < 1:
        raise TrajectoryFileError(f"history must be at least 1, got {frames}; 1 is one frame")
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    ages = range(frames - 1, -1, -1)
    before = [rows[np.maximum(np.arange(len(rows)) - age, first)] for age in ages]
    return np.concatenate(before, axis=-1) if frames > 1 else rows


def as_actions(values: Any, listed: np.ndarray | None, lengths: np.ndarray) -> np.ndarray:
    """Actions float32 (N - E, A) of actions in as many rows, or with one more per episode.

    An action in an episode's last row led nowhere: it is dropped, and may be NaN.

    Args:
        values: the actions of all episodes.
        listed: (E,), how many each episode has, if they were given one by one.
        lengths: (E,), states per episode.
    """
    array, starts = as_rows("actions", values), np.cumsum(lengths) - lengths
    count, full = int(lengths.sum()), len(values) == lengths.sum()
    if listed is not None and not np.array_equal(listed, lengths - (not full)):
        raise TrajectoryFileError(
            "every episode must have an action per state, or one fewer, got "
            f"{listed[:8].tolist()} actions for {lengths[:8].tolist()} states; give as many"
        )
    if full:
        array = np.delete(array, starts + lengths - 1, axis=0)
    elif len(array) != count - len(lengths):
        raise TrajectoryFileError(
            f"actions must be one per state ({count}) or one fewer in each episode "
            f"({count - len(lengths)}), got {len(array)}; give as many"
        )
    wrong = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(wrong):
        begins = starts - np.arange(len(lengths))
        episode = int(np.searchsorted(begins, wrong[0], side="right")) - 1
        raise TrajectoryFileError(
            f"actions must be finite, got {array[wrong[0]]} in step {wrong[0] - begins[episode]} "
            f"of episode {episode}; leave the episode out, or cut it there"
        )
    return array


def checked_history(history: int, before: int) -> int:
    """The frames of an observation, which must not be stacked already."""
    if before > 1:
        raise TrajectoryFileError(
            f"frames must be stacked once, got history {history} for observations of {before} "
            "frames; leave history out"
        )
    return history


def one_hot(actions: np.ndarray, categories: Sequence[int], bounds: Any = None) -> np.ndarray:
    """Integers (N, G) as rows of G one-hot vectors, of as many components as there are categories.

    Args:
        actions: from 0 on.
        categories: how many there are of each integer.
        bounds: None; discrete actions have none.
    """
    if bounds is not None:
        raise TrajectoryFileError(
            "actions must have bounds or categories, got both; give categories if they are discrete"
        )
    sizes = np.array(categories)
    fits = actions.shape[1] == len(sizes) and not (actions % 1).any()
    if not fits or (actions < 0).any() or (actions >= sizes).any():
        raise TrajectoryFileError(
            f"discrete actions must be integers from 0 to less than {list(categories)}, got "
            f"{actions.shape[1]} of {actions.min()} to {actions.max()}; count from 0, or give "
            "other categories"
        )
    hot = [actions[:, [group]] == np.arange(size) for group, size in enumerate(categories)]
    return np.concatenate(hot, axis=1).astype(np.float32)


def as_bounds(bounds: Any, actions: np.ndarray) -> dict[str, list[float]]:
    """The metadata that state the bounds (low, high), each a number or (A,), of actions (N, A)."""
    size = actions.shape[1]
    low, high = (np.asarray(each, dtype=np.float64) for each in bounds)
    if not all(each.shape in ((), (1,), (size,)) for each in (low, high)):
        raise TrajectoryFileError(
            f"bounds must be a low and a high of one number or {size}, as actions have, got shapes "
            f"{low.shape} and {high.shape}; give as many"
        )
    low, high = np.broadcast_to(low, size), np.broadcast_to(high, size)
    least, most = actions.min(axis=0), actions.max(axis=0)
    slack = 1e-4 * np.maximum(high - low, 1e-6)
    if not (np.all(low < high) and np.all(low - slack <= least) and np.all(most <= high + slack)):
        raise TrajectoryFileError(
            f"bounds must be low < high and hold all actions, got {low.tolist()} to "
            f"{high.tolist()} for actions from {least.tolist()} to {most.tolist()}; widen them"
        )
    return {"action_low": low.tolist(), "action_high": high.tolist()}


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise TrajectoryFileError(
            f"{name} must be rows of one shape, got {error}; give an array, or leave out lengths, "
            "terminals and episode_ids if it is a list of episodes"
        ) from None
    if array.dtype.kind not in "fiub" or array.ndim < 1:
        raise TrajectoryFileError(
            f"{name} must be numbers, got {array.dtype} {array.shape}; convert them"
        )
    return array
