"""TwoRoom224-v0: what it shows, where its disc can go, and the contract of its goals."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_for_sb3

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent import Trajectories
from jepa_agent.data.recording import record
from jepa_agent.data.source import env_of, world_shape
from jepa_agent.envs.generators import Rover
from jepa_agent.envs.sweeping import RADIUS, clearance, sweep
from jepa_agent.envs.two_room_224 import TwoRoom224Env
from jepa_agent.evaluation.data_goals import task_env
from jepa_agent.evaluation.data_tasks import DataGoals
from jepa_agent.evaluation.episodes import play

DOOR = np.float32([49])


def made(**kwargs: Any) -> TwoRoom224Env:
    return TwoRoom224Env(**{"image_size": 32, **kwargs})


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
def test_gymnasium_and_stable_baselines_have_nothing_to_object_to(obs_type: str) -> None:
    env = gym.make("TwoRoom224-v0", image_size=48, obs_type=obs_type, render_mode="rgb_array")
    check_env(env.unwrapped)
    check_for_sb3(env.unwrapped)


def test_no_move_passes_a_wall_or_comes_too_near() -> None:
    rng = np.random.default_rng(0)
    place = rng.uniform(21, 203, (4000, 2))
    door = np.full(4000, 49.0)
    place = place[clearance(place, door) >= 0]
    door = door[: len(place)]
    for scale in (5, 50, 500):
        move = rng.normal(0, scale, place.shape)
        end = sweep(place, move, door)
        assert clearance(end, door).min() > -1e-3
        crossed = (place[:, 0] < 112) != (end[:, 0] < 112)
        points = place[:, None] + np.linspace(0, 1, 2001)[:, None] * (end - place)[:, None]
        if scale == 5:  # along a straight line, or about a corner by less than a pixel
            assert clearance(points[crossed], door[crossed, None]).min() > -1.0
        place = end


def test_a_free_move_is_the_displacement_and_a_wall_is_slid_along() -> None:
    door = np.array([49.0])
    free = sweep(np.array([[50.0, 100.0]]), np.array([[3.0, -2.0]]), door)
    np.testing.assert_allclose(free, [[53, 98]])
    slid = sweep(np.array([[98.0, 150.0]]), np.array([[5.0, 4.0]]), door)
    np.testing.assert_allclose(slid, [[100, 154]], atol=1e-9)  # 107 - 7: the whole disc stays out
    border = sweep(np.array([[50.0, 22.0]]), np.array([[2.0, -5.0]]), door)
    np.testing.assert_allclose(border, [[52, 21]])
    edge = sweep(np.array([[112.0, 55.0]]), np.array([[2.0, 5.0]]), door)
    np.testing.assert_allclose(edge, [[114, 56]])  # 49 + 14 - 7
    through = sweep(np.array([[98.0, 49.0]]), np.array([[40.0, 0.0]]), door)
    np.testing.assert_allclose(through, [[138, 49]])


def test_a_corner_is_round() -> None:
    door, corner = np.array([49.0]), np.array([107.0, 63.0])
    start = corner + 20 * np.array([-np.cos(0.6), -np.sin(0.6)])
    end = sweep(start[None], (corner - start)[None], door)[0]
    assert np.linalg.norm(end - corner) == pytest.approx(RADIUS, abs=1e-6)


def test_lines_and_dot_are_where_they_should_be_at_224_pixels() -> None:
    env = TwoRoom224Env()
    image = env.render_states(np.float32([60, 120]), DOOR).astype(int)
    assert image.shape == (224, 224, 3)
    black, white = [0, 0, 0], [255, 255, 255]
    assert image[150, 106:119].tolist() == [white] + [black] * 11 + [white]
    assert image[34:65, 112].tolist() == [black] + [white] * 29 + [black]
    assert image[180, 9:15].tolist() == [white] + [black] * 4 + [white]
    assert image[180, 209:215].tolist() == [white] + [black] * 4 + [white]
    assert image[9:15, 180].tolist() == [white] + [black] * 4 + [white]
    assert image[120, 60].tolist() == [255, 0, 0]
    share = np.exp(-(5**2 + 3**2) / (2 * 7**2))
    assert image[123, 65].tolist() == [255, *[round(255 * (1 - share))] * 2]


def test_smaller_images_are_the_large_one_averaged() -> None:
    states = np.float32([[60, 120], [150, 40], [30, 200]])
    large = TwoRoom224Env().render_states(states, DOOR).astype(float)
    small = made(image_size=56).render_states(states, DOOR)
    averaged = large.reshape(3, 56, 4, 56, 4, 3).mean(axis=(2, 4))
    assert np.abs(averaged - small).mean() < 1
    assert np.abs(averaged - small).max() < 12


def test_torch_draws_what_numpy_draws_and_batches_broadcast() -> None:
    env = made()
    rng = np.random.default_rng(0)
    states = np.float32(rng.uniform(21, 203, (5, 3, 2)))
    doors = np.float32(rng.uniform(28, 196, (5, 1, 1)))
    images = env.render_states(torch.as_tensor(states), torch.as_tensor(doors)).numpy()
    assert images.shape == (5, 3, 32, 32, 3)
    alone = np.stack([[env.render_states(s, d[0]) for s in row] for row, d in
                      zip(states, doors, strict=True)])  # fmt: skip
    assert np.abs(images.astype(int) - alone).max() <= 1


def test_the_env_shows_its_state_and_its_goal() -> None:
    env = made(door_y=None)
    observation, info = env.reset(seed=3)
    for name in ("state", "goal"):
        shown = "observation" if name == "state" else "desired_goal"
        np.testing.assert_array_equal(env.render_states(info[name], env.layout), observation[shown])
    assert (info["state"][0] < 112) != (info["goal"][0] < 112)
    first = env.layout[0]
    env.reset(seed=4)
    assert env.layout[0] != first


def test_a_task_is_set_exactly_and_reached_where_it_says() -> None:
    env = made(obs_type="state")
    task = {"state": [50.5, 100], "goal": [66, 100], "door_y": 80}
    observation, info = env.reset(seed=0, options=task)
    np.testing.assert_array_equal(observation["observation"], np.float32([50.5, 100]))
    assert env.layout.tolist() == [80]
    assert info["is_success"]
    assert not info["is_success_strict"]
    observation, reward, terminated, _, info = env.step(np.float32([1, 0]))
    assert (reward, terminated, info["is_success_strict"]) == (0.0, False, False)
    *_, info = env.step(np.float32([1, 0]))
    assert info["distance"] == pytest.approx(5.5)
    assert info["is_success_strict"]
    again = env.reset_options(info["state"], info["goal"], env.layout)
    assert env.reset(options=again)[1]["state"].tolist() == [60.5, 100]


def test_an_episode_ends_at_the_goal_if_it_should() -> None:
    env = made(obs_type="state", terminate_on_success=True)
    env.reset(seed=0, options={"state": [50, 100], "goal": [60, 100]})
    assert env.step(np.zeros(2, dtype=np.float32))[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"state": [112, 150]}, "state must keep the agent's 7 pixels from the wall"),
        ({"goal": [10, 150]}, r"goal's x must be in \[21, 203\], got 10"),
        ({"goal": [1, 2, 3]}, r"goal must be 2 numbers \(x, y\)"),
        ({"goal": "here"}, r"goal must be 2 numbers"),
        ({"state": [np.nan, 50]}, "state must be 2 numbers"),
        ({"door_y": 5}, r"door_y must be in \[28, 196\]"),
        ({"wall_x": 5}, r"reset options are \['state', 'goal', 'door_y'\], got \['wall_x'\]"),
    ],
)
def test_bad_tasks_say_what_is_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        made().reset(options=options)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"obs_type": "words"}, "obs_type must be"),
        ({"image_size": 4}, "image_size must be a whole number 16 to 512"),
        ({"door_y": 5}, "door_y must be in"),
        ({"step_length": 0}, "step_length must be in"),
        ({"colour": "red"}, "this world takes .* correct the name"),
        ({"render_mode": "human"}, "render_mode must be None or one of"),
        ({"terminate_on_success": "no"}, "terminate_on_success must be True or False"),
    ],
)
def test_bad_settings_say_what_is_wrong(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        made(**kwargs)


def test_bad_actions_and_steps_without_an_episode_are_refused() -> None:
    env = made()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(2))
    env.reset(seed=0)
    with pytest.raises(ValueError, match="finite real numbers"):
        env.step(np.array([np.nan, 0]))


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
def test_recomputed_rewards_are_those_of_the_steps(obs_type: str) -> None:
    env = made(obs_type=obs_type)
    env.reset(seed=0, options={"state": [50, 100], "goal": [70, 100]})
    steps = [env.step(np.float32([0.4, 0])) for _ in range(8)]
    rewards = np.array([reward for _, reward, *_ in steps])
    assert set(rewards) == {-1.0, 0.0}
    achieved, desired = (np.stack([seen[key] for seen, *_ in steps]) for key in
                         ("achieved_goal", "desired_goal"))  # fmt: skip
    np.testing.assert_array_equal(env.compute_reward(achieved, desired, {}), rewards)
    assert env.compute_reward(achieved[0], achieved[1], {}) == 0.0
    assert not env.compute_terminated(achieved, desired, {}).any()
    assert env.compute_truncated(achieved[0], desired[0], {}) is False
    if obs_type == "pixels":
        first_last = np.moveaxis(achieved, -1, -3)  # channels first
        np.testing.assert_array_equal(env.compute_reward(first_last, desired, {}), rewards)
        with pytest.raises(ValueError, match="that this environment showed lately"):
            env.compute_reward(achieved + np.uint8(1), desired, {})


def test_same_seed_same_episode() -> None:
    def played() -> list[np.ndarray]:
        env = made(obs_type="state", door_y=None)
        seen = [env.reset(seed=5)[0]["observation"]]
        env.action_space.seed(5)
        return [*seen, *(env.step(env.action_space.sample())[0]["observation"] for _ in range(9))]

    np.testing.assert_array_equal(played(), played())


class Right:
    """Goes right."""

    def predict(self, observation: dict[str, np.ndarray], **_: Any) -> tuple[np.ndarray, None]:
        return np.tile(np.float32([1, 0]), (len(observation["observation"]), 1)), None


def test_goals_from_data_are_scored_by_both_rules(tmp_path: Path) -> None:
    env = gym.make("TwoRoom224-v0", image_size=16)
    record(env, tmp_path / "r.h5", episodes=3, steps=30, policy=Rover)
    data = Trajectories.load(tmp_path / "r.h5")
    ref = env_of(data)
    assert ref is not None
    goals = DataGoals((9,), budget="12")
    tasks, chosen = task_env(ref, data, goals, 9, range(4), None)
    assert len(chosen.tasks) == 4
    start, goal = np.float32([30, 100]), np.float32([62, 112])
    shown = env.unwrapped.render_states(start, DOOR)
    tasks.tasks[0] = dataclasses.replace(
        chosen.tasks[0], state=start, goal_state=goal, observed=shown, earlier=start, lead=0
    )
    (episode,) = play(Right(), lambda: tasks, [0], parallel=1)
    assert episode.steps == 5  # 55 - 62 and 100 - 112 are within 16
    assert episode.success_strict is False


def test_rovers_go_everywhere_and_through_the_door(tmp_path: Path) -> None:
    env = gym.make("TwoRoom224-v0", image_size=16)
    record(env, tmp_path / "r.h5", episodes=12, steps=90, policy=Rover)
    data = Trajectories.load(tmp_path / "r.h5")
    assert data.observations is None
    states = data.states.reshape(12, 91, 2)
    sides = states[..., 0] > 112
    assert (sides.any(1) & ~sides.all(1)).mean() > 0.4
    moved = np.linalg.norm(states[:, 25:] - states[:, :-25], axis=-1)
    assert 30 < np.median(moved) < 90
    shape, render, bounds = world_shape(env_of(data), data)
    assert shape == ((16, 16, 3), 2, 2)
    assert render is not None
    assert bounds.low == (-1.0, -1.0)
