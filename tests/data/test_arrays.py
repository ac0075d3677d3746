"""Plain arrays become trajectories, or an error that says why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jepa_agent import EnvRef, Trajectories
from jepa_agent.data.source import world_shape
from jepa_agent.data.trajectory_file import TrajectoryFileError

LENGTHS = [4, 2, 3]
RNG = np.random.default_rng(0)
STATES, ACTIONS = RNG.normal(size=(9, 3)), RNG.uniform(-1, 1, (9, 2))
LED_SOMEWHERE = [0, 1, 2, 4, 6, 7]
"""Rows that are not the last of an episode."""
IMAGES = RNG.integers(0, 256, (9, 10, 12, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "division",
    [
        {"lengths": LENGTHS},
        {"lengths": np.array(LENGTHS, dtype=np.float32)},
        {"terminals": [0, 0, 0, 1, 0, 1, 0, 0, 1]},
        {"terminals": np.array([0, 0, 0, 1, 0, 1, 0, 0, 0], dtype=bool)},
        {"episode_ids": [7, 7, 7, 7, 3, 3, 5, 5, 5]},
        {"episode_ids": np.array([0.0, 0, 0, 0, 1, 1, 2, 2, 2])[:, None]},
    ],
)
def test_episodes_are_told_apart_in_any_way(division: dict[str, Any]) -> None:
    data = Trajectories.from_arrays(STATES, ACTIONS, **division)
    assert data.offsets.tolist() == [0, 4, 6, 9]
    np.testing.assert_array_equal(data.states, STATES.astype(np.float32))
    np.testing.assert_array_equal(data.actions, ACTIONS[LED_SOMEWHERE].astype(np.float32))
    assert data.observations is None
    assert data.layout.shape == (3, 0)


def test_lists_have_an_array_per_episode() -> None:
    cuts = [4, 6]
    whole = Trajectories.from_arrays(STATES, ACTIONS, lengths=LENGTHS, states=STATES[:, :1])
    parts = [np.split(array, cuts) for array in (STATES, ACTIONS, STATES[:, :1])]
    data = Trajectories.from_arrays(parts[0], parts[1], states=parts[2])
    short = [each[:-1] for each in parts[1]]
    for other in (data, Trajectories.from_arrays(parts[0], short, states=parts[2])):
        for name in ("states", "actions", "offsets", "observations"):
            np.testing.assert_array_equal(getattr(other, name), getattr(whole, name))


def test_episodes_of_one_length_may_be_one_array() -> None:
    whole = Trajectories.from_arrays(STATES, ACTIONS, lengths=[3] * 3, states=STATES)
    for seen, name in ((STATES, "states"), (IMAGES, "observations")):
        pair = seen.reshape(3, 3, *seen.shape[1:]), ACTIONS.reshape(3, 3, 2)
        for data in (
            Trajectories.from_arrays(*pair),
            Trajectories.from_arrays(pair[0], pair[1][:, :2]),
        ):
            np.testing.assert_array_equal(data.actions, whole.actions)
            np.testing.assert_array_equal(data.offsets, whole.offsets)
            np.testing.assert_array_equal(
                getattr(data, name), seen.astype(getattr(data, name).dtype)
            )
    plain = Trajectories.from_arrays(STATES.tolist(), ACTIONS.tolist(), lengths=[3] * 3)
    np.testing.assert_array_equal(plain.states, whole.states)


def test_the_last_action_may_be_missing_or_nan() -> None:
    expected = Trajectories.from_arrays(STATES, ACTIONS, lengths=LENGTHS).actions
    unknown = ACTIONS.copy()
    unknown[[3, 5, 8]] = np.nan
    for actions in (unknown, ACTIONS[LED_SOMEWHERE], ACTIONS.astype(np.float16).astype(float)):
        data = Trajectories.from_arrays(STATES, actions, lengths=LENGTHS)
        np.testing.assert_allclose(data.actions, expected, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint16, np.float16, np.float64, bool])
def test_numbers_of_any_type_are_cast(dtype: Any) -> None:
    values = np.arange(9).astype(dtype)
    data = Trajectories.from_arrays(values, values, lengths=LENGTHS, layout=[[1], [2], [3]])
    assert {data.states.dtype, data.actions.dtype, data.layout.dtype} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(data.states[:, 0], values.astype(np.float32))


@pytest.mark.parametrize(
    "seen",
    [
        IMAGES,
        IMAGES.astype(np.int64),
        IMAGES.astype(np.float64),
        IMAGES / 255,
        (IMAGES / 255).astype(np.float32),
        np.moveaxis(IMAGES, -1, 1),
        np.moveaxis(IMAGES, -1, 1).astype(np.float32) / 255,
        list(np.split(IMAGES, [4, 6])),
    ],
)
def test_images_become_uint8_with_channels_last(seen: Any) -> None:
    division = {} if isinstance(seen, list) else {"lengths": LENGTHS}
    data = Trajectories.from_arrays(seen, ACTIONS, **division)
    assert data.observations.dtype == np.uint8
    np.testing.assert_array_equal(data.observations, IMAGES)
    assert data.states.shape == (9, 0)


@pytest.mark.parametrize("grey", [IMAGES[..., 0], IMAGES[..., 0] / 255, IMAGES[..., 0] > 127])
def test_grey_images_get_a_channel(grey: np.ndarray) -> None:
    data = Trajectories.from_arrays(grey, ACTIONS, lengths=LENGTHS, states=STATES)
    expected = np.where(grey, 255, 0) if grey.dtype == bool else IMAGES[..., 0]
    np.testing.assert_array_equal(data.observations[..., 0], expected)
    np.testing.assert_array_equal(data.states, STATES.astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(2, 6), min_size=1, max_size=5))
def test_any_division_gives_back_the_rows(lengths: list[int]) -> None:
    count = sum(lengths)
    rows = np.arange(count)
    ids = np.repeat(np.arange(len(lengths)), lengths)
    data = Trajectories.from_arrays(rows, rows, episode_ids=ids)
    assert np.diff(data.offsets).tolist() == lengths
    for episode in data.episodes():
        np.testing.assert_array_equal(episode.states[:-1], episode.actions)


def test_environment_bounds_and_notes_go_into_the_metadata() -> None:
    data = Trajectories.from_arrays(
        STATES, ACTIONS, lengths=LENGTHS, env="my_module:Arm-v0", bounds=(-1, [1, 2]),
        metadata={"robot": "arm 3"},
    )  # fmt: skip
    assert data.metadata["env_id"] == "my_module:Arm-v0"
    assert data.metadata["robot"] == "arm 3"
    assert (data.metadata["action_low"], data.metadata["action_high"]) == ([-1, -1], [1, 2])
    ref = EnvRef("Pendulum-v1", {"g": 9.8}, 2)
    metadata = Trajectories.from_arrays(STATES, ACTIONS, lengths=LENGTHS, env=ref).metadata
    assert (metadata["env_kwargs"], metadata["history"]) == ({"g": 9.8}, 2)


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.uint8])
def test_discrete_actions_become_one_hot(dtype: Any) -> None:
    taken = (np.arange(9) % 3).astype(dtype)
    data = Trajectories.from_arrays(STATES, taken, lengths=LENGTHS, categories=[3])
    np.testing.assert_array_equal(data.actions, np.eye(3)[np.arange(9) % 3][LED_SOMEWHERE])
    assert data.metadata["action_categories"] == [3]
    pairs = np.stack([taken, taken], axis=1)
    data = Trajectories.from_arrays(STATES, pairs, lengths=LENGTHS, categories=(3, 4))
    assert data.actions.shape == (6, 7)
    assert world_shape(None, data)[2].categories == (3, 4)


@pytest.mark.parametrize("seen", [STATES, IMAGES])
def test_frames_are_stacked_as_an_environment_does(seen: np.ndarray) -> None:
    data = Trajectories.from_arrays(seen, ACTIONS, lengths=LENGTHS, history=3, env="Pendulum-v1")
    shown = data.states if data.observations is None else data.observations
    rows = [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [4, 4, 4], [4, 4, 5], [6, 6, 6], [6, 6, 7],
            [6, 7, 8]]  # fmt: skip
    expected = [np.concatenate([seen[row] for row in each], axis=-1) for each in rows]
    np.testing.assert_array_equal(shown, np.stack(expected).astype(shown.dtype))
    assert data.metadata["history"] == 3
    again = Trajectories.from_arrays(seen, ACTIONS, lengths=LENGTHS, history=1)
    assert "history" not in again.metadata


NAN = np.where(np.arange(9)[:, None] == 6, np.nan, ACTIONS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": None}, r"told apart in one way, by .* got \[\]; give one"),
        ({"terminals": np.zeros(9)}, r"got \['terminals', 'lengths'\]; give one of them"),
        ({"lengths": [4, 4]}, "lengths must give episodes .* 9 in all, .* 8 in all"),
        ({"lengths": [8, 1]}, "of at least 2 states.* lengths of 1 to 8.*leave out shorter"),
        ({"lengths": None, "terminals": [1, 0]}, "a number per state, got 2 of 9 states"),
        ({"lengths": None, "episode_ids": [0, 0, 0, 1, 1, 1, 0, 0, 0]}, "3 runs of 2 ids; sort"),
        ({"actions": ACTIONS[:5]}, r"one per state \(9\) or one fewer .* \(6\), got 5"),
        ({"actions": NAN}, "must be finite, got .*nan.* in step 0 of episode 2; leave"),
        ({"actions": np.array(["a"] * 9)}, "actions must be numbers, got <U1"),
        ({"actions": np.zeros((9, 2, 2))}, r"actions must be rows of numbers \(N, S\), got"),
        ({"observations": np.full((9, 2), np.inf)}, r"states must be finite, got \[inf inf\]"),
        ({"observations": np.zeros((9, 5, 5))}, "flatten each row, or give images of at least 8"),
        ({"observations": IMAGES - 1.5}, "images in .* got values from -1.5 to 253.5; rescale"),
        ({"observations": IMAGES * np.uint16(2)}, "got values from 0 to 510; rescale"),
        ({"observations": np.full(IMAGES.shape, np.nan)}, "images .* got values from nan to nan"),
        ({"states": STATES[:4]}, "states and actions must have .* rows"),
        ({"layout": [[1], [2]]}, "3 episodes and 2 layouts"),
        ({"bounds": (-0.1, 1)}, r"hold all actions, got \[-0.1, -0.1\] to .*; widen them"),
        ({"categories": [3], "actions": np.arange(9)}, r"less than \[3\], got 1 of 0.0 to 7.0"),
        ({"categories": [3], "actions": np.ones((9, 2))}, "count from 0, or give"),
        ({"categories": [3], "actions": np.full(9, 0.5)}, "must be integers from 0"),
        ({"categories": [3], "bounds": (0, 1)}, "bounds or categories, got both"),
        ({"history": 0}, "history must be at least 1, got 0"),
        ({"history": 2, "env": EnvRef("A-v0", {}, 2)}, "stacked once, got history 2 for"),
        ({"observations": [STATES[:4], STATES[4:]]}, "rows of one shape, .* leave out lengths"),
        ({"bounds": (1, -1)}, "bounds must be low < high"),
        ({"bounds": ([-1, -1, -1], 1)}, r"one number or 2, as actions have, got shapes \(3,\)"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"observations": STATES, "actions": ACTIONS, "lengths": LENGTHS}
    with pytest.raises(TrajectoryFileError, match=message):
        Trajectories.from_arrays(**arguments | changes)


def test_lists_of_episodes_that_do_not_fit_are_named() -> None:
    with pytest.raises(TrajectoryFileError, match=r"rows of one shape, got \[\(2,\), \(3,\)\]"):
        Trajectories.from_arrays([STATES, STATES[:, :2]], [ACTIONS, ACTIONS])
    with pytest.raises(TrajectoryFileError, match=r"got \[5, 4\] actions for \[4, 5\] states"):
        Trajectories.from_arrays([STATES[:4], STATES[4:]], [ACTIONS[:5], ACTIONS[5:]])
    with pytest.raises(TrajectoryFileError, match=r"actions\[1\] must be numbers"):
        Trajectories.from_arrays([STATES, STATES], [ACTIONS, np.array([None] * 9)])
