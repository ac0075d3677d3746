"""Formats are found by looking at data, and columns are chosen in one way."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from jepa_agent import EnvRef, Trajectories
from jepa_agent.data.formats import FORMATS, Selection, import_data, read, recording_of
from jepa_agent.data.formats.base import resized
from jepa_agent.data.source import env_of
from jepa_agent.data.trajectory_file import TrajectoryFileError
from jepa_agent.worlds.parts import Parts
from jepa_agent.worlds.showing import shown_by

from .conftest import Logged


def saved(logged: Logged, path: Path) -> Path:
    Trajectories.from_arrays(
        logged.images, logged.actions, lengths=logged.lengths, states=logged.states,
        layout=[[1], [2], [3]], metadata={"robot": "arm 3"},
    ).save(path)  # fmt: skip
    return path


def test_our_own_file_comes_through_an_import_unchanged(logged: Logged, tmp_path: Path) -> None:
    path, out, seen = saved(logged, tmp_path / "a.h5"), tmp_path / "b.h5", []
    assert import_data(path, out, progress=lambda *done: seen.append(done)) == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    first, second = Trajectories.load(path), Trajectories.load(out)
    assert first.checksum() == second.checksum()
    assert first.metadata == second.metadata
    np.testing.assert_array_equal(first.observations, second.observations)


def test_columns_are_chosen_by_kind_or_by_name(logged: Logged, tmp_path: Path) -> None:
    path = saved(logged, tmp_path / "a.h5")
    for observation in ("", "pixels", "observations"):
        data = read(path, selection=Selection(observation))
        np.testing.assert_array_equal(data.observations, logged.images)
        np.testing.assert_array_equal(data.states, logged.states)
    for observation in ("state", "states"):
        data = read(path, selection=Selection(observation))
        assert data.observations is None
        np.testing.assert_array_equal(data.states, logged.states)
    with pytest.raises(
        ValueError, match=r"a column, .* got speed; .* has \['observations', 'states'"
    ):
        read([path], selection=Selection("speed"))
    with pytest.raises(ValueError, match="resize must be at least 0, got -1"):
        Selection(resize=-1)


def test_several_columns_are_parts_of_one_observation(logged: Logged, tmp_path: Path) -> None:
    """Also when they come from a file that has them already."""
    arrays = {"pixels": logged.images, "proprio": logged.states[:, :2], "state": logged.states}
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file["action"], file["ep_len"] = logged.actions, logged.lengths
    first, second = tmp_path / "b.h5", tmp_path / "c.h5"
    import_data(tmp_path / "a.h5", first, Selection("pixels,proprio", resize=8))
    import_data(first, second)
    for path in (first, second):
        data = Trajectories.load(path)
        parts = Parts(data.metadata["parts"]).unpack(data.observations[:])
        assert parts["pixels"].shape == (9, 8, 8, 3)
        np.testing.assert_array_equal(parts["proprio"], logged.states[:, :2])
        np.testing.assert_array_equal(data.states, logged.states)
    data = read([first], selection=Selection("proprio"))
    np.testing.assert_array_equal(data.observations, logged.states[:, :2])


def test_an_environment_and_a_size_are_given_at_the_import(logged: Logged, tmp_path: Path) -> None:
    """The environment shows vectors: it is seen by its frames, of this size."""
    source, out = saved(logged, tmp_path / "a.h5"), tmp_path / "b.h5"
    import_data(source, out, Selection(resize=8), "Pendulum-v1")
    data = Trajectories.load(out)
    assert data.observations.shape == (9, 8, 8, 3)
    np.testing.assert_allclose(data.observations[:, 0, 0], logged.images[:, 0, 0], atol=1)
    ref = env_of(data)
    assert ref is not None
    assert ref.id == "Pendulum-v1"
    assert shown_by(ref) == (8, 8, 3)
    import_data(source, out, Selection("state"), "Pendulum-v1")
    assert env_of(Trajectories.load(out)) == EnvRef("Pendulum-v1", {})
    import_data(source, out, Selection(resize=8, history=2), "Pendulum-v1")
    ref = env_of(Trajectories.load(out))
    assert ref is not None
    assert shown_by(ref) == (8, 8, 6)
    with pytest.raises(
        ValueError, match=r"of shape \(16, 12, 3\), as in the data, it shows \(3,\)"
    ):
        import_data(source, out, env="Pendulum-v1")


def test_smaller_images_are_means_and_equal_sizes_the_same() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 6)).astype(np.uint8)
    np.testing.assert_array_equal(resized(images, 16), images)
    checks = np.indices((16, 16)).sum(axis=0) % 2 * 200
    checks = np.repeat(checks[None, ..., None], 2, axis=-1).astype(np.uint8)
    small = resized(checks, 8)[0, 2:-2, 2:-2]
    assert small.shape == (4, 4, 2)
    assert np.abs(small.astype(int) - 100).max() <= 2


def test_several_formats_train_together(logged: Logged, tmp_path: Path) -> None:
    path = saved(logged, tmp_path / "a.h5")
    np.savez(
        tmp_path / "b.npz", observations=logged.images, actions=logged.actions,
        states=logged.states, lengths=logged.lengths, layout=[[4], [5], [6]],
    )  # fmt: skip
    data = read([path, tmp_path / "b.npz"])
    assert len(data) == 6
    np.testing.assert_array_equal(data.observations, np.tile(logged.images, (2, 1, 1, 1)))
    assert data.layout[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    with pytest.raises(TrajectoryFileError, match=r"must be trajectory files, .*jepa-agent import"):
        read([tmp_path / "b.npz"], in_memory=False)


def test_short_episodes_are_left_out_with_a_word(logged: Logged, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["action"], file["proprio"] = logged.actions, logged.states
        file["ep_len"], file["ep_offset"] = [4, 1, 1, 3], [0, 4, 5, 6]
    with pytest.warns(UserWarning, match="left out 2 episodes of fewer than 2 steps"):
        data = read([tmp_path / "a.h5"])
    assert np.diff(data.offsets).tolist() == [4, 3]
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["action"], file["ep_len"] = logged.actions, [1] * 9
    with pytest.raises(TrajectoryFileError, match="an episode of at least 2 steps"):
        read([tmp_path / "b.h5"])


def test_unknown_data_are_told_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(TrajectoryFileError, match=r"data must exist, got .*nothing"):
        recording_of(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_text("hello")
    h5py.File(tmp_path / "other.h5", "w").close()
    np.save(tmp_path / "one.npy", np.zeros(3))
    for name in ("notes.txt", "other.h5", "one.npy"):
        with pytest.raises(TrajectoryFileError, match=r"known format.*LeRobot.*from_arrays"):
            recording_of(tmp_path / name)
    assert len(FORMATS) == 7


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("a.pkl", 'data = np.load("a.pkl", allow_pickle=True)'),
        ("a.h5", 'data = np.load("a.h5", allow_pickle=True)'),
        ("a.pth", 'data = torch.load("a.pth", weights_only=False)'),
        ("a.npz", 'data = np.load("a.npz", allow_pickle=True)'),
        ("a.npy", 'data = np.load("a.npy", allow_pickle=True).item()'),
    ],
)
def test_pickles_are_refused_with_the_lines_that_convert_them(
    tmp_path: Path, name: str, line: str
) -> None:
    path, marker = tmp_path / name, tmp_path / "exploded"
    bomb = np.array([{"observations": Bomb(marker)}], dtype=object)
    if name == "a.pth":
        torch.save(Bomb(marker), path)
    elif name == "a.npz":
        np.savez(path, observations=bomb, actions=np.zeros((3, 1)), lengths=[3])
    elif name == "a.npy":
        np.save(path, bomb)
    else:
        path.write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(TrajectoryFileError, match="must not be pickled") as caught:
        read([path])
    assert line in str(caught.value)
    assert 'np.savez("a.npz", **arrays)' in str(caught.value)
    assert not marker.exists()


def test_the_lines_that_convert_a_pickle_do(
    logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    terminals = np.isin(np.arange(9), logged.last)
    arrays = {"observations": logged.states, "actions": logged.actions, "terminals": terminals}
    Path("a.pkl").write_bytes(pickle.dumps(arrays))
    with pytest.raises(TrajectoryFileError) as caught:
        read(["a.pkl"])
    lines = [line[4:] for line in str(caught.value).splitlines() if line.startswith("    ")]
    exec("\n".join(lines), {})
    np.testing.assert_array_equal(read(["a.npz"]).actions, logged.kept)


def test_an_import_that_fails_leaves_nothing(logged: Logged, tmp_path: Path) -> None:
    wrong = logged.actions.copy()
    wrong[5 - 1] = np.nan  # in the second episode, and not its last
    np.savez(tmp_path / "a.npz", observations=logged.states, actions=wrong, lengths=logged.lengths)
    with pytest.raises(TrajectoryFileError, match=r"a.npz, episode 1: actions must be finite"):
        import_data(tmp_path / "a.npz", tmp_path / "out.h5")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz"]


def test_images_of_several_sizes_need_one(tmp_path: Path, logged: Logged) -> None:
    recording = recording_of(saved(logged, tmp_path / "a.h5"))
    rows = recording.rows

    def uneven(column: str, episode: int) -> np.ndarray:
        found = rows(column, episode)
        return found[:, :, :10] if column == "observations" and episode == 1 else found

    recording.rows = uneven
    with pytest.raises(TrajectoryFileError, match="made alike by --resize"):
        recording.read()
    assert recording.read(Selection(resize=9)).observations.shape == (9, 9, 9, 3)


def test_large_archives_are_read_without_holding_an_array(tmp_path: Path) -> None:
    """25 times the part that is read at once."""
    import tracemalloc

    count = 200
    images = np.random.default_rng(0).integers(0, 256, (count, 64, 64, 3)).astype(np.uint8)
    np.savez(
        tmp_path / "a.npz", observations=images, actions=np.zeros((count, 1)), lengths=[8] * 25
    )
    tracemalloc.start()
    import_data(tmp_path / "a.npz", tmp_path / "out.h5")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 3
    loaded = Trajectories.load(tmp_path / "out.h5")
    np.testing.assert_array_equal(loaded.observations, images)


def test_a_damaged_archive_is_named(logged: Logged, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, observations=logged.images, actions=logged.actions, lengths=logged.lengths)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrajectoryFileError, match=r"a\.npz must be of a known format, damaged"):
        read([path])
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("observations", "actions", "lengths"):
            archive.writestr(f"{name}.npy", b"nothing")
    with pytest.raises(TrajectoryFileError, match=r"a\.npz must be a complete \.npz file"):
        read([path])
