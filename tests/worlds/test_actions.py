"""What is read off an environment's actions."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from jepa_agent.planners import ActionBounds
from jepa_agent.worlds.actions import action_bounds, from_rows, to_row


def test_the_world_says_which_action_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PendulumEnv, "idle_action", np.array([0.5]), raising=False)
    monkeypatch.setattr(PendulumEnv, "action_norm", 1.5, raising=False)
    env = gym.make("Pendulum-v1")
    assert action_bounds(env) == ActionBounds((-2.0,), (2.0,), 1.5, (0.5,))
    rescaled = gym.wrappers.RescaleAction(env, np.float32(0.0), np.float32(1.0))
    assert action_bounds(rescaled) == ActionBounds((0.0,), (1.0,))  # in other units


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (gym.spaces.Discrete(3), ActionBounds.one_hot((3,), (), ())),
        (gym.spaces.Discrete(3, start=-1), ActionBounds.one_hot((3,), (-1,), ())),
        (gym.spaces.MultiDiscrete([3, 2]), ActionBounds.one_hot((3, 2))),
        (gym.spaces.MultiDiscrete([4]), ActionBounds.one_hot((4,))),
        (
            gym.spaces.MultiDiscrete([[3, 2], [2, 2]]),
            ActionBounds.one_hot((3, 2, 2, 2), (), (2, 2)),
        ),
        (gym.spaces.MultiDiscrete([3, 2], start=[5, 0]), ActionBounds.one_hot((3, 2), (5, 0))),
        (gym.spaces.MultiBinary(3), ActionBounds.one_hot((2, 2, 2))),
        (gym.spaces.MultiBinary((2, 1)), ActionBounds.one_hot((2, 2), (), (2, 1))),
        (
            gym.spaces.Box(-2, 5, (2,), np.int64),
            ActionBounds((-2.0,) * 2, (5.0,) * 2, dtype="int64"),
        ),
        (gym.spaces.Box(0, 1, (2,), bool), ActionBounds((0.0,) * 2, (1.0,) * 2, dtype="bool")),
        (
            gym.spaces.Box(0, 255, (), np.uint8),
            ActionBounds((0.0,), (255.0,), None, shape=(), dtype="uint8"),
        ),
        (gym.spaces.Box(-1, 1, (2,)), ActionBounds((-1.0,) * 2, (1.0,) * 2)),
        (gym.spaces.Box(-1, 1, (2, 2)), ActionBounds((-1.0,) * 4, (1.0,) * 4, shape=(2, 2))),
    ],
)
def test_actions_of_a_space_become_rows_and_come_back(
    space: gym.Space, expected: ActionBounds
) -> None:
    env = gym.make("Pendulum-v1").unwrapped
    env.action_space = space
    bounds = action_bounds(env)
    assert bounds == expected
    space.seed(0)
    actions = [space.sample() for _ in range(20)]
    rows = np.stack([to_row(bounds, action) for action in actions])
    assert rows.shape == (20, len(bounds.low))
    if bounds.categories:
        assert (rows.sum(axis=1) == len(bounds.categories)).all()
    np.testing.assert_array_equal(from_rows(bounds, rows), np.stack(actions))
    for action, row in zip(actions, rows, strict=True):
        back = from_rows(bounds, row)
        assert space.contains(back)
        np.testing.assert_array_equal(back, action)


def test_an_integer_is_one_and_no_array() -> None:
    bounds = ActionBounds.one_hot((3,), (), ())
    assert {"turn": 0}.get("turn") == from_rows(bounds, np.array([1.0, 0, 0]))
    assert isinstance(from_rows(bounds, np.array([0.0, 0, 1])), np.integer)


def test_the_idle_action_of_a_discrete_world_is_its_integer() -> None:
    env = gym.make("CartPole-v1").unwrapped
    env.idle_action = 1
    assert action_bounds(env).idle == (0.0, 1.0)


def test_an_idle_action_of_another_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PendulumEnv, "idle_action", np.zeros(2), raising=False)
    with pytest.raises(ValueError, match=r"idle_action of PendulumEnv must be .* got \[0. 0.\]"):
        action_bounds(gym.make("Pendulum-v1"))


def test_other_spaces_are_refused() -> None:
    env = gym.make("Pendulum-v1").unwrapped
    env.action_space = gym.spaces.Tuple([gym.spaces.Discrete(3)])
    with pytest.raises(ValueError, match=r"or MultiBinary, got Tuple\(Discrete\(3\)\); make one"):
        action_bounds(env)


@pytest.mark.parametrize(
    ("high", "wrong"), [([1.0, 0.0, 0.0], r"whose numbers \[1, 2\] cannot"), ([], "of none")]
)
def test_numbers_that_cannot_vary_are_refused(high: list[float], wrong: str) -> None:
    env = gym.make("Pendulum-v1").unwrapped
    env.action_space = gym.spaces.Box(np.zeros(len(high), np.float32), np.array(high, np.float32))
    with pytest.raises(ValueError, match=rf"can vary, got Box.*{wrong}; leave them out"):
        action_bounds(env)


def test_actions_are_of_the_type_and_in_the_box_of_the_environment() -> None:
    env = gym.make("Pendulum-v1").unwrapped
    env.action_space = gym.spaces.Box(-0.1, 0.1, (1,), np.float64)
    row = np.array([0.1], np.float32)  # beyond 0.1
    assert env.action_space.contains(from_rows(action_bounds(env), row))
    env.action_space = gym.spaces.Box(-3, 3, (2,), np.int16)
    action = from_rows(action_bounds(env), np.array([1.6, -9.0], np.float32))
    assert env.action_space.contains(action)
    assert action.tolist() == [2, -3]
