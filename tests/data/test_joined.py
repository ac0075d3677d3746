"""Arrays one after the other are read like their concatenation."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_agent import Trajectories
from jepa_agent.data.formats import read
from jepa_agent.data.joined import Joined
from jepa_agent.data.trajectory_file import TrajectoryFileError
from jepa_agent.data.windows import ObservationSource

PARTS = [np.arange(begin, end, dtype=np.uint8).reshape(-1, 2) for begin, end in
         ((0, 8), (8, 10), (10, 30))]  # fmt: skip
WHOLE = np.concatenate(PARTS)


@pytest.mark.parametrize(
    "rows",
    [
        slice(None),
        slice(3, 6),
        slice(7, 3),
        np.array([], dtype=np.int64),
        np.array([4]),
        np.array([[14, 0], [4, 4], [5, 3]]),
    ],
)
def test_rows_are_those_of_the_concatenation(rows: slice | np.ndarray) -> None:
    joined = Joined(PARTS)
    assert (len(joined), joined.shape, joined.dtype) == (15, (15, 2), np.uint8)
    found = joined[rows]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, WHOLE[rows])


def recording(tiny: Trajectories, seed: int) -> Trajectories:
    """Random images in the place of what the environment would render."""
    images = np.random.default_rng(seed).integers(0, 256, (len(tiny.states), 9, 7, 3))
    return dataclasses.replace(tiny, observations=images.astype(np.uint8))


def test_files_are_joined_in_memory_and_on_the_disk(
    tiny_trajectories: Trajectories, tmp_path: Path
) -> None:
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for seed, path in enumerate(paths):
        recording(tiny_trajectories, seed).save(path)
    memory, disk = read(paths), read(paths, in_memory=False)
    assert isinstance(memory.observations, np.ndarray)
    assert isinstance(disk.observations, Joined)
    assert len(disk) == 2 * len(tiny_trajectories)
    assert disk.checksum() == memory.checksum()
    rows = torch.tensor([[3, 500, 7], [0, len(disk.states) - 1, 415]])
    seen = [ObservationSource(data, None, torch.device("cpu")).at(rows) for data in (memory, disk)]
    assert torch.equal(*seen)
    again = pickle.loads(pickle.dumps(disk))
    np.testing.assert_array_equal(again.observations[rows.numpy()], seen[0].numpy())
    disk.save(tmp_path / "c.h5")
    np.testing.assert_array_equal(
        Trajectories.load(tmp_path / "c.h5").observations, memory.observations
    )


def test_a_file_alone_keeps_its_metadata(tiny_trajectories: Trajectories, tmp_path: Path) -> None:
    tiny_trajectories.save(tmp_path / "a.h5")
    assert read([tmp_path / "a.h5"]).metadata == tiny_trajectories.metadata


def test_files_of_different_environments_are_not_joined(
    tiny_trajectories: Trajectories, tmp_path: Path
) -> None:
    tiny_trajectories.save(tmp_path / "a.h5")
    other = {**tiny_trajectories.metadata, "env_id": "Other-v0"}
    dataclasses.replace(tiny_trajectories, metadata=other).save(tmp_path / "b.h5")
    with pytest.raises(TrajectoryFileError, match="one env_id, got TwoRooms-v0 and Other-v0; "):
        read([tmp_path / "a.h5", tmp_path / "b.h5"])
