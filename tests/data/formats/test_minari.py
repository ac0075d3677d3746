"""Minari datasets hold what we put in, to the bit."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import minari
import minari.data_collector
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from jepa_agent import Trajectories
from jepa_agent.data.formats import Selection, read
from jepa_agent.data.formats.minari import MinariDataset, from_minari, to_minari
from jepa_agent.data.recording import record
from jepa_agent.data.source import env_of, recorded_bounds
from jepa_agent.data.trajectory_file import TrajectoryFileError
from jepa_agent.planners import ActionBounds
from jepa_agent.worlds.parts import Parts


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


BOX = spaces.Box(-np.inf, np.inf, (3,), np.float32)
ACTIONS = spaces.Box(-2, 2, (1,), np.float32)
VECTORS = np.arange(39, dtype=np.float32).reshape(13, 3)


def foreign(
    name: str,
    observations: Any = VECTORS,
    space: spaces.Space = BOX,
    actions: Any = None,
    action_space: spaces.Space = ACTIONS,
    infos: dict[str, Any] | None = None,
    **more: Any,
) -> str:
    """A dataset of 12 steps that another program wrote."""
    buffer = minari.data_collector.EpisodeBuffer(
        id=0, observations=observations,
        actions=np.zeros((12, 1), np.float32) if actions is None else actions, rewards=[0.0] * 12,
        terminations=[False] * 12, truncations=[False] * 11 + [True], infos=infos or {},
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        minari.create_dataset_from_buffers(
            name, [buffer], observation_space=space, action_space=action_space, **more
        )
    return name


def test_other_peoples_datasets_say_what_they_lack() -> None:
    words = {"actions": ["a"] * 12, "action_space": spaces.Text(1, charset="a")}
    with pytest.raises(TrajectoryFileError, match="must be a Box or discrete, got Text"):
        from_minari(foreign("mine/words-v0", **words))
    assert env_of(from_minari(foreign("mine/none-v0"))) is None


def test_discrete_actions_are_one_hot() -> None:
    taken = np.arange(12) % 3
    actions = {"actions": taken + 2, "action_space": spaces.Discrete(3, start=2)}
    data = from_minari(foreign("mine/discrete-v0", **actions))
    np.testing.assert_array_equal(data.actions, np.eye(3)[taken])
    assert recorded_bounds(data) == ActionBounds.one_hot((3,), shape=())
    pairs = np.stack([taken, taken % 2], axis=1)
    actions = {"actions": pairs, "action_space": spaces.MultiDiscrete([3, 2])}
    data = from_minari(foreign("mine/pairs-v0", **actions))
    assert data.metadata["action_categories"] == [3, 2]
    np.testing.assert_array_equal(data.actions[:, 3:], np.eye(2)[taken % 2])


def test_a_dict_of_observations_is_a_choice_of_columns() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (13, 8, 8, 3)).astype(np.uint8)
    space = spaces.Dict({"image": spaces.Box(0, 255, (8, 8, 3), np.uint8), "place": BOX})
    name = foreign("mine/dict-v0", {"image": picture, "place": VECTORS}, space)
    data = from_minari(name)
    parts = Parts(data.metadata["parts"]).unpack(data.observations)
    np.testing.assert_array_equal(parts["image"], picture)
    np.testing.assert_array_equal(parts["place"], VECTORS)
    np.testing.assert_array_equal(data.states, VECTORS)
    data = MinariDataset(Path(name)).read(Selection("pixels"))
    np.testing.assert_array_equal(data.observations, picture)
    data = MinariDataset(Path(name)).read(Selection("place"))
    np.testing.assert_array_equal(data.states, VECTORS)
    assert data.observations is None
    space = spaces.Dict({"observation": BOX, "desired_goal": BOX})
    seen = {"observation": VECTORS, "desired_goal": 2 * VECTORS}
    data = from_minari(foreign("mine/goal-v0", seen, space))
    np.testing.assert_array_equal(data.states, VECTORS)


def test_a_group_of_infos_is_no_state() -> None:
    infos = {"state": {"qpos": np.zeros((13, 2))}, "layout": {"map": np.zeros((13, 1))}}
    data = from_minari(foreign("mine/group-v0", infos=infos))
    np.testing.assert_array_equal(data.states, VECTORS)
    assert data.layout.shape == (1, 0)


def test_an_environment_is_named_with_the_module_that_registers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = "from gymnasium.envs.classic_control.pendulum import PendulumEnv as Toy\n"
    (tmp_path / "my_toys.py").write_text(toy)
    monkeypatch.syspath_prepend(tmp_path)
    spec = EnvSpec("Toy-v0", entry_point="my_toys:Toy", kwargs={"g": 3.0})
    metadata = from_minari(foreign("mine/toy-v0", env=spec)).metadata
    assert metadata["env_id"] == "my_toys:Toy-v0"
    assert metadata["env_kwargs"] == {"g": 3.0}


def test_data_without_an_environment_keep_their_notes() -> None:
    notes = {"robot": "arm", "action_low": [-1.0], "action_high": [1.0], "history": 2}
    data = Trajectories.from_arrays(VECTORS, np.zeros(13), lengths=[13], metadata=notes)
    to_minari(data, "mine/arm-v0")
    assert from_minari("mine/arm-v0").metadata == notes
    parts = Trajectories.from_arrays({"a": VECTORS, "b": VECTORS}, np.zeros(13), lengths=[13])
    with pytest.raises(TrajectoryFileError, match=r"must be whole .* got the parts \['a', 'b'\]"):
        to_minari(parts, "mine/parts-v0")


def test_another_programs_description_does_not_hide_the_environment() -> None:
    name = foreign("mine/note-v0", env="Pendulum-v1", description='{"author": "someone"}')
    assert from_minari(name).metadata["env_id"] == "Pendulum-v1"


def test_a_dataset_is_read_by_its_name_or_its_folder(
    tiny_trajectories: Trajectories, folder: Path
) -> None:
    to_minari(tiny_trajectories, "two-rooms/states-v0")
    for source in ("two-rooms/states-v0", folder / "two-rooms" / "states-v0"):
        assert_equal(read([source]), tiny_trajectories)
