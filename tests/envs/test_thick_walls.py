"""Walls twice as thick: the same physics and pictures, by a fourth number of the layout."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

from jepa_agent.envs import CollectConfig, OraclePolicy, collect
from jepa_agent.envs.physics import Layout, is_free, shortest_path, step
from jepa_agent.envs.rendering import read_layout, render

THICK = np.array([32, 18, 4, 2], dtype=np.float32)
USUAL = np.array([32, 18, 4, 1], dtype=np.float32)


def test_a_fourth_number_of_the_usual_size_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(5, 59, (4000, 2)).astype(np.float32)
    three, four = (Layout.from_array(np.broadcast_to(USUAL[:n], (4000, n))) for n in (3, 4))
    free = is_free(places, three)
    np.testing.assert_array_equal(free, is_free(places, four))
    places[~free] = [10, 10]
    moves = rng.normal(0, 3, (4000, 2)).astype(np.float32)
    still = np.zeros_like(moves)
    np.testing.assert_array_equal(
        step(places, moves, three, still), step(places, moves, four, still)
    )
    goals = places[::-1]
    np.testing.assert_array_equal(
        shortest_path(places, goals, three), shortest_path(places, goals, four)
    )
    np.testing.assert_array_equal(render(places, three), render(places, four))


def test_a_thick_wall_stops_a_pixel_earlier_and_is_drawn_so() -> None:
    walls, place = Layout.from_array(THICK[None]), np.array([[28.0, 40.0]], dtype=np.float32)
    assert not is_free(np.array([[30.5, 40.0]]), walls)[0]
    assert is_free(np.array([[30.5, 18.0]]), walls)[0]
    moved = step(place, np.array([[6.0, 0.0]], dtype=np.float32), walls, np.zeros((1, 2)))
    assert 29.5 < moved[0, 0] < 30
    image = render(place[0], Layout.from_array(THICK))
    assert image[40, :, 1].nonzero()[0].tolist() == [4, 30, 31, 32, 33, 34, 60]
    np.testing.assert_array_equal(read_layout(image), THICK)
    layouts = torch.as_tensor(THICK)
    np.testing.assert_array_equal(
        render(torch.as_tensor(place[0]), Layout.from_array(layouts)).numpy(), image
    )


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
def test_the_thick_world_is_played_alone_and_by_the_thousand(obs_type: str) -> None:
    alone = gym.make("TwoRooms-v0", layout="thick", obs_type=obs_type)
    many = gym.make_vec("TwoRooms-v0", 3, layout="thick", obs_type=obs_type)
    seen, info = alone.reset(seed=5)
    batch, _ = many.reset(seed=5)
    for key, value in seen.items():
        np.testing.assert_array_equal(value, batch[key][0])
    assert alone.unwrapped.layout.shape == (4,)
    assert alone.unwrapped.layout[3] == 2
    assert info["door_halfwidth"] == 4


def test_the_oracle_sees_the_thickness_and_walkers_are_collected() -> None:
    env, oracle = gym.make("TwoRooms-v0", layout="thick"), OraclePolicy()
    for seed in range(5):
        observation, _ = env.reset(seed=seed)
        fewest = env.unwrapped.fewest_steps()
        over, taken = False, 0
        while not over:
            observation, _, over, _, _ = env.step(oracle.predict(observation)[0])
            taken += 1
            assert taken <= fewest + 4
    found = collect(CollectConfig("mixed", "thick", episodes=8, steps=20))
    assert found.layout.shape == (8, 4)
    layout = Layout.from_array(np.repeat(found.layout[:, None], 21, axis=1))
    assert is_free(found.states, layout).all()
