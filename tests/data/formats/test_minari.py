"""Minari datasets hold what we put in, to the bit."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent import Trajectories
from jepa_agent.data.formats.minari import from_minari, to_minari
from jepa_agent.data.recording import record
from jepa_agent.data.trajectory_file import TrajectoryFileError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    return tmp_path


def assert_equal(first: Trajectories, second: Trajectories) -> None:
    for name in ("states", "actions", "layout", "offsets"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.observations is None) == (second.observations is None)
    if first.observations is not None:
        np.testing.assert_array_equal(first.observations, second.observations)
    assert first.metadata == second.metadata


def test_states_and_contexts_go_out_and_come_in(tiny_trajectories: Trajectories) -> None:
    to_minari(tiny_trajectories, "two-rooms/states-v0")
    assert_equal(from_minari("two-rooms/states-v0"), tiny_trajectories)


def test_images_are_lossless(tmp_path: Path) -> None:
    env = gym.make("Pendulum-v1", render_mode="rgb_array")
    record(env, tmp_path / "p.h5", episodes=2, steps=3, pixels=True)
    env.close()
    recorded = Trajectories.load(tmp_path / "p.h5")
    to_minari(recorded, "pendulum/pixels-v0")
    assert_equal(from_minari("pendulum/pixels-v0"), recorded)


def test_a_missing_or_damaged_dataset_is_named(
    tiny_trajectories: Trajectories, folder: Path
) -> None:
    with pytest.raises(TrajectoryFileError, match="no/such-v0 must be a complete Minari dataset"):
        from_minari("no/such-v0")
    to_minari(tiny_trajectories, "two-rooms/states-v0")
    (file,) = folder.rglob("*.hdf5")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(TrajectoryFileError, match="two-rooms/states-v0 must be a complete"):
        from_minari("two-rooms/states-v0")
