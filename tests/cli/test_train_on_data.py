"""`jepa-agent train` on data of others: several files, no environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jepa_agent import JEPAAgent, Trajectories

TINY = [
    "--training.steps", "2", "--training.refinement.steps", "2", "--training.windows-per-layout",
    "8", "--training.horizon", "2", "--training.refinement.horizon", "2", "--device", "cpu",
    "--log", "--report", "0", "--out", "run",
]  # fmt: skip
ON_IMAGES = ["train", "quick", *TINY]
ON_VECTORS = ["train", "vector", *TINY]


def recording(seed: int, images: bool = False) -> Trajectories:
    """Four episodes of 21 states of one number, whose environment nobody knows."""
    rng = np.random.default_rng(seed)
    seen = rng.integers(0, 256, (84, 24, 24, 3)).astype(np.uint8) if images else None
    states, actions = rng.normal(size=(84, 1)), rng.uniform(-1, 1, (80, 2))
    return Trajectories(states, actions, np.zeros((4, 0)), np.arange(5) * 21, {"n": seed}, seen)


@pytest.mark.parametrize("on_disk", [False, True])
def test_several_files_train_one_agent(exit_of: Callable, tmp_path: Path, on_disk: bool) -> None:
    for seed, name in enumerate(("a.h5", "b.h5")):
        recording(seed, images=True).save(tmp_path / name)
    options = ["--data-on-disk"] if on_disk else []
    code, said = exit_of(*ON_IMAGES, "--data", "a.h5", "b.h5", *options)
    assert code == 0, said
    assert "next: jepa-agent evaluate --checkpoint run --env MODULE:NAME --goals data" in said
    assert said.strip().endswith("--success-within NUMBERS")
    agent = JEPAAgent.load(tmp_path / "run")
    assert agent.notes["data"]["recordings"] == [{"n": 0}, {"n": 1}]
    assert not agent.has_environment


def test_a_training_goes_on_from_an_agent(exit_of: Callable, tmp_path: Path) -> None:
    for seed, name in enumerate(("a.h5", "b.h5")):
        recording(seed).save(tmp_path / name)
    assert exit_of(*ON_VECTORS, "--data", "a.h5")[0] == 0
    again = [*ON_VECTORS[:-1], "more", "--data", "b.h5", "--start", "run"]
    code, said = exit_of(*again)
    assert code == 0, said
    agent = JEPAAgent.load(tmp_path / "more")
    assert agent.notes["data"] == {"n": 1}
    assert "start" in agent.notes
    code, said = exit_of(*again, "--model.latent-dim", "32")
    assert "latent_dim 64, not 32" in said
    assert "error: a resumed run" in exit_of(*ON_VECTORS, "--data", "b.h5")[1]


@pytest.mark.parametrize("preset", ["vector", "pixels"])
def test_presets_for_any_world_ask_for_data(exit_of: Callable, preset: str) -> None:
    code, said = exit_of("train", preset, *TINY)
    assert code not in (0, None)
    assert "this preset needs trajectories, got none; name a file" in said
