"""TwoRooms-v0: Gymnasium's and Stable-Baselines3's contracts, the task, its options."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from jepa_agent.envs import TwoRoomsEnv
from jepa_agent.envs.physics import Layout, shortest_path
from jepa_agent.envs.rendering import locate_dot, read_layout
from jepa_agent.envs.tasks import TwoRoomsConfig

TASK = {"wall_x": 32, "door_y": 18, "position": (20.0, 40.0), "goal": (50.0, 30.0)}
INFO = {
    "position": np.ndarray,
    "goal": np.ndarray,
    "wall_x": int,
    "door_y": int,
    "door_halfwidth": int,
    "distance": float,
    "is_success": bool,
}


def state_env(**config: Any) -> TwoRoomsEnv:
    return TwoRoomsEnv(obs_type="state", **config)


@pytest.fixture
def env() -> TwoRoomsEnv:
    """State observations, deterministic bounces, reset to `TASK`."""
    env = state_env(bounce_noise=0)
    env.reset(seed=0, options=TASK)
    return env


def play(env: gym.Env, seed: int, steps: int = 30) -> Iterator[np.ndarray]:
    """Every array that an episode of one fixed sequence of actions gives out."""
    rng = np.random.default_rng(0)
    observation, info = env.reset(seed=seed)
    yield from (*observation.values(), *map(np.asarray, info.values()))
    for _ in range(steps):
        observation, *rest, info = env.step(rng.uniform(-1, 1, 2).astype(np.float32))
        yield from (*observation.values(), *map(np.asarray, (*rest, *info.values())))


# Windows


def test_copies_of_an_environment_with_a_window_open_their_own() -> None:
    env = gym.make("TwoRooms-v0", render_mode="human", obs_type="state")
    env.reset(seed=0)
    for other in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert np.array_equal(other.unwrapped.state, env.unwrapped.state)  # type: ignore[attr-defined]
        other.step(np.zeros(2, np.float32))
        other.close()
    env.step(np.zeros(2, np.float32))  # whose display the copies have closed
    env.close()


# Contracts


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
@pytest.mark.parametrize("reward_type", ["sparse", "dense"])
def test_environment_checkers_are_silent(obs_type: str, reward_type: str) -> None:
    kwargs = {"obs_type": obs_type, "reward_type": reward_type}
    gymnasium_check_env(gym.make("jepa_agent:TwoRooms-v0", **kwargs).unwrapped)
    sb3_check_env(gym.make("jepa_agent:TwoRooms-v0", **kwargs).unwrapped)


def test_make_needs_no_import_and_loads_neither_torch_nor_pygame() -> None:
    code = """
