"""Archives of arrays: OGBench's, as its reader expects them, and our own names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jepa_agent.data.formats import Selection, read
from jepa_agent.data.trajectory_file import TrajectoryFileError

from .conftest import Logged


@pytest.fixture
def ogbench(logged: Logged) -> dict[str, Any]:
    """States beside what is seen; the last action of an episode is real, and leads nowhere."""
    return {
        "observations": logged.states,
        "actions": logged.actions,
        "terminals": np.isin(np.arange(9), logged.last).astype(np.float32),
        "qpos": logged.states[:, :2].astype(np.float64),
        "qvel": logged.states[:, 2:].astype(np.float64),
    }


def test_states_of_ogbench(logged: Logged, ogbench: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "pointmaze-medium-navigate-v0.npz"
    np.savez_compressed(path, **ogbench)
    data = read([path])
    np.testing.assert_array_equal(data.states, logged.states)
    np.testing.assert_array_equal(data.actions, logged.kept)
    assert data.offsets.tolist() == [0, 4, 6, 9]
    assert data.observations is None
    assert data.metadata["format"] == "ogbench"
    data = read([path], selection=Selection("qpos"))
    np.testing.assert_array_equal(data.observations, logged.states[:, :2])


def test_pixels_of_ogbench(logged: Logged, ogbench: dict[str, Any], tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", **ogbench | {"observations": logged.images})
    data = read([tmp_path / "a.npz"])
    np.testing.assert_array_equal(data.observations, logged.images)
    np.testing.assert_array_equal(data.states, logged.states)


@pytest.mark.parametrize("division", ["terminals", "lengths", "episode_ids"])
@pytest.mark.parametrize("short", [False, True])
def test_our_names(logged: Logged, tmp_path: Path, division: str, short: bool) -> None:
    terminals = np.isin(np.arange(9), logged.last)
    ways = {"terminals": terminals, "lengths": logged.lengths, "episode_ids": logged.ids}
    np.savez(
        tmp_path / "a.npz", observations=logged.images / 255, states=logged.states,
        actions=logged.kept if short else logged.actions, layout=[1, 2, 3], action_low=-2,
        action_high=[2.0, 3.0], **{division: ways[division]},
    )  # fmt: skip
    data = read([tmp_path / "a.npz"])
    np.testing.assert_array_equal(data.observations, logged.images)
    np.testing.assert_array_equal(data.states, logged.states)
    np.testing.assert_array_equal(data.actions, logged.kept)
    assert data.layout[:, 0].tolist() == [1, 2, 3]
    assert data.metadata["format"] == "numpy"
    assert data.metadata["action_low"] == [-2, -2]
    assert data.metadata["action_high"] == [2, 3]


def test_vectors_are_the_state_where_there_is_no_other(logged: Logged, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, observations=logged.states, actions=logged.actions, lengths=[9])
    for observation in ("", "state", "observations"):
        data = read([path], selection=Selection(observation))
        np.testing.assert_array_equal(data.states, logged.states)
        assert data.observations is None
    with pytest.raises(ValueError, match=r"one column of images, got \[\]"):
        read([path], selection=Selection("pixels"))
    np.savez(path, observations=logged.images, actions=logged.actions, lengths=[9])
    with pytest.raises(ValueError, match=r"a column, .* got state"):
        read([path], selection=Selection("state"))
    assert read([path]).states.shape == (9, 0)


def test_discrete_actions(logged: Logged, tmp_path: Path) -> None:
    """By the file itself, or by what is selected."""
    arrays = {"observations": logged.states, "actions": np.arange(9) % 2, "lengths": [9]}
    np.savez(tmp_path / "a.npz", **arrays, categories=2)
    np.savez(tmp_path / "b.npz", **arrays)
    chosen = [read([tmp_path / "a.npz"])]
    chosen.append(read([tmp_path / "b.npz"], selection=Selection(categories=(2,))))
    for data in chosen:
        np.testing.assert_array_equal(data.actions, np.eye(2)[np.arange(8) % 2])


def test_arrays_in_fortran_order_are_read_too(logged: Logged, tmp_path: Path) -> None:
    states = np.asfortranarray(logged.states)
    np.savez(tmp_path / "a.npz", observations=states, actions=logged.actions, lengths=[9])
    np.testing.assert_array_equal(read([tmp_path / "a.npz"]).states, logged.states)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": None}, "told apart in one way"),
        ({"lengths": [4, 4]}, "lengths must give episodes .* 9 in all"),
        ({"actions": np.zeros((7, 2))}, "one per state or one fewer in each episode, got 7 for 9"),
        ({"speeds": np.zeros(9)}, r"arrays must be among .* got \['speeds'\] too"),
        ({"states": np.zeros((4, 2))}, "a row per step"),
    ],
)
def test_what_does_not_fit_is_named(
    logged: Logged, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    arrays = {"observations": logged.states, "actions": logged.actions, "lengths": logged.lengths}
    kept = {name: each for name, each in (arrays | changes).items() if each is not None}
    np.savez(tmp_path / "a.npz", **kept)
    with pytest.raises(TrajectoryFileError, match=rf"a\.npz.*{message}"):
        read([tmp_path / "a.npz"])
