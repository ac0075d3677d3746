"""`jepa-agent import`, and training straight from data of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jepa_agent import EnvRef, JEPAAgent, Trajectories
from jepa_agent.data.source import env_of
from jepa_agent.worlds.reference import WrapperRef

RNG = np.random.default_rng(0)
STATES, ACTIONS = RNG.normal(size=(84, 3)), RNG.uniform(-2, 2, (84, 1))
TINY = [
    "--training.steps", "2", "--training.refinement.steps", "2", "--training.windows-per-layout",
    "8", "--training.horizon", "2", "--training.refinement.horizon", "2", "--device", "cpu",
    "--log", "--report", "0", "--out", "run",
]  # fmt: skip


@pytest.fixture
def archive(tmp_path: Path) -> str:
    np.savez(tmp_path / "mine.npz", observations=STATES, actions=ACTIONS, lengths=[21] * 4)
    return "mine.npz"


def test_what_is_imported_trains_in_its_environment(
    exit_of: Callable, archive: str, tmp_path: Path
) -> None:
    code, said = exit_of("import", archive, "--out", "data/mine.h5", "--env", "Pendulum-v1")
    assert code == 0, said
    assert "4 episodes -> data/mine.h5" in said
    assert "next: jepa-agent train PRESET --data data/mine.h5" in said
    data = Trajectories.load(tmp_path / "data/mine.h5")
    np.testing.assert_array_equal(data.states, STATES.astype(np.float32))
    code, said = exit_of("train", "vector", "--data", "data/mine.h5", *TINY)
    assert code == 0, said
    assert JEPAAgent.load(tmp_path / "run").env_ref.id == "Pendulum-v1"


def test_data_of_others_train_without_an_import(
    exit_of: Callable, archive: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "more.npz", observations=STATES + 1, actions=ACTIONS, lengths=[42, 42])
    code, said = exit_of("train", "vector", "--data", archive, "more.npz", *TINY)
    assert code == 0, said
    assert not JEPAAgent.load(tmp_path / "run").has_environment
    code, said = exit_of("train", "vector", "--data", archive, "--data-on-disk", *TINY)
    assert "make one of it with `jepa-agent import`" in said


WORLD = (
    "--env", "Pendulum-v1", "--env-kwargs", "g=9.0", "max_episode_steps=5",
    "--wrapper", "gymnasium.wrappers:ClipAction",
)  # fmt: skip


def test_an_import_names_the_environment_with_its_arguments_and_wrappers(
    exit_of: Callable, archive: str, tmp_path: Path
) -> None:
    code, said = exit_of("import", archive, "--out", "mine.h5", *WORLD)
    assert code == 0, said
    ref = env_of(Trajectories.load(tmp_path / "mine.h5"))
    assert ref == EnvRef(
        "Pendulum-v1", {"g": 9.0}, 1, (WrapperRef("gymnasium.wrappers:ClipAction"),), 5
    )


def test_an_agent_without_an_environment_plays_in_one_with_arguments_and_wrappers(
    exit_of: Callable, archive: str
) -> None:
    code, said = exit_of("train", "vector", "--data", archive, *TINY)
    assert code == 0, said
    play = ("--checkpoint", "run", "--episodes", "1", "--goal", "1", "0", "0")
    code, said = exit_of("plan", *play, *WORLD, "--video", "p.gif")
    assert code == 0, said
    assert "seed 0: 5 steps" in said
    code, said = exit_of("evaluate", *play, *WORLD, "--success", "operator:is_not")
    assert code == 0, said
    for command in ("plan", "evaluate"):
        code, said = exit_of(command, *play, *WORLD[2:])
        assert "without it; name it too" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.npz",), "data must exist, got nowhere.npz"),
        (("mine.npz", "--observation", "speed"), "between them, got speed"),
        (("mine.npz", "--resize", "-1"), "resize must be at least 0"),
        (("mine.npz", "--env", "Nowhere-v0"), "Nowhere"),
        (("mine.npz", "--env-kwargs", "size=5"), "['size=5'] without it; name it too"),
        (("mine.npz", "--env", "MountainCarContinuous-v0"), "it shows (2,)"),
        ((), "STR"),
    ],
)
def test_an_import_that_cannot_be_ends_in_one_line(
    exit_of: Callable, archive: str, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    code, printed = exit_of("import", *arguments, "--out", "out.h5")
    assert code not in (0, None)
    assert said in printed
    assert "Traceback" not in printed
    assert not list(tmp_path.glob("out.h5*"))
