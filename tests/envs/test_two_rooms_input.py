"""What the user hands to TwoRooms-v0: reset options, actions, constructor arguments."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent.envs import TwoRoomsEnv
from jepa_agent.envs.physics import Layout, is_free

FIXED = {"wall_x": 32, "door_y": 18}
TASK = FIXED | {"position": (20.0, 40.0), "goal": (50.0, 30.0)}


def state_env(**config: Any) -> TwoRoomsEnv:
    return TwoRoomsEnv(obs_type="state", **config)


@pytest.fixture
def env() -> TwoRoomsEnv:
    """State observations, reset to `TASK`."""
    env = state_env()
    env.reset(seed=0, options=TASK)
    return env


@pytest.mark.parametrize(
    "options",
    [
        {},
        None,
        {"wall_x": 44},
        {"door_y": np.int64(54)},
        {"wall_x": 11, "door_y": 8},
        {"position": (4.01, 59.99)},
        {"position": [40.0, 20.0]},
        {"goal": np.array([5, 5])},
        {"position": (32.5, 18.0)} | FIXED,
        {"goal": (32.0, 22.0)} | FIXED,
        {"position": (32.0, 20.0)},
        {"position": (10.0, 10.0), "goal": (11.0, 50.0)},
        TASK,
    ],
    ids=str,
)
def test_reset_sets_any_subset_exactly(options: dict[str, Any] | None) -> None:
    env = state_env()
    for seed in range(8):
        _, info = env.reset(seed=seed, options=options)
        for key, value in (options or {}).items():
            np.testing.assert_array_equal(info[key], np.float32(value))
        layout = Layout.from_array(env.layout)
        for point in (info["position"], info["goal"]):
            assert is_free(point, layout)
        if not {"position", "goal"} <= set(options or {}):
            sides = np.sign([info[key][0] - info["wall_x"] for key in ("position", "goal")])
            assert sides[0] != sides[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"walls": 3}, r"reset options are .*\['walls'\]"),
        ({"wall_x": 5}, r"wall_x must be an integer in \[11, 53\], got 5"),
        ({"wall_x": "32"}, r"wall_x must be an integer in \[11, 53\], got '32'"),
        ({"door_y": 57}, "a door must fit .* door_y 57"),
        ({"door_y": "low"}, "door_y must be an integer .*'low'"),
        ({"position": (31, 40)} | FIXED, r"position must be a free point.*\[31.0, 40.0\]"),
        ({"position": (4.0, 30.0)}, r"position must be a free point.*\[4.0, 30.0\]"),
        ({"goal": (70.0, 30.0)}, r"goal must be a free point.*\[70.0, 30.0\]"),
        ({"goal": (float("nan"), 30.0)}, "goal must be two finite pixel coordinates.*nan"),
        ({"goal": (1, 2, 3)}, r"goal must be two finite .*\(1, 2, 3\)"),
        ({"goal": "door"}, "goal must be two finite .*'door'"),
        ({"goal": 7}, "goal must be two finite .*7"),
        ([("wall_x", 32), 3], "options must be .*3"),
    ],
    ids=str,
)
def test_bad_reset_options_change_nothing(options: Any, message: str) -> None:
    env, untouched = state_env(), state_env()
    for each in (env, untouched):
        each.reset(seed=5)
    with pytest.raises((TypeError, ValueError), match=message):
        env.reset(options=options)
    with pytest.raises((TypeError, ValueError), match=message):
        env.reset(seed=9, options=options)
    np.testing.assert_array_equal(env.state, untouched.state)
    np.testing.assert_array_equal(env.layout, untouched.layout)
    action = np.float32([1, 0])
    for a, b in zip(env.step(action)[0].values(), untouched.step(action)[0].values(), strict=True):
        np.testing.assert_array_equal(a, b)
    (_, info), (_, expected) = env.reset(), untouched.reset()
    np.testing.assert_array_equal(info["position"], expected["position"])


def test_a_first_reset_that_fails_starts_no_episode() -> None:
    env = state_env()
    with pytest.raises(ValueError, match="reset options"):
        env.reset(options={"start": (10, 10)})
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\) first"):
        env.step(np.zeros(2, np.float32))


@pytest.mark.parametrize(
    ("action", "got"),
    [
        (np.array([np.nan, 0]), "nan"),
        (np.array([0, np.inf]), "inf"),
        (np.array([-np.inf, 0], np.float32), "inf"),
        (np.array([1e300, 0]), r"1\.?e\+300"),
        (np.zeros(3), r"\(3,\)"),
        (np.zeros((1, 2)), r"\(1, 2\)"),
        (np.zeros(()), r"\(\)"),
        ([], r"\(0,\)"),
        ([[1.0], [1.0, 2.0]], "ragged"),
        (0.5, r"\(\)"),
        (None, "None"),
        ("up", "up"),
        (["0.1", "0.2"], "0.1"),
        ([True, False], "bool"),
        (np.array([1j, 0]), "complex"),
        (np.array([0.1, None]), "object"),
        ({"x": 1, "y": 0}, "object"),
    ],
    ids=repr,
)
def test_bad_actions_are_refused_and_move_nothing(env: TwoRoomsEnv, action: Any, got: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"an action must be finite real .*{got}"):
        env.step(action)
    np.testing.assert_array_equal(env.state, np.float32(TASK["position"]))
    assert env.step(np.zeros(2, np.float32))[4]["distance"] == pytest.approx(np.hypot(30, 10))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"layout": "maze"}, "layout must be one of"),
        ({"wall_x": 60}, "wall_x must be an integer"),
        ({"render_mode": "ansi"}, "render_mode must be None or one of .*'ansi'"),
        ({"wallx": 32}, "wallx"),
    ],
)
def test_bad_constructor_arguments(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        TwoRoomsEnv(**kwargs)
