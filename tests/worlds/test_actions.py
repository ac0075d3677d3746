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


def test_other_spaces_are_refused() -> None:
    env = gym.make("Pendulum-v1").unwrapped
    env.action_space = gym.spaces.MultiBinary(3)
    with pytest.raises(ValueError, match=r"Box, Discrete or MultiDiscrete, got MultiBinary\(3\)"):
        action_bounds(env)
