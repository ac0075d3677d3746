"""What data tell about actions where the environment does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jepa_agent import Trajectories
from jepa_agent.data.actions import fitted
from jepa_agent.planners import ActionBounds


def walks(centre: float, half_width: float, still: float, images: bool = False) -> Trajectories:
    """Random actions in a box; a step's length grows with their distance from one that is still."""
    rng = np.random.default_rng(0)
    actions = rng.uniform(centre - half_width, centre + half_width, (20, 30, 1))
    moves = (actions - still) / half_width + 0.1 * rng.normal(size=actions.shape)
    states = np.concatenate([np.zeros((20, 1, 1)), moves.cumsum(axis=1)], axis=1).reshape(-1, 1)
    seen = np.clip(128 + 2 * states, 0, 255).astype(np.uint8)[:, :, None, None] if images else None
    states = np.zeros((len(states), 0)) if images else states
    layout, offsets = np.zeros((20, 0)), np.arange(21) * 31
    return Trajectories(states, actions.reshape(-1, 1), layout, offsets, observations=seen)


def test_an_unbounded_component_gets_the_range_of_the_data() -> None:
    data = walks(0.0, 2.0, 0.0)
    inf = float("inf")
    least, most = data.actions.min().item(), data.actions.max().item()
    found = fitted(ActionBounds((-inf,), (inf,), idle=(0.0,)), data)
    assert found == ActionBounds((least,), (most,), idle=(0.0,))
    assert fitted(ActionBounds((-inf,), (5.0,), idle=(0.0,)), data) == found
    largest = float(np.finfo(np.float32).max)
    assert fitted(ActionBounds((-largest,), (largest,), idle=(0.0,)), data) == found
    still = dataclasses.replace(data, actions=np.ones_like(data.actions))
    found = fitted(ActionBounds((-inf,), (inf,)), still)
    assert 0.99 < found.low[0] < 1.0 < found.high[0] < 1.01


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize(
    ("still", "idle"), [(0.0, None), (256.0, (256.0,))], ids=["a throttle", "a shifted box"]
)
def test_the_idle_action_is_where_least_changes(
    images: bool, still: float, idle: tuple[float, ...] | None
) -> None:
    """Zero, which is the default, or the box's centre."""
    bounds = ActionBounds((0.0,), (512.0,))
    assert fitted(bounds, walks(256.0, 256.0, still, images)).idle == idle


def test_what_is_said_is_not_guessed() -> None:
    data = walks(256.0, 256.0, 256.0)
    said = ActionBounds((0.0,), (512.0,), idle=(100.0,))
    assert fitted(said, data) == said
    even = ActionBounds((-1.0,), (1.0,))
    assert fitted(even, walks(0.0, 1.0, 0.7)) == even  # zero is the centre


def test_data_of_another_world_are_refused() -> None:
    with pytest.raises(ValueError, match="as many components as their bounds, got 1 and 2; name"):
        fitted(ActionBounds((0.0,) * 2, (1.0,) * 2), walks(0.0, 1.0, 0.0))


def test_the_idle_category_is_the_one_that_changes_least() -> None:
    """The last of three is never taken; in another group of two, each step is as long."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(2, size=(20, 30)), rng.integers(2, size=(20, 30))
    actions = np.concatenate([np.eye(3)[first], np.eye(2)[second]], axis=-1).reshape(-1, 5)
    moves = np.where(first == 1, 0.1, 1.0)[..., None]
    states = np.concatenate([np.zeros((20, 1, 1)), moves.cumsum(axis=1)], axis=1).reshape(-1, 1)
    data = Trajectories(states, actions, np.zeros((20, 0)), np.arange(21) * 31)
    found = fitted(ActionBounds.one_hot((3, 2)), data)
    assert found.idle is not None
    assert found.idle[:3] == (0.0, 1.0, 0.0)
    assert sum(found.idle[3:]) == 1.0


def test_plans_keep_to_a_narrower_range_of_the_data() -> None:
    data = walks(0.05, 0.25, 0.0)
    narrow = fitted(ActionBounds((-1.0,), (1.0,), idle=(0.0,)), data)
    assert (*narrow.low, *narrow.high) == pytest.approx((-0.2, 0.3), abs=0.01)
    almost = ActionBounds((-0.21,), (0.31,), idle=(0.0,))
    assert fitted(almost, data) == almost
