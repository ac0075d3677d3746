"""What is read off an environment's actions."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from jepa_agent.planners import ActionBounds
from jepa_agent.worlds.actions import action_bounds


def test_the_world_says_which_action_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PendulumEnv, "idle_action", np.array([0.5]), raising=False)
    monkeypatch.setattr(PendulumEnv, "action_norm", 1.5, raising=False)
    env = gym.make("Pendulum-v1")
    assert action_bounds(env) == ActionBounds((-2.0,), (2.0,), 1.5, (0.5,))
    rescaled = gym.wrappers.RescaleAction(env, np.float32(0.0), np.float32(1.0))
    assert action_bounds(rescaled) == ActionBounds((0.0,), (1.0,))  # in other units
