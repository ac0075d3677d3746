from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jepa_agent import Trajectories


def test_collect_writes_the_same_data_for_the_same_seed(exit_of: Callable, tmp_path: Path) -> None:
    arguments = ("--episodes", "40", "--steps", "12", "--policy", "mixed", "--out")
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        _, said = exit_of("collect", *arguments, f"{name}.h5", "--seed", seed)
        assert "40 episodes" in said
        assert f"{name}.h5" in said
    first, again, other = (Trajectories.load(tmp_path / f"{name}.h5") for name in "abc")
    for part in ("states", "actions", "layout", "offsets"):
        np.testing.assert_array_equal(getattr(first, part), getattr(again, part))
    assert (first.states != other.states).any()
    assert len(first) == 40
    assert first.metadata["collect"]["seed"] == 3
    assert sorted(os.listdir(tmp_path)) == ["a.h5", "b.h5", "c.h5"]


def test_a_tilde_in_an_option_is_the_home_folder(
    exit_of: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    code, _ = exit_of("collect", "--policy=mixed", "--episodes=2", "--steps=4", "--out=~/d.h5")
    assert code == 0
    assert os.listdir(tmp_path) == ["d.h5"]
