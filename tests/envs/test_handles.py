"""What Two Rooms offers to evaluation, diagnostics, pictures and the mouse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jepa_agent.envs import TwoRoomsEnv
from jepa_agent.worlds import protocols

TASK = {"wall_x": 32, "door_y": 18, "position": (20.0, 40.0), "goal": (50.0, 30.0)}


@pytest.fixture
def world() -> TwoRoomsEnv:
    world = TwoRoomsEnv(obs_type="state")
    world.reset(seed=0, options=TASK)
    return world


@pytest.mark.parametrize(
    "name",
    ["RendersStates", "HasLayout", "HasMap", "GroupsPairs", "RatesEpisodes", "HasUnit", "Drawable",
     "Movable"],
)  # fmt: skip
def test_two_rooms_offers_everything(world: TwoRoomsEnv, name: str) -> None:
    assert isinstance(world, getattr(protocols, name))
    assert not isinstance(object(), getattr(protocols, name))


def test_fewest_steps_are_the_shortest_path_without_the_goals_disc(world: TwoRoomsEnv) -> None:
    length = float(world.shortest_path(world.state, world.goal, world.layout))
    assert world.fewest_steps() == math.ceil((length - 4.5) / 2.45)
    world.reset(options=TASK | {"goal": (21.0, 40.0)})
    assert world.fewest_steps() == 1


def test_pairs_are_grouped_by_rooms(world: TwoRoomsEnv) -> None:
    states, goals = np.float32([[10, 9], [10, 9], [50, 9]]), np.float32([[20, 9], [50, 9], [40, 9]])
    groups = world.pair_groups(states, goals, world.layout)
    assert {name: rows.tolist() for name, rows in groups.items()} == {
        "same room": [True, False, True],
        "through the door": [False, True, False],
    }


def test_free_states_cover_the_rooms(world: TwoRoomsEnv) -> None:
    states = world.free_states(20, world.layout)
    assert states.shape == (20, 20, 2)
    assert world.is_free(states, world.layout).all()
    assert np.ptp(states.reshape(-1, 2), axis=0).min() > 50


def test_the_screen_is_turned_into_states_and_back(world: TwoRoomsEnv) -> None:
    np.testing.assert_allclose(
        world.screen_to_state(world.state_to_screen(world.state, 300), 300), world.state, atol=1e-4
    )


@pytest.mark.parametrize(
    ("point", "name"),
    [((21, 41), "agent"), ((32, 50), "wall"), ((33, 18), "door"), ((50, 30), None)],
)
def test_things_are_found_where_they_are(
    world: TwoRoomsEnv, point: tuple[float, float], name: str | None
) -> None:
    assert world.handle_at(np.float32(point)) == name


def test_a_recorded_state_is_where_an_episode_begins(world: TwoRoomsEnv) -> None:
    goal, layout = np.float32([50, 33]), np.float32([41, 20, 4])
    _, info = world.reset(options=world.reset_options(np.float32([12.5, 9]), goal, layout))
    np.testing.assert_array_equal(info["position"], [12.5, 9])
    np.testing.assert_array_equal(info["goal"], goal)
    assert (info["wall_x"], info["door_y"]) == (41, 20)


@pytest.mark.parametrize(
    ("name", "point", "changed"),
    [
        ("goal", (40.0, 20.0), {"goal": [40, 20]}),
        ("goal", (32.0, 50.0), {"goal": [30.5, 50]}),  # in the wall: beside it
        ("agent", (-20.0, 90.0), {"position": [4.5, 59.5]}),
        ("wall", (-9.0, 9.0), {"wall_x": 11}),
        ("door", (9.0, 999.0), {"door_y": 56}),
        ("wall", (19.6, 0.0), {"wall_x": 20, "position": [18.5, 40]}),  # onto the agent
    ],
)
def test_what_is_moved_is_put_as_near_as_can_be(
    world: TwoRoomsEnv, name: str, point: tuple[float, float], changed: dict
) -> None:
    _, info = world.reset(options=world.moved(name, np.float32(point)))
    for key, value in (TASK | changed).items():
        np.testing.assert_allclose(info[key], value, atol=0.01)
