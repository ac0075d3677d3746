from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from jepa_agent import Trajectories
from jepa_agent.data import painted, trajectory_file
from jepa_agent.data.painted import PaintedFrames
from jepa_agent.data.trajectory_file import (
    TrajectoryFileError,
    TrajectoryWriter,
    partial_path,
    seal,
)
from jepa_agent.data.windows import ObservationSource, Windows, WindowSampler

LENGTHS = (9, 4, 12, 7, 10)
"""States per episode."""


def uneven() -> Trajectories:
    """Episodes of unequal length; every state and action says where it comes from."""
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)
    states = [(e, t) for e, length in enumerate(LENGTHS) for t in range(length)]
    actions = [(e, t) for e, length in enumerate(LENGTHS) for t in range(length - 1)]
    layout = [[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [3.0, 0.0], [2.0, 0.0]]
    return Trajectories(
        np.array(states, dtype=np.float32),
        np.array(actions, dtype=np.float32),
        np.array(layout, dtype=np.float32),
        offsets,
        {"env_id": "Line-v0", "env_kwargs": {"layout": [[1, 2]]}, "π": 0.1},
    )


def assert_equal(first: Trajectories, second: Trajectories) -> None:
    for field in ("states", "actions", "layout", "offsets"):
        one, other = getattr(first, field), getattr(second, field)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert first.metadata == second.metadata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A good file."""
    uneven().save(tmp_path / "data.h5")
    return tmp_path / "data.h5"


def sampler(chunk: int = 2, horizon: int = 3, data: Trajectories | None = None) -> WindowSampler:
    return WindowSampler(data or uneven(), chunk, horizon, torch.device("cpu"))


def draw(sampler: WindowSampler, groups: int, windows: int, seed: int = 0) -> Windows:
    return sampler.draw(groups, windows, torch.Generator().manual_seed(seed))


def test_a_file_gives_back_what_was_saved(path: Path) -> None:
    assert_equal(Trajectories.load(path), uneven())
    assert len(Trajectories.load(str(path))) == len(LENGTHS)


def test_saving_makes_folders_and_replaces_an_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "data.h5"
    dataclasses.replace(uneven(), metadata={}).save(path)
    uneven().save(path)
    assert_equal(Trajectories.load(path), uneven())
    assert os.listdir(path.parent) == ["data.h5"]


def test_rollouts_are_flattened_episode_by_episode() -> None:
    states = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    actions = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    data = Trajectories.from_rollouts(states, actions, np.zeros((2, 1), np.float32), {})
    assert data.offsets.tolist() == [0, 4, 8]
    np.testing.assert_array_equal(data.states[4:], states[1])
    np.testing.assert_array_equal(data.actions[3:], actions[1])


@pytest.mark.parametrize("step", ["create_dataset", "replace"])
def test_a_failing_write_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("no space left on device")

    old = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(*((h5py.Group, step) if step == "create_dataset" else (os, step)), fail)
        with pytest.raises(OSError, match="no space"):
            dataclasses.replace(uneven(), metadata={"new": True}).save(path)
    assert path.read_bytes() == old
    assert set(os.listdir(path.parent)) <= {path.name, partial_path(path).name}
    uneven().save(path)
    assert os.listdir(path.parent) == [path.name]


def test_whole_episodes_survive_a_crash(tmp_path: Path) -> None:
    path, crashed = tmp_path / "data.h5", tmp_path / "crashed.h5.partial"
    episodes = list(uneven().episodes())
    with TrajectoryWriter(path, uneven().metadata) as writer:
        for episode in episodes[:3]:
            writer.append(episode)
        crashed.write_bytes(partial_path(path).read_bytes())  # what the disk holds at this moment
        assert_rejected(crashed, "interrupted after 3 whole episodes; keep them with")
        assert_rejected(path, "must exist, .*but an unfinished")
        recovered = Trajectories.load(crashed, recover=True)
    assert_equal(recovered, Trajectories.load(path))
    for episode, again in zip(episodes, recovered.episodes(), strict=False):
        assert_equal(episode, again)


def assert_rejected(path: Path, message: str) -> None:
    with pytest.raises(TrajectoryFileError, match=message) as caught:
        Trajectories.load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    assert_rejected(tmp_path / "none.h5", "must exist, .*make it with `jepa-agent collect`")
    assert_rejected(tmp_path, "must exist")


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.2, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_rejected(path: Path, kept: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert_rejected(path, "must have the checksum|must be a trajectory file of this library")


def test_bytes_that_are_not_hdf5_are_rejected(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 a zip file" * 100)
    assert_rejected(path, "must be a trajectory file of this library")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_a_flipped_bit_is_named(path: Path, share: float) -> None:
    content = bytearray(path.read_bytes())
    content[512 + int(share * (len(content) - 512))] ^= 1
    path.write_bytes(content)
    assert_rejected(path, "must have the checksum that it begins with")


def test_a_sealed_file_of_something_else_is_named(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:512] + b"no HDF5")
    seal(path)
    assert_rejected(path, "must be a complete HDF5 trajectory file")


def test_a_foreign_hdf5_file_is_rejected(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["states"] = np.zeros(3)
    assert_rejected(tmp_path / "foreign.h5", "must be a trajectory file of this library")


@contextlib.contextmanager
def edited(path: Path) -> Iterator[h5py.File]:
    """The file, opened to be changed; its checksum follows."""
    with h5py.File(path, "a") as file:
        yield file
    seal(path)


@pytest.mark.parametrize("version", [0, 3, "2"])
def test_another_version_is_rejected(path: Path, version: Any) -> None:
    with edited(path) as file:
        file.attrs["version"] = version
    assert_rejected(path, f"must have version 2, got {version}")


@pytest.mark.parametrize("name", ["states", "actions", "layout", "offsets"])
def test_a_missing_array_is_rejected(path: Path, name: str) -> None:
    with edited(path) as file:
        del file[name]
    assert_rejected(path, name)


@pytest.mark.parametrize("name", ["states", "actions", "layout", "offsets"])
def test_arrays_that_do_not_fit_together_are_rejected(path: Path, name: str) -> None:
    with edited(path) as file:
        shortened = file[name][:-1]
        del file[name]
        file[name] = shortened
    assert_rejected(path, "offsets")


def test_broken_metadata_are_rejected(path: Path) -> None:
    with edited(path) as file:
        file.attrs["metadata"] = "{"
    assert_rejected(path, "must be a complete HDF5 trajectory file")


@pytest.mark.parametrize("offsets", [[0], [0, 1, 42], [0, 9, 13, 25, 32, 41]])
def test_offsets_must_fit(offsets: list[int]) -> None:
    with pytest.raises(TrajectoryFileError, match=r"by the offsets|offsets must bound"):
        dataclasses.replace(uneven(), offsets=np.array(offsets))


def test_windows_are_true_pieces_of_episodes() -> None:
    data, chunk, horizon = uneven(), 2, 3
    windows = draw(sampler(chunk, horizon), groups=2, windows=50)
    assert windows.states.shape == (2, 50, horizon + 1, 2)
    assert windows.actions.shape == (2, 50, horizon, chunk * 2)
    assert windows.layout.shape == (2, 1, 1, 2)
    for group in range(2):
        for row in range(50):
            episode, start = windows.states[group, row, 0].int().tolist()
            ends = [[episode, start + chunk * h] for h in range(horizon + 1)]
            steps = [[episode, start + t] for t in range(chunk * horizon)]
            assert windows.states[group, row].tolist() == ends
            assert windows.actions[group, row].reshape(-1, 2).tolist() == steps
            assert start + chunk * horizon < LENGTHS[episode]
            assert windows.layout[group, 0, 0].tolist() == data.layout[episode].tolist()


def test_every_window_is_drawn() -> None:
    windows = draw(sampler(), groups=3, windows=400)
    drawn = {tuple(first) for first in windows.states[:, :, 0].reshape(-1, 2).tolist()}
    assert drawn == {(e, t) for e, length in enumerate(LENGTHS) for t in range(length - 6)}


def test_windows_may_fill_their_episode() -> None:
    windows = draw(sampler(chunk=11, horizon=1), groups=1, windows=3)
    assert windows.states[0, :, :, 1].tolist() == [[0.0, 11.0]] * 3


def test_contexts_are_distinct_while_there_are_enough() -> None:
    source = sampler()
    assert source.num_layouts == 3
    for seed in range(20):
        assert len(draw(source, 3, 1, seed).layout.unique(dim=0)) == 3
    assert draw(source, 5, 4).states.shape[:2] == (5, 4)


def test_what_no_episode_changes_tells_layouts_apart_if_the_world_does_not() -> None:
    data = dataclasses.replace(uneven(), layout=np.zeros((len(LENGTHS), 0)))
    assert sampler(data=data).num_layouts == 4  # one is too short
    windows = draw(sampler(data=data), groups=4, windows=9)
    assert windows.layout.shape == (4, 1, 1, 0)
    episodes = windows.states[..., 0]  # the component that is constant
    assert (episodes == episodes[:, :1, :1]).all()
    assert len(episodes[:, 0, 0].unique()) == 4
    moving = dataclasses.replace(data, states=data.states + data.states[:, [1, 0]])
    assert sampler(data=moving).num_layouts == 1


def test_contexts_are_drawn_about_equally_often() -> None:
    first = [draw(sampler(), 1, 1, seed).layout[0, 0, 0, 0].item() for seed in range(300)]
    assert all(first.count(layout) > 60 for layout in (1.0, 2.0, 3.0))


def test_same_seed_same_windows_and_other_seeds_differ() -> None:
    first, again, other = (draw(sampler(), 2, 8, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.states, other.states)


def test_episodes_too_short_for_a_window_are_an_error() -> None:
    with pytest.raises(ValueError, match="4 chunks of 3 steps need episodes of 13 states, got at"):
        sampler(chunk=3, horizon=4)


def test_views_are_rendered_stored_or_the_states() -> None:
    """Observations of windows, and of any rows."""
    data, device = uneven(), torch.device("cpu")
    windows = draw(sampler(), 2, 8)
    rows, states = windows.frame_index, windows.states
    stored = np.arange(42 * 6, dtype=np.uint8).reshape(42, 2, 3, 1)
    kept = dataclasses.replace(data, observations=stored)
    for source, expected in (
        (ObservationSource(data, None, device), states),
        (ObservationSource(kept, None, device), torch.as_tensor(stored)[rows]),
        (ObservationSource(kept, lambda s, c: s + c, device), states + windows.layout),
    ):
        assert torch.equal(source(windows), expected)
        assert torch.equal(source.at(rows), expected)


@pytest.mark.parametrize("damage", ["truncated", "longer", "foreign"])
def test_a_file_that_stays_on_the_disk_is_recognised_without_being_read(
    path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trajectory_file, "_digest", lambda _: pytest.fail("read whole"))
    assert len(Trajectories.load(path, in_memory=False)) == 5
    content = path.read_bytes()
    damaged = {"truncated": content[:-1], "longer": content + b"x", "foreign": b"PK" + content[2:]}
    path.write_bytes(damaged[damage])
    with pytest.raises(TrajectoryFileError, match=r"must have the checksum|must be a trajectory"):
        Trajectories.load(path, in_memory=False)


def test_a_file_that_does_not_say_its_size_is_read_whole(path: Path) -> None:
    """Files of version 0.1."""
    content = bytearray(path.read_bytes())
    _, size, _ = bytes(content[:512]).split(b"\n")
    content[:512] = bytes(content[:512]).replace(size + b"\n", bytes(len(size) + 1))
    path.write_bytes(content)
    for in_memory in (True, False):
        assert len(Trajectories.load(path, in_memory=in_memory)) == 5
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(TrajectoryFileError, match="must have the checksum"):
        Trajectories.load(path, in_memory=False)


@pytest.mark.parametrize("history", [2, 3])
def test_several_frames_are_rendered_and_the_first_of_an_episode_is_repeated(history: int) -> None:
    data = dataclasses.replace(uneven(), metadata={"history": history})

    def render(states: torch.Tensor, layout: torch.Tensor) -> torch.Tensor:
        return (states + layout)[..., None, None, :].to(torch.uint8)

    source = ObservationSource(data, render, torch.device("cpu"))
    kept = ObservationSource(data, render, torch.device("cpu"), again=True)
    windows = draw(sampler(data=data), 4, 5)
    seen = source(windows)
    assert seen.shape == (*windows.frame_index.shape, 1, 1, 2 * history)
    for again in (source.at(windows.frame_index), kept(windows), kept.at(windows.frame_index)):
        np.testing.assert_array_equal(seen, again)
    for at in np.ndindex(*windows.frame_index.shape):
        row = int(windows.frame_index[at])
        episode = int(np.searchsorted(data.offsets, row, side="right")) - 1
        rows = [max(row - back, data.offsets[episode]) for back in range(history)][::-1]
        expected = (data.states[rows] + data.layout[episode]).reshape(-1)
        np.testing.assert_array_equal(seen[at].reshape(-1), expected.astype(np.uint8))


def test_kept_frames_are_rendered_once_unless_there_is_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, rendered = uneven(), list[int]()

    def render(states: torch.Tensor, layout: torch.Tensor) -> torch.Tensor:
        rendered.append(len(states))
        return (states + layout)[..., None, None, :].to(torch.uint8)

    rows = torch.tensor([[3, 3], [5, 0]])
    frames = PaintedFrames(data, render)
    first, second, third = frames(rows), frames(rows), frames(torch.tensor([5, 1]))
    assert rendered == [1, 3, 1]  # one for the shape, then what is new
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(third[0], first[1, 0])
    monkeypatch.setattr(painted, "AT_MOST", 0)
    np.testing.assert_array_equal(PaintedFrames(data, render)(rows), first)
