from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent.envs.drawing import FLOOR, to_array
from jepa_agent.viz.plan_view import (
    CANDIDATE,
    GHOST,
    PLAN,
    SIZE,
    TRAIL,
    View,
    draw,
    field_picture,
    places,
)

PATH = np.float32([[10, 40], [20, 44], [28, 50]])


@pytest.fixture
def view() -> View:
    """Two rooms and nothing else."""
    env = gym.make("TwoRooms-v0", layout="fixed")
    env.reset(seed=0)
    return View(env.unwrapped)


def picture(view: View, size: tuple[int, int] = SIZE, **shown: Any) -> np.ndarray:
    return to_array(draw(dataclasses.replace(view, **shown), size))


def test_paths_are_drawn_where_they_are(view: View) -> None:
    side = places(SIZE).room
    column, row = ((PATH[1] + 0.5) * side / 65).astype(int)
    for name, colour in (("plan", PLAN), ("trail", TRAIL), ("ghost", GHOST)):
        assert tuple(picture(view, **{name: PATH})[row, column]) == colour
    few = picture(view, candidates=np.stack([PATH, PATH + 5]))
    best, worst = few[row, column].astype(int), few[row + 5 * side // 65, column + 5 * side // 65]
    far = [np.abs(pixel - np.array(CANDIDATE)).sum() for pixel in (best, worst, np.array(FLOOR))]
    assert far[0] < far[1] < far[2] + 1


def test_a_path_of_one_point_is_no_line(view: View) -> None:
    np.testing.assert_array_equal(picture(view, trail=PATH[:1]), picture(view))


@pytest.mark.parametrize("name", ["caption", "keys", "message"])
def test_text_is_shown_and_shrinks_to_fit(view: View, name: str) -> None:
    plain = picture(view)
    for text in ("short", "long " * 60):
        shown = picture(view, **{name: text})
        assert (shown != plain).any()
        changed = np.flatnonzero((shown != plain).any(axis=(0, 2)))
        assert changed[-1] < SIZE[0] - 5


def test_help_charts_and_the_true_distance_are_shown(view: View) -> None:
    plain = picture(view)
    room = places(SIZE).room
    assert (picture(view, help=("a", "b"))[:room, :room] != plain[:room, :room]).any()
    for shown in ({"energy": (3.0, 2.0, 0.5)}, {"milliseconds": (9.0, 8.0)},
                  {"truth": np.zeros((9, 9, 3), np.uint8)}):  # fmt: skip
        picked = picture(view, **shown)
        assert (picked[:, room:] != plain[:, room:]).any()
        np.testing.assert_array_equal(picked[:, :room], plain[:, :room])


def test_the_field_lies_on_the_floor_and_not_on_walls(view: View) -> None:
    red = np.zeros((44, 44, 3), np.uint8) + np.uint8([200, 0, 0])
    shown = picture(view, field=red)
    side = places(SIZE).room
    at = lambda x, y: tuple(shown[int((y + 0.5) * side / 65), int((x + 0.5) * side / 65)])  # noqa: E731
    assert at(10, 58) == at(58, 10) == (200, 0, 0)
    assert at(32, 50) == at(2, 2)  # walls
    assert at(32, 18) == (200, 0, 0)  # the door


@pytest.mark.parametrize("size", [(1, 1), (40, 30), (300, 900), (900, 120), (2400, 1500)])
def test_any_size_will_do(view: View, size: tuple[int, int]) -> None:
    everything = {"help": ("a",), "caption": "b", "keys": "c", "message": "d", "plan": PATH,
                  "energy": (1.0, 2.0), "truth": np.zeros((9, 9, 3), np.uint8)}  # fmt: skip
    assert draw(dataclasses.replace(view, **everything), size).get_size() == size


def test_nearer_places_are_brighter_and_lines_are_at_whole_chunks() -> None:
    field = np.tile(np.linspace(0, 3.9, 50, dtype=np.float32), (50, 1))
    shown = field_picture(field, 400).astype(int).sum(axis=-1)
    assert shown.shape == (400, 400)
    assert shown[200, 20] > shown[200, 160] > shown[200, 380]
    lines = np.flatnonzero(np.diff(shown[200]) < -60)
    np.testing.assert_allclose(lines, [103, 205, 308], atol=4)
