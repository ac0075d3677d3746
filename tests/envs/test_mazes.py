"""Mazes-v0: its layouts and their splits, its shortest paths, and the contract of its goals."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_for_sb3

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent.envs.generators import MazeRover
from jepa_agent.envs.geodesics import Geodesics
from jepa_agent.envs.maze_layouts import KINDS, Family, from_text, generate
from jepa_agent.envs.mazes import MazesEnv
from jepa_agent.envs.physics import Layout, shortest_path
from jepa_agent.envs.tiles import pack, wall_pixels
from jepa_agent.worlds.protocols import HasMap, Movable

GRID = Family("grid", (4, 8), (2, 9), 0.1)
U = "...\n.#.\n.#."


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
def test_gymnasium_and_stable_baselines_have_nothing_to_object_to(obs_type: str) -> None:
    env = gym.make("Mazes-v0", obs_type=obs_type, render_mode="rgb_array")
    check_env(env.unwrapped)
    check_for_sb3(env.unwrapped)


def test_train_and_test_mazes_differ_and_numbers_are_mazes() -> None:
    small = Family("grid", (2, 3), (2, 9), 0.0)  # there are few, so chance would mix them
    mazes = {split: {generate(small, split, number).solid.tobytes() for number in range(60)}
             for split in ("train", "test")}  # fmt: skip
    assert not mazes["train"] & mazes["test"]
    generate.cache_clear()
    again = {generate(small, "test", number).solid.tobytes() for number in range(60)}
    assert again == mazes["test"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("split", ["random", "ood"])
def test_every_cell_can_be_reached(kind: str, split: str) -> None:
    family = Family(kind, (4, 8), (2, 9), 0.1)
    for number in range(4):
        maze = generate(family, split, number)
        assert np.isfinite(maze.hops).all()
        centres = 4 + (maze.cells[:, :2] + maze.cells[:, 2:]) / 2
        lengths = Geodesics(maze.solid).lengths(centres, np.broadcast_to(centres[0], centres.shape))
        assert np.isfinite(lengths).all()
        assert lengths[0] == 0


def test_the_largest_grids_have_narrower_ones_outside_of_them() -> None:
    sides = [len(generate(Family("grid", (8, 8), (2, 9), 0.1), "ood", number).cells) ** 0.5
             for number in range(6)]  # fmt: skip
    assert all(side in (9, 10) for side in sides[::2])
    assert sides[1::2] == [7, 7, 7]


def test_shortest_paths_are_two_rooms() -> None:
    rng = np.random.default_rng(0)
    solid = np.zeros((56, 56), dtype=bool)
    solid[:10, 27:29] = solid[18:, 27:29] = True
    start, goal = rng.uniform((4, 4), (31, 60), (50, 2)), rng.uniform((33, 4), (60, 60), (50, 2))
    layout = Layout(*(np.full(50, value) for value in (32.0, 18.0, 4.0)))
    expected = shortest_path(start, goal, layout)
    np.testing.assert_allclose(Geodesics(solid).lengths(start, goal), expected, atol=1e-6)


def test_walls_that_touch_at_a_corner_let_no_path_through() -> None:
    maze = from_text("..#.\n.#..\n#...")
    apart = Geodesics(maze.solid).lengths(np.array([[10.0, 10.0]]), np.array([[50.0, 30.0]]))
    assert np.isinf(apart).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_oracle_reaches_every_goal_in_about_the_fewest_steps(kind: str) -> None:
    env = gym.make("Mazes-v0", kind=kind, layout="test", obs_type="state", bounce_noise=0.0)
    world: Any = env.unwrapped
    oracle = world.oracle_policy()
    for seed in range(5):
        _, info = env.reset(seed=seed)
        fewest, steps = world.fewest_steps(), 0
        while not info["is_success"]:
            known = {"state": world.state, "goal": world.goal, "layout": world.layout}
            actions, _ = oracle.predict({name: value[None] for name, value in known.items()})
            info, steps = env.step(actions[0])[4], steps + 1
            assert steps <= 1.4 * fewest + 5


def test_a_task_is_set_exactly_and_the_picture_tells_the_walls() -> None:
    env = MazesEnv()
    seen, info = env.reset(options={"layout": U, "state": (10, 50), "goal": (54, 50)})
    np.testing.assert_array_equal(info["state"], [10, 50])
    np.testing.assert_array_equal(seen["observation"][4:61, 4:61, 1] > 0, wall_pixels(env.layout))
    length = float(env.shortest_path(info["state"], info["goal"], env.layout))
    assert length == pytest.approx(2 * np.hypot(23 - 10, 50 - 23) + (41 - 23))  # over two corners
    options = env.reset_options(env.state, env.goal, pack(from_text(U).solid))
    np.testing.assert_array_equal(MazesEnv().reset(options=options)[0]["observation"],
                                  seen["observation"])  # fmt: skip
    with pytest.raises(ValueError, match="state must be outside of walls"):
        env.reset(options={"layout": U, "state": (32, 50)})


def test_tasks_have_the_path_that_is_asked_for() -> None:
    env = MazesEnv(obs_type="state", cells=(4, 4), path=(5, 8))
    for seed in range(10):
        info = env.reset(seed=seed)[1]
        cells = [int(np.argmax(((env._maze.cells[:, :2] + 4 <= info[name]) &
                                (info[name] < env._maze.cells[:, 2:] + 4)).all(axis=-1)))
                 for name in ("state", "goal")]  # fmt: skip
        assert 5 <= env._maze.hops[cells[0], cells[1]] <= 8


def test_a_task_set_exactly_needs_no_path_of_the_length_that_others_have() -> None:
    env = MazesEnv(obs_type="state", cells=(8, 8), path=(9, 12))
    task = {"layout": U, "state": np.float32([10, 50]), "goal": np.float32([54, 50])}
    info = env.reset(options=task)[1]
    np.testing.assert_array_equal(info["goal"], task["goal"])
    with pytest.raises(ValueError, match="path must be a number of cells that a maze has"):
        env.reset(options={"layout": U})
    with pytest.raises(ValueError, match=r"options are \['state', 'goal', 'layout'\], got \['map"):
        env.reset(options={"map": U})


def test_the_dense_reward_is_the_way_that_is_left() -> None:
    env = MazesEnv(obs_type="state", reward_type="dense", bounce_noise=0.0)
    env.reset(options={"layout": U, "state": (10, 50), "goal": (54, 50)})
    rewards = [env.step(env.way_to(env.goal))[1] for _ in range(5)]
    np.testing.assert_allclose(np.diff(rewards), 2.45 / (56 * 2**0.5), atol=1e-4)
    seen, reward, _, _, info = env.step(np.zeros(2, np.float32))
    goals = (seen["achieved_goal"], seen["desired_goal"])
    assert env.compute_reward(*goals, info) == pytest.approx(reward)
    both = env.compute_reward(*(np.stack([each] * 2) for each in goals), np.array([info] * 2))
    np.testing.assert_allclose(both, reward)


def test_the_map_is_the_worlds_own() -> None:
    env = MazesEnv()
    assert isinstance(env, HasMap)
    layouts = np.stack([pack(from_text(text).solid) for text in (U, "...\n...\n#.#")])
    places = np.stack([env.free_states(14, layout) for layout in layouts])
    assert env.is_free(places, layouts[:, None, None]).all()
    assert (np.ptp(places, axis=(1, 2)) > 50).all()
    lengths = env.shortest_path(places, places[:, ::-1], layouts[:, None, None])
    turned = env.shortest_path(*(torch.as_tensor(each) for each in (
        places[:, ::-1].copy(), places, layouts[:, None, None])))  # fmt: skip
    np.testing.assert_allclose(lengths, turned.numpy(), atol=1e-4)
    groups = env.pair_groups(places, places[:, ::-1], layouts[:, None, None])
    assert (np.sum([*groups.values()], axis=0) == 1).all()


def test_rovers_come_around() -> None:
    env = gym.make("Mazes-v0", obs_type="state", layout="train")
    world: Any = env.unwrapped
    env.reset(seed=0)
    act, rng = MazeRover(seed=0), np.random.default_rng(0)
    places = np.stack([env.step(act(env, rng))[4]["state"] for _ in range(300)])
    assert world._walls.is_free(places).all()
    assert (np.ptp(places, axis=0) > 20).all()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "cave"}, "kind must be one of"),
        ({"reward_type": "steps"}, "reward_type must be 'sparse' or 'dense', got 'steps'"),
        ({"success_radius": 4.5}, r"success_radius must be in \[0.001, 2\], got 4.5"),
        ({"cells": (8, 4)}, "cells must be two numbers in order"),
        ({"cells": "4,6"}, "cells must be two numbers in order"),
        ({"layout": "..\n."}, "a map must have rows of one length"),
        ({"layout": "tests"}, "layout must be one of .* or a map, got 'tests'"),
    ],
)
def test_what_is_wrong_is_said(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MazesEnv(**config)


def test_walls_are_drawn_and_taken_away_with_the_mouse() -> None:
    world = MazesEnv(layout=U, obs_type="state")
    world.reset(seed=0, options={"state": np.float32([10, 10]), "goal": np.float32([50, 10])})
    assert isinstance(world, Movable)
    free, wall = np.float32([30, 10]), np.float32([32, 40])
    assert world.handle_at(np.float32([11, 10])) == "agent"
    assert (world.handle_at(free), world.handle_at(wall)) == ("wall", "passage")
    straight = world.fewest_steps()
    for y in range(4, 23):
        world.reset(options=world.moved("wall", np.float32([30, y])))
    assert not np.isfinite(world.shortest_path(world.state, world.goal, world.layout))
    for x in range(22, 43):
        world.reset(options=world.moved("passage", np.float32([x, 40])))
    assert straight < world.fewest_steps() < 60
    for x in range(5, 60):  # agent and goal stay outside of walls
        world.reset(options=world.moved("wall", np.float32([x, 10])))
    np.testing.assert_allclose(world.state, [10, 10])
    world.reset(options=world.moved("goal", np.float32([32, 55])))
    assert world.is_free(world.goal, world.layout)
    np.testing.assert_allclose(
        world.screen_to_state(world.state_to_screen(world.state, 300), 300), world.state, atol=1e-4
    )
