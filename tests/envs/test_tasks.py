"""Layout sets, sampled tasks, and the errors of configs and reset options."""

from collections import Counter

import gymnasium as gym
import numpy as np
import pytest

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent.envs.physics import HIGH, LOW
from jepa_agent.envs.tasks import TwoRoomsConfig, sample_tasks, unseen_factors

MARGIN = 2.6


def layouts(**config: object) -> set[tuple[float, ...]]:
    return {tuple(row) for group in TwoRoomsConfig(**config).layout_groups() for row in group}


def test_train_and_test_split_the_random_layouts() -> None:
    every, train, test = (layouts(layout=name) for name in ("random", "train", "test"))
    assert every == {(x, y, 4.0) for x in range(20, 45) for y in range(10, 55)}
    assert (len(every), len(train), len(test)) == (1125, 966, 159)
    assert train | test == every
    assert not train & test


def test_other_layout_sets() -> None:
    assert layouts(layout="fixed") == {(32.0, 18.0, 4.0)}
    assert not layouts(layout="ood") & layouts(layout="random")
    assert layouts(layout=[(11, 8), (53, 56)]) == {(11.0, 8.0, 4.0), (53.0, 56.0, 4.0)}
    assert layouts(layout="random", wall_x=25) == {(25.0, y, 4.0) for y in range(10, 55)}
    assert layouts(layout="random", wall_x=53, door_y=8, door_halfwidth=3) == {(53.0, 8.0, 3.0)}


@pytest.mark.parametrize("name", ["random", "fixed", "train", "test", "ood"])
def test_every_door_that_a_config_accepts_is_open_and_between_the_borders(name: str) -> None:
    for door_halfwidth in range(1, 21):
        try:
            config = TwoRoomsConfig(layout=name, door_halfwidth=door_halfwidth)
        except ValueError:
            continue
        _, door_y, halfwidth = np.concatenate(config.layout_groups()).T
        assert (halfwidth >= 1).all(), door_halfwidth
        assert (door_y - halfwidth >= LOW).all(), door_halfwidth
        assert (door_y + halfwidth <= HIGH).all(), door_halfwidth


@pytest.mark.parametrize("name", ["random", "ood"])
def test_sampled_tasks_lie_in_opposite_rooms_and_keep_the_margin(name: str) -> None:
    groups = TwoRoomsConfig(layout=name).layout_groups()
    layout, start, goal = sample_tasks(np.random.default_rng(0).random((50_000, 6)), groups)
    wall_x = layout[:, 0]
    for point in (start, goal):
        assert (abs(point[:, 0] - wall_x) >= 1 + MARGIN - 1e-5).all()
        assert (point >= LOW + MARGIN - 1e-5).all()
        assert (point <= HIGH - MARGIN + 1e-5).all()
    starts_left = start[:, 0] < wall_x
    np.testing.assert_array_equal(goal[:, 0] > wall_x, starts_left)
    assert starts_left.mean() == pytest.approx(0.5, abs=0.02)
    drawn, counts = np.unique(layout, axis=0, return_counts=True)
    assert len(drawn) == sum(map(len, groups))
    if name == "random":  # uniform: about 44 each
        assert counts.min() > 10
        assert counts.max() < 100
    else:  # a third each for new walls, new doors and narrow doors
        is_narrow, is_new_wall = layout[:, 2] == 3, abs(wall_x - 32) > 12
        assert is_narrow.mean() == pytest.approx(1 / 3, abs=0.02)
        assert is_new_wall.mean() == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"layout": "maze"}, "layout must be one of .*'maze'"),
        ({"layout": []}, "an empty list"),
        ({"layout": [(32, 18, 4)]}, r"pairs \(wall_x, door_y\), got the item \(32, 18, 4\)"),
        ({"layout": [(32, 2)]}, r"door_y must be an integer in \[4, 60\], got 2"),
        ({"layout": [(10, 18)]}, r"wall_x must be an integer in \[11, 53\], got 10"),
        ({"layout": [("a", 18)]}, "wall_x must be an integer .*'a'"),
        ({"layout": [3]}, "list of pairs .*3"),
        ({"layout": 3}, "layout must .*3"),
        ({"layout": None}, "layout must .*None"),
        ({"wall_x": 10}, r"wall_x must be an integer in \[11, 53\], got 10"),
        ({"wall_x": 54}, r"wall_x must be an integer in \[11, 53\], got 54"),
        ({"wall_x": 32.5}, "wall_x must be an integer .*32.5"),
        ({"wall_x": True}, "wall_x must be an integer .*True"),
        ({"wall_x": "wide"}, "wall_x must be an integer .*'wide'"),
        ({"wall_x": float("nan")}, "wall_x must be an integer .*nan"),
        ({"door_y": 7}, "a door must fit .* door_y 7"),
        ({"door_y": 57}, "a door must fit .* door_y 57"),
        ({"door_y": "low"}, "door_y must be an integer .*'low'"),
        ({"door_y": [18, 19]}, r"door_y must be an integer .*\[18, 19\]"),
        ({"door_y": float("nan")}, "door_y must be an integer .*nan"),
        ({"door_y": 1e300}, r"door_y must be an integer .*1e\+300"),
        ({"door_halfwidth": 0}, "door_halfwidth must be an integer .* got 0"),
        ({"door_halfwidth": 2.5}, "door_halfwidth must be an integer .* got 2.5"),
        ({"obs_type": "image"}, "obs_type must be one of .*'image'"),
        ({"obs_type": None}, "obs_type must be one of .*None"),
        ({"reward_type": "shaped"}, "reward_type must be one of .*'shaped'"),
        ({"terminate_on_success": 1}, "terminate_on_success must be True or False.* 1"),
        ({"terminate_on_success": "no"}, "terminate_on_success must be .*'no'"),
        ({"success_radius": float("nan")}, "success_radius must be .* got nan"),
        ({"success_radius": 0}, "success_radius must be .* > 0 .*got 0"),
        ({"success_radius": "4"}, "success_radius must be .* got '4'"),
        ({"step_length": float("inf")}, "step_length must be .* got inf"),
        ({"step_length": -1.0}, "step_length must be .* got -1.0"),
        ({"step_length": None}, "step_length must be .* got None"),
        ({"bounce_noise": -0.1}, "bounce_noise must be .* >= 0 .*got -0.1"),
        ({"bounce_noise": True}, "bounce_noise must be .* got True"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_config(config: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        TwoRoomsConfig(**config)


def test_novelty_is_what_the_training_layouts_lack() -> None:
    (train,) = TwoRoomsConfig(layout="train").layout_groups()
    (test,) = TwoRoomsConfig(layout="test").layout_groups()
    assert {unseen_factors((int(wall), int(door))) for wall, door, _ in train} == {"nothing"}
    counts = Counter(unseen_factors((int(wall), int(door))) for wall, door, _ in test)
    assert counts == {"new wall": 2 * 42, "new door": 23 * 3, "new wall and door": 2 * 3}


def test_an_unknown_keyword_is_named_beside_the_known_ones() -> None:
    with pytest.raises(TypeError, match=r"takes layout, .* got \['wallx'\]; correct the name"):
        gym.make("TwoRooms-v0", wallx=3)
