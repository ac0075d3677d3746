"""What an agent cannot take is refused, with the rule and the fix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jepa_agent import JEPAAgent
from jepa_agent.planners import (
    ActionBounds,
)

from .observing import observations, row


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("observation", np.full((65, 65, 3), 2, np.float32), "float32"),
        ("observation", np.zeros((64, 64, 3), np.uint8), r"\(64, 64, 3\)"),
        ("observation", np.zeros((3, 64, 65), np.uint8), r"\(3, 64, 65\)"),
        ("observation", np.zeros((1, 1, 65, 65, 3), np.uint8), r"\(1, 1, 65, 65, 3\)"),
        ("desired_goal", np.zeros((65, 65), np.uint8), r"\(65, 65\)"),
        ("desired_goal", np.zeros(2, np.float32), r"float32 \(2,\)"),
    ],
)
def test_a_wrong_image_is_rejected(
    tiny_agent: JEPAAgent, key: str, value: np.ndarray, message: str
) -> None:
    observation = {**row(observations(tiny_agent, 1), 0), key: value}
    with pytest.raises(ValueError, match=rf"{key} must be uint8.*{message}.*agent\.env_ref\.make"):
        tiny_agent.predict(observation)


def test_state_observations_are_rejected(tiny_agent: JEPAAgent) -> None:
    observation, _ = tiny_agent.env_ref.make(obs_type="state").reset(seed=0)
    with pytest.raises(ValueError, match=r"must be uint8 images \(65, 65, 3\).*got float32 \(4,\)"):
        tiny_agent.predict(observation)


@pytest.mark.parametrize("observation", [np.zeros((65, 65, 3), np.uint8), {}, None])
def test_an_observation_without_a_goal_is_rejected(tiny_agent: JEPAAgent, observation: Any) -> None:
    with pytest.raises(ValueError, match=r"must be a dict with .* goal-conditioned environment"):
        tiny_agent.predict(observation)


@pytest.mark.parametrize("goals", [None, 2, 4], ids=["a single goal", "too few", "too many"])
def test_goals_must_be_as_many_as_observations(tiny_agent: JEPAAgent, goals: int | None) -> None:
    batch = observations(tiny_agent, 4)
    goal = batch["desired_goal"][0] if goals is None else batch["desired_goal"][:goals]
    with pytest.raises(ValueError, match="desired_goal"):
        tiny_agent.predict({"observation": batch["observation"][:3], "desired_goal": goal})


def test_a_state_of_other_environments_is_rejected(tiny_agent: JEPAAgent) -> None:
    batch = observations(tiny_agent, 3)
    _, state = tiny_agent.predict(batch)
    with pytest.raises(ValueError, match=r"must be of 1 environments .*got 3"):
        tiny_agent.predict(row(batch, 0), state)


def test_bounds_must_be_of_the_models_actions(tiny_agent: JEPAAgent) -> None:
    with pytest.raises(ValueError, match="action"):
        JEPAAgent(tiny_agent.model, ActionBounds((-1.0,), (1.0,)), tiny_agent.env_ref)
