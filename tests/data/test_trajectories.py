"""Writing and reading trajectories: exact, and nothing is ever lost."""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from jepa_agent import Trajectories
from jepa_agent.data.trajectory_file import (
    OnDisk,
    TrajectoryFileError,
    TrajectoryWriter,
    partial_path,
)
from jepa_agent.data.windows import ObservationSource


def equal(first: Trajectories, second: Trajectories) -> bool:
    names = ("states", "actions", "layout", "offsets", "observations")
    pairs = [(getattr(first, name), getattr(second, name)) for name in names]
    return first.metadata == second.metadata and all(
        (a is None and b is None) or (a.dtype == b.dtype and np.array_equal(a, b)) for a, b in pairs
    )


def with_images(trajectories: Trajectories) -> Trajectories:
    """Random images and no layout, as of an environment without a batched renderer."""
    images = np.random.default_rng(0).integers(0, 256, (len(trajectories.states), 9, 7, 3))
    return Trajectories(
        trajectories.states,
        trajectories.actions,
        np.zeros((len(trajectories), 0), dtype=np.float32),
        trajectories.offsets,
        {"env_id": "Toy-v0", "env_kwargs": {}},
        images.astype(np.uint8),
    )


def test_images_and_empty_contexts_survive_the_disk(
    tiny_trajectories: Trajectories, tmp_path: Path
) -> None:
    stored = with_images(tiny_trajectories)
    stored.save(tmp_path / "images.h5")
    assert equal(Trajectories.load(tmp_path / "images.h5"), stored)


def test_images_may_stay_on_the_disk(tiny_trajectories: Trajectories, tmp_path: Path) -> None:
    stored = with_images(tiny_trajectories)
    stored.save(tmp_path / "images.h5")
    loaded = Trajectories.load(tmp_path / "images.h5", in_memory=False)
    assert isinstance(loaded.observations, OnDisk)
    assert isinstance(loaded.states, np.ndarray)
    rows = np.random.default_rng(0).integers(len(stored.states), size=(5, 7))
    assert stored.observations is not None
    np.testing.assert_array_equal(loaded.observations[rows], stored.observations[rows])
    for kept, read in zip(stored.episodes(), loaded.episodes(), strict=True):
        assert equal(kept, read)
    views = (ObservationSource(each, None, torch.device("cpu")) for each in (stored, loaded))
    seen = [view.at(torch.as_tensor(rows)) for view in views]
    assert torch.equal(*seen)
    loaded.save(tmp_path / "copy.h5")
    assert equal(Trajectories.load(tmp_path / "copy.h5"), stored)


def test_episodes_one_by_one_make_the_same_file(
    tiny_trajectories: Trajectories, tmp_path: Path
) -> None:
    path = tmp_path / "one-by-one.h5"
    with TrajectoryWriter(path, tiny_trajectories.metadata) as writer:
        for episode in tiny_trajectories.episodes():
            writer.append(episode)
    assert equal(Trajectories.load(path), tiny_trajectories)
    assert os.listdir(tmp_path) == [path.name]


KILLED = """
import os, signal, sys
from jepa_agent import Trajectories
from jepa_agent.data.trajectory_file import TrajectoryWriter

source = Trajectories.load(sys.argv[1])
writer = TrajectoryWriter(sys.argv[2], source.metadata)
for index, episode in enumerate(source.episodes()):
    writer.append(episode)
    if index == 4:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_leaves_whole_episodes_and_the_old_file(
    tiny_trajectories: Trajectories, tmp_path: Path
) -> None:
    source, path = tmp_path / "source.h5", tmp_path / "out.h5"
    tiny_trajectories.save(source)
    tiny_trajectories.save(path)
    command = [sys.executable, "-c", KILLED, str(source), str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert equal(Trajectories.load(path), tiny_trajectories)
    unfinished = partial_path(path)
    with pytest.raises(TrajectoryFileError, match="interrupted after 5 whole episodes"):
        Trajectories.load(unfinished)
    rescued = Trajectories.load(unfinished, recover=True)
    assert len(rescued) == 5
    expected = list(tiny_trajectories.episodes())[:5]
    for kept, episode in zip(rescued.episodes(), expected, strict=True):
        assert np.array_equal(kept.states, episode.states)
        assert np.array_equal(kept.actions, episode.actions)


def test_a_missing_file_points_to_its_unfinished_one(
    tiny_trajectories: Trajectories, tmp_path: Path
) -> None:
    path = tmp_path / "out.h5"

    def stop_midway() -> None:
        with TrajectoryWriter(path, {}) as writer:
            writer.append(tiny_trajectories)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_midway()
    with pytest.raises(TrajectoryFileError, match=r"unfinished .*out\.h5\.partial"):
        Trajectories.load(path)
    assert len(Trajectories.load(partial_path(path), recover=True)) == len(tiny_trajectories)


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    for name in ("data.h5", "data.h5.partial"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
        with pytest.raises(TrajectoryFileError, match=rf"{name} must be a .*trajectory file"):
            Trajectories.load(tmp_path / name, recover=True)
    assert not (tmp_path / "exploded").exists()


FULL_DISK = """
import resource, signal, sys
import numpy as np
from jepa_agent import Trajectories

