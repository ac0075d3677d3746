"""Recording other people's environments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent import EnvRef, JEPAAgent, Trajectories, WorldModel, WorldModelConfig
from jepa_agent.data.recording import record
from jepa_agent.data.source import env_of, world_shape
from jepa_agent.envs import OraclePolicy, TwoRoomsEnv
from jepa_agent.evaluation.policies import RandomActions
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import ActionBounds
from jepa_agent.registry import import_object


class Halved(gym.ObservationWrapper):
    """Shows darker images than the world renders."""

    def observation(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {key: image // 2 for key, image in observation.items()}


class PushRight:
    """A user's policy."""

    def predict(self, observation: Any, **_: Any) -> tuple[np.ndarray, None]:
        return np.ones(1, dtype=np.float32), None


class Shows(gym.Env):
    """Shows random observations of any space."""

    action_space = gym.spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, space: gym.Space) -> None:
        self.observation_space = space

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        return self.observation_space.sample(), 0.0, False, False, {}


def test_states_actions_and_frames_of_a_third_party_environment(tmp_path: Path) -> None:
    env = gym.make("Pendulum-v1", render_mode="rgb_array")
    record(env, tmp_path / "pendulum.h5", episodes=2, steps=7, seed=3, pixels=True)
    data = Trajectories.load(tmp_path / "pendulum.h5")
    assert data.states.shape == (16, 3)
    assert data.actions.shape == (14, 1)
    assert data.observations is not None
    assert data.observations.shape == (16, 500, 500, 3)
    assert data.metadata["env_id"] == "Pendulum-v1"
    observation, _ = env.reset(seed=4)
    replayed = [observation]
    for action in data.actions[7:]:
        replayed.append(env.step(action)[0])
    np.testing.assert_array_equal(data.states[8:], np.stack(replayed))
    env.close()


def test_a_users_policy_plays(tmp_path: Path) -> None:
    record(gym.make("Pendulum-v1"), tmp_path / "p.h5", episodes=1, steps=5, policy=PushRight())
    assert (Trajectories.load(tmp_path / "p.h5").actions == 1).all()


def test_images_of_a_dict_observation_and_episodes_that_end(tmp_path: Path) -> None:
    env = Halved(gym.make("TwoRooms-v0"))
    record(env, tmp_path / "t.h5", episodes=3, policy=OraclePolicy())
    data = Trajectories.load(tmp_path / "t.h5")
    assert data.observations is not None
    assert data.observations.shape == (len(data.states), 65, 65, 3)
    assert data.observations.max() == 127
    assert len(set(np.diff(data.offsets))) > 1


def test_same_seed_same_trajectories(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        record(gym.make("Pendulum-v1"), tmp_path / name, episodes=2, steps=5, seed=1)
    first, second = (Trajectories.load(tmp_path / name) for name in ("a.h5", "b.h5"))
    np.testing.assert_array_equal(first.states, second.states)
    np.testing.assert_array_equal(first.actions, second.actions)


def test_errors_name_rule_and_fix(tmp_path: Path) -> None:
    out = tmp_path / "x.h5"
    env = gym.make("Pendulum-v1")
    env.action_space = gym.spaces.Text(2)
    with pytest.raises(ValueError, match="must be a Box, Discrete, MultiDiscrete or MultiBinary"):
        record(env, out, episodes=1)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        record(gym.make("Pendulum-v1"), out, episodes=0)
    with pytest.raises(ValueError, match="render_mode='rgb_array'"):
        record(gym.make("Pendulum-v1"), out, episodes=1, pixels=True)
    with pytest.raises(ValueError, match=r"package\.module:Name .*'nothing'"):
        import_object("nothing")
    assert not out.exists()


def test_pictures_of_two_rooms_are_stored_beside_states_and_layouts(tmp_path: Path) -> None:
    record(gym.make("TwoRooms-v0"), tmp_path / "t.h5", episodes=2, steps=6)
    data = Trajectories.load(tmp_path / "t.h5")
    layout = data.layout.repeat(7, axis=0)
    assert data.observations is not None
    np.testing.assert_array_equal(TwoRoomsEnv.render_states(data.states, layout), data.observations)
    shape, render, _ = world_shape(env_of(data), data)
    assert (shape, render) == (((65, 65, 3), 2, 2), None)


def test_what_a_world_renders_need_not_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TwoRoomsEnv, "stores_images", False, raising=False)
    record(gym.make("TwoRooms-v0"), tmp_path / "t.h5", episodes=2, steps=6)
    data = Trajectories.load(tmp_path / "t.h5")
    assert data.states.shape == (14, 2)
    assert data.layout.shape == (2, 3)
    assert data.observations is None
    shape, render, _ = world_shape(env_of(data), data)
    assert shape == ((65, 65, 3), 2, 2)
    assert render is not None
    first = gym.make("TwoRooms-v0").reset(seed=0)[0]["observation"]
    rendered = render(torch.as_tensor(data.states[0]), torch.as_tensor(data.layout[0]))
    np.testing.assert_array_equal(rendered.numpy(), first)


def test_states_of_two_rooms_are_what_it_shows(tmp_path: Path) -> None:
    record(gym.make("TwoRooms-v0", obs_type="state"), tmp_path / "t.h5", episodes=2, steps=6)
    data = Trajectories.load(tmp_path / "t.h5")
    assert (data.states.shape, data.layout.shape) == ((14, 4), (2, 3))
    shape, render, _ = world_shape(env_of(data), data)
    assert (shape, render) == (((4,), 2, 4), None)


