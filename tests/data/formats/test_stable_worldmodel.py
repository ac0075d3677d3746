"""HDF5 files of stable-worldmodel, written as its documentation lays them out."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from jepa_agent.data.formats import Selection, read
from jepa_agent.data.trajectory_file import TrajectoryFileError

from .conftest import Logged


def written(logged: Logged, path: Path, index: str = "ep_len", **columns: np.ndarray) -> Path:
    actions = logged.actions.copy()
    actions[logged.last] = np.nan
    with h5py.File(path, "w", libver="latest") as file:
        steps = np.concatenate([np.arange(length) for length in logged.lengths])
        every = {"action": actions, "step_idx": steps.astype(np.int32), "reward": np.zeros(9)}
        for name, values in {**every, **columns}.items():
            file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]))
        if index == "ep_len":
            file["ep_len"] = logged.lengths.astype(np.int32)
            file["ep_offset"] = (np.cumsum(logged.lengths) - logged.lengths).astype(np.int64)
        else:
            file[index] = logged.ids.astype(np.int32)
        file["note"] = "a string"
    return path


@pytest.mark.parametrize("index", ["ep_len", "ep_idx", "episode_idx"])
def test_pixels_actions_and_states_are_those_of_the_file(
    logged: Logged, tmp_path: Path, index: str
) -> None:
    path = written(
        logged, tmp_path / "a.h5", index, pixels=logged.images, state=logged.states,
        proprio=logged.states[:, :1],
    )  # fmt: skip
    data = read([path])
    np.testing.assert_array_equal(data.observations, logged.images)
    np.testing.assert_array_equal(data.states, logged.states)
    np.testing.assert_array_equal(data.actions, logged.kept)
    assert data.metadata["format"] == "stable-worldmodel"
    assert data.offsets.tolist() == [0, 4, 6, 9]
    data = read([path], selection=Selection("proprio"))
    np.testing.assert_array_equal(data.observations, logged.states[:, :1])
    np.testing.assert_array_equal(data.states, logged.states)


def test_positions_and_speeds_make_the_state(logged: Logged, tmp_path: Path) -> None:
    halves = {"qpos": logged.states[:, :2], "qvel": logged.states[:, 2:]}
    data = read([written(logged, tmp_path / "a.h5", **halves)])
    np.testing.assert_array_equal(data.states, logged.states)
    assert data.observations is None


def test_episodes_may_lie_in_any_order(logged: Logged, tmp_path: Path) -> None:
    path = written(logged, tmp_path / "a.h5", state=logged.states)
    with h5py.File(path, "a") as file:
        file["ep_len"][...], file["ep_offset"][...] = [3, 4, 2], [6, 0, 4]
    rows = [6, 7, 8, 0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal(read([path]).states, logged.states[rows])


def test_a_missing_compression_names_the_plugin(logged: Logged, tmp_path: Path) -> None:
    """A filter that nobody has stands for Blosc."""
    path = written(logged, tmp_path / "a.h5", state=logged.states)
    with h5py.File(path, "a") as file:
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_chunk((9, 16, 12, 3))
        create.set_filter(32765, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(logged.images.shape)
        dataset = h5py.h5d.create(file.id, b"pixels", h5py.h5t.NATIVE_UINT8, space, create)
        dataset.write_direct_chunk((0, 0, 0, 0), b"squeezed")
    with pytest.raises(TrajectoryFileError, match=r"run `pip install hdf5plugin`"):
        read([path])
    assert len(read([path], selection=Selection("state"))) == 3


def test_a_damaged_or_inconsistent_file_is_named(logged: Logged, tmp_path: Path) -> None:
    path = written(logged, tmp_path / "a.h5", pixels=logged.images)
    with h5py.File(path, "a") as file:
        file["ep_len"][...] = [4, 2, 30]
    with pytest.raises(TrajectoryFileError, match=r"a\.h5 must be a complete HDF5 .* 9 rows"):
        read([path])
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(TrajectoryFileError, match=r"a\.h5 must be of a known format, damaged"):
        read([path])