source = Trajectories.load(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
big = Trajectories(
    np.repeat(source.states, 500, axis=1), source.actions, source.layout, source.offsets, {}
)
try:
    big.save(sys.argv[2])
except OSError as error:
    print(error)
"""


def test_a_full_disk_is_a_clear_error_and_the_old_file_is_intact(
    tiny_trajectories: Trajectories, tmp_path: Path
) -> None:
    """A limit on the size of files stands in for the full disk."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    source, path = tmp_path / "source.h5", tmp_path / "out.h5"
    tiny_trajectories.save(source)
    tiny_trajectories.save(path)
    command = [sys.executable, "-c", FULL_DISK, str(source), str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "out.h5.partial failed" in result.stdout, result.stderr
    assert "free some space" in result.stdout
    assert equal(Trajectories.load(path), tiny_trajectories)


def vectors(**changes: Any) -> Trajectories:
    """Three episodes of plain numpy arrays."""
    rng = np.random.default_rng(0)
    parts: dict[str, Any] = {
        "states": rng.normal(size=(15, 3)),
        "actions": rng.uniform(-1, 1, (12, 2)),
        "layout": np.zeros((3, 0)),
        "offsets": [0, 4, 10, 15],
        "metadata": {"env_id": "Toy-v0", "env_kwargs": {}},
    }
    return Trajectories(**parts | changes)


def test_numbers_of_other_types_become_float32() -> None:
    data = vectors(layout=np.arange(3)[:, None], observations=np.arange(15)[:, None])
    for part in (data.states, data.actions, data.layout, data.observations):
        assert part.dtype == np.float32
    assert data.layout[:, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"states": np.zeros(15)}, r"states must be rows of numbers, got float64 \(15,\)"),
        ({"actions": np.array([["a"]] * 12)}, "actions must be rows of numbers, got <U1"),
        (
            {"actions": np.full((12, 2), np.nan)},
            r"actions must be finite, got \[nan nan\] in row",
        ),
        ({"states": np.full((15, 1), 1e300)}, r"states must be finite, got \[inf\] in row 0"),
        ({"observations": np.zeros((15, 8, 8, 3))}, "observations must be uint8 images .* float64"),
        ({"observations": np.zeros((15, 8, 8), np.uint8)}, r"observations .*uint8 \(15, 8, 8\)"),
    ],
)
def test_arrays_of_the_wrong_kind_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrajectoryFileError, match=message):
        vectors(**changes)


def test_a_copy_of_observations_on_the_disk_opens_them_again(
    tiny_trajectories: Trajectories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stored = with_images(tiny_trajectories)
    stored.save("images.h5")
    loaded = Trajectories.load("images.h5", in_memory=False)
    monkeypatch.chdir("/")
    for again in (pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):
        assert isinstance(again.observations, OnDisk)
        assert equal(dataclasses.replace(again, observations=again.observations[:]), stored)


def test_the_checksum_tells_data_apart(tiny_trajectories: Trajectories, tmp_path: Path) -> None:
    stored = with_images(tiny_trajectories)
    stored.save(tmp_path / "images.h5")
    loaded = Trajectories.load(tmp_path / "images.h5", in_memory=False)
    assert loaded.checksum() == stored.checksum()
    assert isinstance(stored.observations, np.ndarray)
    changes = [
        {"states": stored.states + 1},
        {"actions": stored.actions * 2},
        {"layout": stored.layout[:, :0]},
        {"observations": 255 - stored.observations},
    ]
    others = [dataclasses.replace(tiny_trajectories, layout=np.ones((len(stored), 1)))]
    others += [dataclasses.replace(stored, **change) for change in changes]
    found = {stored.checksum(), *(other.checksum() for other in others)}
    assert len(found) == 5  # an empty layout is none


def test_joined_recordings_are_their_episodes_in_a_row(tiny_trajectories: Trajectories) -> None:
    first = with_images(tiny_trajectories)
    second = Trajectories.concatenate(list(first.episodes())[:3])
    joined = Trajectories.concatenate([first, second])
    assert len(joined) == len(first) + 3
    assert joined.metadata["env_id"] == "Toy-v0"
    assert joined.metadata["recordings"] == [first.metadata, second.metadata]
    expected = [*first.episodes(), *second.episodes()]
    for episode, whole in zip(joined.episodes(), expected, strict=True):
        assert equal(dataclasses.replace(episode, metadata=whole.metadata), whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"metadata": {"env_id": "Other-v0", "env_kwargs": {}}},
            "env_id, got Toy-v0 and Other",
        ),
        (
            {"metadata": {"env_id": "Toy-v0", "env_kwargs": {}, "history": 2}},
            "history, got 1",
        ),
        ({"states": np.zeros((15, 4))}, r"one size of states, got \(3,\) and \(4,\)"),
        ({"observations": np.zeros((15, 2))}, r"one size of observations, got None and \(2,\)"),
    ],
)
def test_recordings_that_do_not_fit_are_not_joined(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrajectoryFileError, match=message):
        Trajectories.concatenate([vectors(), vectors(**changes)])


def test_a_tilde_is_the_home_folder(
    tiny_trajectories: Trajectories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tiny_trajectories.save("~/data.h5")
    assert os.listdir(tmp_path) == ["data.h5"]
    assert equal(Trajectories.load("~/data.h5"), tiny_trajectories)
