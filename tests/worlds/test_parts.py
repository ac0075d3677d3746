from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Text

from jepa_agent.worlds.history import stack_frames
from jepa_agent.worlds.observations import check_observations
from jepa_agent.worlds.parts import Parts, parts_of

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (5, 6, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (7, 4, 1), dtype=np.uint8)
ARM = RNG.normal(size=3).astype(np.float32)
WHOLE = {"front": IMAGE, "arm": ARM, "side": GREY}
PARTS = Parts({"front": (5, 6, 3), "side": (7, 4, 1), "arm": (3,)})


@pytest.mark.parametrize("batch", [(), (2,), (2, 4)])
def test_parts_come_back_bit_by_bit(batch: tuple[int, ...]) -> None:
    given = {name: np.broadcast_to(part, (*batch, *part.shape)) for name, part in WHOLE.items()}
    rows = PARTS.pack(given)
    assert rows.shape == (*batch, PARTS.size)
    assert rows.dtype == np.uint8
    found = PARTS.unpack(rows)
    assert [*found] == ["arm", "front", "side"]
    for name, part in found.items():
        np.testing.assert_array_equal(part, given[name])
        assert part.dtype == given[name].dtype


def test_parts_are_cast_to_their_standard_form() -> None:
    raw = {"arm": ARM.astype(np.float64), "front": np.moveaxis(IMAGE, -1, 0), "side": GREY[..., 0]}
    np.testing.assert_array_equal(PARTS.pack(raw), PARTS.pack(WHOLE))


def test_vectors_are_told_from_images() -> None:
    rows = PARTS.pack({name: np.stack([part, part]) for name, part in WHOLE.items()})
    np.testing.assert_array_equal(PARTS.vectors(rows), [ARM, ARM])
    assert Parts({"side": (7, 4, 1)}).vectors(rows[:, :28]).shape == (2, 0)


def test_errors_name_rule_and_fix() -> None:
    with pytest.raises(ValueError, match=r"must have the parts \['arm', .*got none of \['side'\]"):
        PARTS.pack({"arm": ARM, "front": IMAGE})
    with pytest.raises(
        ValueError, match=r"the part arm must be vectors \(3,\), got float32 \(2,\)"
    ):
        PARTS.pack({**WHOLE, "arm": ARM[:2]})
    with pytest.raises(ValueError, match=r"the part front must be uint8 images .*got int64"):
        PARTS.pack({**WHOLE, "front": IMAGE.astype(np.int64) * 2})
    with pytest.raises(ValueError, match=r"vectors \(S,\) or images .*got none"):
        Parts({})


class Robot(gym.Env):
    """Shows two cameras, an arm, a gear and a word, and counts steps in the arm."""

    action_space = Box(-1, 1, (2,))

    def __init__(self, has_goal: bool = False) -> None:
        self.has_goal = has_goal
        camera, side = Box(0, 255, (3, 5, 6), np.uint8), Box(0, 1, (7, 4))
        parts = {"front": camera, "side": side, "arm": Box(-9, 9, (3,), np.float64)}
        whole = Dict(**parts, gear=Discrete(2), word=Text(4))
        self.observation_space = Dict(observation=whole, desired_goal=whole) if has_goal else whole

    def see(self) -> Any:
        side = np.float32(GREY[..., 0] / 255)
        arm = np.array([self.steps, 0.25, -1])
        whole = {
            "front": np.moveaxis(IMAGE, -1, 0),
            "side": side,
            "arm": arm,
            "gear": 1,
            "word": "a",
        }
        return {"observation": whole, "desired_goal": whole} if self.has_goal else whole

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        self.steps = 0
        return self.see(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        self.steps += 1
        return self.see(), 0.0, False, False, {}


@pytest.mark.parametrize("has_goal", [False, True])
@pytest.mark.parametrize("frames", [1, 2])
def test_an_environment_shows_rows_without_what_is_neither_vector_nor_image(
    frames: int, has_goal: bool
) -> None:
    with pytest.warns(UserWarning, match=r"of the observation, \['word'\] are left out"):
        env = stack_frames(Robot(has_goal), frames)
    check_observations(env.observation_space)
    env.reset(seed=0)
    shown, *_ = env.step(np.zeros(2))
    assert env.observation_space.contains(shown)
    if has_goal:
        np.testing.assert_array_equal(shown["observation"], shown["desired_goal"])
        shown = shown["observation"]
    parts = parts_of(env)
    assert parts is not None
    found = parts.unpack(shown)
    assert [*found] == ["arm", "front", "gear", "side"]
    np.testing.assert_array_equal(found["front"], np.concatenate([IMAGE] * frames, axis=-1))
    np.testing.assert_array_equal(found["side"], np.concatenate([GREY] * frames, axis=-1))
    counted = [0, 0.25, -1, 1, 0.25, -1] if frames == 2 else [1, 0.25, -1]
    np.testing.assert_array_equal(found["arm"], counted)
    np.testing.assert_array_equal(found["gear"], [0, 1] * frames)


def test_whole_observations_have_no_parts() -> None:
    assert parts_of(stack_frames(gym.make("Pendulum-v1"), 2)) is None
