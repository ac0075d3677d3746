"""PointMazes-v0: maps, their split, tasks by path length, pictures; where MuJoCo is there."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent.envs.point_maps import BLOCKED, block_map


@pytest.fixture
def world() -> Any:
    for package in ("mujoco", "gymnasium_robotics"):
        pytest.importorskip(package, exc_type=ImportError, reason="needs the extra `worlds`")
    return gym.make("PointMazes-v0", render_mode="rgb_array").unwrapped


def test_maps_are_connected_dense_and_in_one_split() -> None:
    kept = {
        split: [block_map(split, 8, number) for number in range(12)] for split in ("train", "test")
    }
    for each in [*kept["train"], *kept["test"]]:
        assert np.isfinite(each.hops).all()
        assert BLOCKED[0] - 0.01 < each.maze[1:-1, 1:-1].mean() < BLOCKED[1] + 0.01
        assert each.maze[[0, -1]].all()
        assert each.maze[:, [0, -1]].all()
    blocks = {split: {each.maze.tobytes() for each in maps} for split, maps in kept.items()}
    assert len(blocks["train"] | blocks["test"]) == 24
    block_map.cache_clear()
    np.testing.assert_array_equal(block_map("train", 8, 3).maze, kept["train"][3].maze)


def test_the_published_path_lengths_exist_on_test_maps() -> None:
    for fewest, most in ((5, 8), (9, 12), (13, 16)):
        having = [
            ((hops >= fewest) & (hops <= most)).any()
            for hops in (block_map("test", 8, number).hops for number in range(20))
        ]
        assert np.mean(having) > 0.8, (fewest, most)


def test_gymnasium_has_nothing_to_object_to(world: Any) -> None:
    check_env(world)
    assert len(world.layout_names) == len(world.layout) == 100


def test_tasks_have_the_path_that_is_asked_for_and_pictures_show_the_map(world: Any) -> None:
    env = gym.make("PointMazes-v0", layout="test", layouts=20, path=(9, 12)).unwrapped
    mazes = set()
    for seed in range(8):
        seen, info = env.reset(seed=seed)
        free = np.argwhere(env.maze == 0)
        cells = [env.cell_of(info[name][:2]) for name in ("state", "goal")]
        first, last = (int((free == cell).all(axis=-1).argmax()) for cell in cells)
        assert 9 <= env._map.hops[first, last] <= 12
        size = 64 / 10
        centres = (np.arange(10) * size + size / 2).astype(int)
        middle = seen["observation"][np.ix_(centres, centres)].astype(int)
        brown = np.abs(middle - (178, 128, 76)).sum(axis=-1) < 10
        np.testing.assert_array_equal(brown, env.maze == 1)
        mazes.add(env.maze.tobytes())
        options = env.reset_options(info["state"], info["goal"], env.layout)
        again = world.reset(options=options)[0]
        np.testing.assert_array_equal(again["desired_goal"], seen["desired_goal"])
    assert len(mazes) > 3


def test_torch_draws_many_maps_at_once(world: Any) -> None:
    maps = [block_map("train", 8, number) for number in range(3)]
    places = np.stack([each.centre_of(np.argwhere(each.maze == 0)[:2]) for each in maps])
    states = np.concatenate([places, np.zeros((3, 2, 2))], axis=-1).astype(np.float32)
    layouts = np.stack([each.maze.reshape(-1) for each in maps]).astype(np.float32)[:, None]
    images = world.render_states(torch.as_tensor(states), torch.as_tensor(layouts)).numpy()
    for row, each in enumerate(maps):
        world.reset(options={"layout": each.maze.reshape(-1), "state": states[row, 1]})
        alone = world.render_states(world.state, world.layout)
        assert np.abs(images[row, 1].astype(int) - alone).max() <= 1


def test_the_oracle_gets_around_in_every_map(world: Any) -> None:
    oracle = world.oracle_policy()  # of another map than those that it plays in
    env: Any = gym.make("PointMazes-v0", layout="test", obs_type="state", path=(5, 8)).unwrapped
    for seed in range(3):
        info = env.reset(seed=seed)[1]
        for _ in range(500):
            known = {"state": env.state, "goal": env.goal, "layout": env.layout}
            actions, _ = oracle.predict({name: value[None] for name, value in known.items()})
            info = env.step(actions[0])[4]
            if info["is_success"]:
                break
        assert info["is_success"]


def test_what_is_wrong_is_said(world: Any) -> None:
    with pytest.raises(ValueError, match="cells must be a whole number from 4 to 8, got 9"):
        gym.make("PointMazes-v0", cells=9)
    with pytest.raises(ValueError, match="layout must be one of"):
        gym.make("PointMazes-v0", layout="ood")
    with pytest.raises(ValueError, match="path must be a number of cells that a map has"):
        gym.make("PointMazes-v0", cells=4, path=(30, 40)).reset(seed=0)
    with pytest.raises(ValueError, match="layout must be 100 numbers"):
        world.reset(options={"layout": [0, 1]})