import sys, gymnasium
env = gymnasium.make("jepa_agent:TwoRooms-v0")
env.reset(seed=0)
env.step(env.action_space.sample())
print(sorted({"torch", "pygame", "h5py", "stable_baselines3"} & set(sys.modules)))
"""
    command = [sys.executable, "-W", "error", "-c", code]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


def test_truncates_after_200_steps() -> None:
    env = gym.make("jepa_agent:TwoRooms-v0", obs_type="state")
    env.reset(seed=0)
    ends = [env.step(np.zeros(2, np.float32))[2:4] for _ in range(200)]
    assert ends == [(False, False)] * 199 + [(False, True)]


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
def test_same_seed_same_bits(obs_type: str) -> None:
    env = TwoRoomsEnv(obs_type=obs_type)
    first, again, fresh, other = (
        list(play(*args))
        for args in ((env, 3), (env, 3), (TwoRoomsEnv(obs_type=obs_type), 3), (env, 4))
    )
    for repeated in (again, fresh):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(first, repeated, strict=True))
    assert any(a.tobytes() != b.tobytes() for a, b in zip(first, other, strict=True))


def test_episodes_of_one_seed_differ_and_the_global_generator_is_untouched() -> None:
    env = state_env()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    _, first = env.reset(seed=0)
    _, second = env.reset()
    assert not np.array_equal(first["position"], second["position"])
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_bounces_beyond_the_time_limit_are_new() -> None:
    env = state_env()
    env.reset(seed=0, options=TASK | {"position": (5.0, 40.0)})
    left = np.float32([-1, 0])
    bounced_to = [env.step(left)[4]["position"][0] for _ in range(400)]
    assert bounced_to[:200] != bounced_to[200:]


# The task


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
def test_observations_and_infos_describe_the_task(obs_type: str) -> None:
    env = TwoRoomsEnv(obs_type=obs_type, bounce_noise=0)
    observation, info = env.reset(seed=0, options=TASK)
    assert {key: type(value) for key, value in info.items()} == INFO | {"shortest_path": float}
    assert info["position"].dtype == info["goal"].dtype == np.float32
    assert (info["wall_x"], info["door_y"], info["door_halfwidth"]) == (32, 18, 4)
    assert info["distance"] == pytest.approx(np.hypot(30, 10))
    task = np.float32(TASK["position"]), np.float32(TASK["goal"])
    layout = Layout.from_array(np.float32([32, 18, 4]))
    assert info["shortest_path"] == pytest.approx(shortest_path(*task, layout))

    for action in np.float32([[0, 0], [0.6, -0.8]]):
        observation, _, _, _, info = env.step(action)
        assert {key: type(value) for key, value in info.items()} == INFO
        assert env.observation_space.contains(observation)
        position = task[0] + 2.45 * action
        np.testing.assert_allclose(info["position"], position, atol=1e-5)
        if obs_type == "pixels":
            for key, point in (("observation", position), ("desired_goal", task[1])):
                np.testing.assert_allclose(locate_dot(observation[key]), point, atol=0.02)
                np.testing.assert_array_equal(read_layout(observation[key]), [32, 18, 4])
            np.testing.assert_array_equal(observation["achieved_goal"], observation["observation"])
        else:
            np.testing.assert_allclose(observation["observation"], [*position, 32, 18], atol=1e-5)
            np.testing.assert_allclose(observation["achieved_goal"], position, atol=1e-5)
            np.testing.assert_array_equal(observation["desired_goal"], task[1])


def test_given_out_arrays_are_not_the_environments_own(env: TwoRoomsEnv) -> None:
    observation, *_, info = env.step(np.float32([1, 0]))
    expected = env.state
    for array in (*observation.values(), info["position"], info["goal"], env.state, env.layout):
        array[...] = 0
    _, *_, info = env.step(np.zeros(2, np.float32))
    np.testing.assert_array_equal(info["position"], expected)
    np.testing.assert_array_equal(info["goal"], np.float32(TASK["goal"]))


def test_context_and_state_render_to_the_observation() -> None:
    env = TwoRoomsEnv()
    observation, _ = env.reset(seed=0)
    np.testing.assert_array_equal(
        TwoRoomsEnv.render_states(env.state, env.layout), observation["observation"]
    )


def test_actions_are_projected_onto_the_disc(env: TwoRoomsEnv) -> None:
    rng = np.random.default_rng(0)
    for action in [*rng.uniform(-2, 2, (50, 2)), (1e-30, 1e-30), (1e6, 1e6), (1e30, -1e30)]:
        env.reset(options=TASK)
        start = env.state
        env.step(np.float32(action))
        expected = np.array(action) / max(1.0, np.hypot(*action))
        np.testing.assert_allclose(env.state - start, 2.45 * expected, atol=1e-5)


def test_integer_and_double_actions_move_like_floats(env: TwoRoomsEnv) -> None:
    positions = []
    for action in (np.float32([0, -1]), np.array([0, -1]), np.array([0.0, -1.0]), [0, -1]):
        env.reset(options=TASK)
        positions.append(tuple(env.step(action)[4]["position"]))
    assert len(set(positions)) == 1


def test_rewards_and_termination() -> None:
    sparse, dense = state_env(), state_env(reward_type="dense", terminate_on_success=False)
    for position, reached in (((20.0, 40.0), False), ((45.6, 30.0), True), ((45.4, 30.0), False)):
        outcome = {}
        for name, env in (("sparse", sparse), ("dense", dense)):
            env.reset(seed=0, options=TASK | {"position": position})
            outcome[name] = env.step(np.zeros(2, np.float32))
        _, reward, terminated, truncated, info = outcome["sparse"]
        assert (reward, terminated, truncated, info["is_success"]) == (
            0.0 if reached else -1.0,
            reached,
            False,
            reached,
        )
        _, reward, terminated, _, info = outcome["dense"]
        layout = Layout.from_array(dense.layout)
        path = float(shortest_path(info["position"], info["goal"], layout))
        assert reward == pytest.approx(-path / (56 * 2**0.5))
        assert not terminated
        assert info["is_success"] == reached


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
@pytest.mark.parametrize("reward_type", ["sparse", "dense"])
def test_compute_reward_repeats_the_rewards_of_steps(obs_type: str, reward_type: str) -> None:
    env = TwoRoomsEnv(obs_type=obs_type, reward_type=reward_type)
    env.reset(seed=0, options=TASK | {"position": (44.0, 31.0)})
    steps = [env.step(np.float32([0.4, 0])) for _ in range(6)]
    achieved = np.stack([step[0]["achieved_goal"] for step in steps])
    desired = np.stack([step[0]["desired_goal"] for step in steps])
    infos = [step[4] for step in steps]
    rewards, terminated = [step[1] for step in steps], [step[2] for step in steps]
    assert set(terminated) == {False, True}
    np.testing.assert_allclose(env.compute_reward(achieved, desired, infos), rewards, atol=1e-6)
    np.testing.assert_array_equal(env.compute_terminated(achieved, desired, infos), terminated)
    assert not env.compute_truncated(achieved, desired, infos).any()
    single = env.compute_reward(achieved[0], desired[0], infos[0])
    assert single == pytest.approx(rewards[0], abs=1e-6)


def test_without_bounce_noise_steps_are_deterministic_across_seeds() -> None:
    ends = []
    for seed in range(3):
        env = state_env(bounce_noise=0)
        env.reset(seed=seed, options=TASK | {"position": (29.0, 40.0)})
        ends.append(env.step(np.float32([1, 0]))[4]["position"])
    np.testing.assert_allclose(ends, [(30.7, 40.0)] * 3, atol=1e-5)


def test_sampled_tasks_keep_their_margins() -> None:
    env = state_env()
    env.reset(seed=0)
    rightward = 0
    for _ in range(500):
        _, info = env.reset()
        left, right = sorted((info["position"], info["goal"]), key=lambda point: point[0])
        assert left[0] <= info["wall_x"] - 3.6 + 1e-5
        assert right[0] >= info["wall_x"] + 3.6 - 1e-5
        assert np.min([left, right]) >= 6.6 - 1e-5
        assert np.max([left, right]) <= 57.4 + 1e-5
        assert info["shortest_path"] >= info["distance"] - 1e-4
        rightward += info["position"][0] < info["goal"][0]
    assert 200 < rightward < 300


# Configuration


def observable(**config: Any) -> list[bytes]:
    """Everything that five deterministic episodes show."""
    env = TwoRoomsEnv(**config)
    return [array.tobytes() for seed in range(5) for array in play(env, seed, steps=60)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layout", "fixed"),
        ("wall_x", 40),
        ("door_y", 40),
        ("door_halfwidth", 3),
        ("obs_type", "pixels"),
        ("reward_type", "dense"),
        ("terminate_on_success", False),
        ("success_radius", 12.0),
        ("step_length", 2.0),
        ("bounce_noise", 0.2),
        ("hazard", "strip"),
        ("slip", 0.1),
    ],
)
def test_every_option_changes_something(field: str, value: Any) -> None:
    base = {"obs_type": "state", "success_radius": 30.0}
    assert observable(**base) != observable(**(base | {field: value}))


def test_the_list_of_options_above_is_complete() -> None:
    marks = test_every_option_changes_something.pytestmark
    tested = [field for field, _ in marks[0].args[1]]
    assert tested == [field.name for field in dataclasses.fields(TwoRoomsConfig)]


# Pictures


def test_rgb_array_frames_show_agent_goal_and_walls() -> None:
    env = state_env(render_mode="rgb_array", bounce_noise=0)
    env.reset(seed=0, options=TASK)
    frame = env.render()
    assert frame.shape == (520, 520, 3)
    assert frame.dtype == np.uint8

    def colour(x: float, y: float) -> tuple[int, ...]:
        column, row = TwoRoomsEnv.state_to_screen(np.array([x, y])).astype(int)
        return tuple(frame[row, column])

    agent, goal, floor, wall = colour(20, 40), colour(50, 30), colour(10, 50), colour(32, 40)
    assert len({agent, goal, floor, wall}) == 4
    assert colour(32, 18) == floor
    assert colour(2, 2) == wall
    env.step(np.float32([0, 1]))
    assert not np.array_equal(env.render(), frame)
    env.close()


def test_human_mode_opens_a_window_and_closes_it() -> None:
    pygame = pytest.importorskip("pygame")
    env = state_env(render_mode="human")
    env.reset(seed=0)
    assert pygame.display.get_surface().get_size() == (520, 520)
    env.step(np.float32([0, 1]))
    assert env.render() is None
    env.close()
    assert not pygame.display.get_init()
    env.close()  # once more does no harm