class Inverted(gym.ObservationWrapper):
    """Shows the negative of every image."""

    def observation(self, observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {key: 255 - image for key, image in observation.items()}


def inverted(**kwargs: Any) -> gym.Env:
    return Inverted(gym.make("TwoRooms-v0", **kwargs))


def test_a_wrapper_around_a_world_that_renders_states_is_not_bypassed(
    tmp_path: Path, tiny_trajectories: Trajectories
) -> None:
    gym.register("Inverted-v0", inverted)
    env = Inverted(gym.make("TwoRooms-v0", layout="fixed"))
    for index, shown in enumerate((env, gym.make("Inverted-v0"))):
        path = tmp_path / f"{index}.h5"
        record(shown, path, episodes=1, steps=5)
        data = Trajectories.load(path)
        assert data.observations is not None
        clean = TwoRoomsEnv.render_states(data.states, data.layout.repeat(6, axis=0))
        np.testing.assert_array_equal(data.observations, 255 - clean)
        ref = env_of(data)
        assert ref is not None
        assert world_shape(ref, data)[1] is None
        first = ref.make().reset(seed=0)[0]["observation"]
        np.testing.assert_array_equal(first, data.observations[0])
        with pytest.raises(ValueError, match="shows other images than its `render_states` makes"):
            world_shape(ref, tiny_trajectories)  # states alone
    plain = env_of(tiny_trajectories)
    assert world_shape(plain, tiny_trajectories)[1] is not None


def test_states_beside_images_come_from_info_observation_or_world(tmp_path: Path) -> None:
    class Told(Shows):
        def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
            return *super().step(action)[:4], {"state": np.array([[1, 2]])}

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
            return super().reset(seed=seed)[0], {"state": np.array([[1, 2]])}

    class Known(Shows):
        state = np.array([3.0])

    image = gym.spaces.Box(0, 255, (8, 8, 3), np.uint8)
    number = gym.spaces.Box(4, 4, (1,))
    beside = gym.spaces.Dict(observation=image, state=number)
    worlds = {(1, 2): Told(image), (3,): Known(image), (4,): Shows(beside), (): Shows(image)}
    for index, (expected, world) in enumerate(worlds.items()):
        path = tmp_path / f"{index}.h5"
        record(world, path, episodes=1, steps=2)
        assert Trajectories.load(path).states.tolist() == [list(expected)] * 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_actions_without_bounds_are_sampled(dtype: Any, tmp_path: Path) -> None:
    world = Shows(gym.spaces.Box(-1, 1, (2,)))
    largest = np.finfo(dtype).max
    for index, (low, high) in enumerate([(-largest, largest), (-np.inf, np.inf), (0, np.inf)]):
        world.action_space = gym.spaces.Box(low, high, (2,), dtype)
        path = tmp_path / f"{index}.h5"
        record(world, path, episodes=1, steps=500)
        actions = Trajectories.load(path).actions
        assert 0.5 < np.abs(actions).max() < 20
        assert actions.min() >= low
        batch, _ = RandomActions(world.action_space).predict(np.zeros((3, 2)))
        assert np.abs(batch).max() < 20


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float64])
def test_vectors_of_any_number_are_recorded_and_played_with(dtype: Any, tmp_path: Path) -> None:
    box = gym.spaces.Box(0, 255, (3,), dtype)
    record(Shows(box), tmp_path / "v.h5", episodes=2, steps=8)
    data = Trajectories.load(tmp_path / "v.h5")
    assert data.observations is None
    assert data.states.shape == (18, 3)
    model = WorldModelConfig((3,), 2, 3, chunk=2, latent_dim=8, encoder=VectorMLPConfig())
    agent = JEPAAgent(WorldModel(model), ActionBounds((-1, -1), (1, 1)), EnvRef("Shows-v0", {}))
    agent.set_goal(box.sample())
    assert np.isfinite(agent.predict(box.sample())[0]).all()


@pytest.mark.parametrize("history", [1, 3])
def test_grey_images_have_one_channel(history: int, tmp_path: Path) -> None:
    env = Shows(gym.spaces.Box(0, 255, (16, 12), np.uint8))
    record(env, tmp_path / "g.h5", episodes=2, steps=5, history=history)
    data = Trajectories.load(tmp_path / "g.h5")
    assert data.observations is not None
    assert data.observations.shape == (12, 16, 12, history)
    np.testing.assert_array_equal(data.observations[3][..., :-1], data.observations[2][..., 1:])


@pytest.mark.parametrize(
    "space",
    [gym.spaces.Box(-1, 1, (8, 8, 3)), gym.spaces.Box(-1, 1, (2, 2)), gym.spaces.Text(3)],
)
def test_other_observations_are_refused_before_anything_is_recorded(
    space: gym.Space, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"vectors \(S,\) or images .* wrap the environment"):
        record(Shows(space), tmp_path / "x.h5", episodes=1)
    assert not list(tmp_path.iterdir())


def test_what_is_left_out_of_a_dict_observation_is_named(tmp_path: Path) -> None:
    box = gym.spaces.Box(-1, 1, (2,))
    both = gym.spaces.Dict(observation=box, arm=box, desired_goal=box)
    with pytest.warns(UserWarning, match=r"entry 'observation' is recorded, not \['arm'\]"):
        record(Shows(both), tmp_path / "d.h5", episodes=1, steps=3)
