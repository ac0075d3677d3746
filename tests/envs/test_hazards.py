"""Hazards: off by default bit for bit, one rule for all ways to play, marked in the data."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent.data.trajectories import Trajectories
from jepa_agent.envs import CollectConfig, TwoRoomsEnv, collect
from jepa_agent.envs.hazards import draw_slips, in_strip, slipped
from jepa_agent.envs.physics import Layout

FIXED = np.array([32.0, 18.0, 4.0], dtype=np.float32)
DANGEROUS = {"hazard": "strip", "slip": 0.15}
SMALL = CollectConfig(policy="mixed", layout="fixed", episodes=300, steps=40)


def test_the_strip_lies_beside_the_wall_and_leaves_the_door_open() -> None:
    points = np.array([[28.5, 40], [27.9, 40], [35.5, 40], [36.1, 40], [32, 18], [28.5, 22]])
    assert in_strip(points, Layout.from_array(FIXED)).tolist() == [True, False] * 2 + [False] * 2


def test_an_episode_ends_as_a_failure_where_a_step_ends_in_the_strip() -> None:
    env = gym.make("TwoRooms-v0", layout="fixed", obs_type="state", hazard="strip")
    env.reset(seed=0, options={"position": [25.0, 40.0], "goal": [50.0, 40.0]})
    for expected in (False, True):
        _, _, terminated, _, info = env.step(np.array([0.8, 0.0], dtype=np.float32))
        assert terminated == info["is_failure"] == expected
        assert not info["is_success"]


def test_tasks_neither_begin_nor_end_in_the_strip() -> None:
    env = gym.make_vec("TwoRooms-v0", num_envs=400, layout="ood", obs_type="state", hazard="strip")
    observation, info = env.reset(seed=0)
    layout = Layout(info["wall_x"], info["door_y"], info["door_halfwidth"])
    for name in ("achieved_goal", "desired_goal"):
        assert not in_strip(observation[name], layout).any()


def test_a_vector_environment_plays_the_episodes_of_single_ones() -> None:
    count, actions = 6, np.random.default_rng(0).uniform(-1, 1, (60, 6, 2)).astype(np.float32)
    options = {"layout": "fixed", "obs_type": "state", **DANGEROUS}
    batch = gym.make_vec("TwoRooms-v0", num_envs=count, **options)
    single = [TwoRoomsEnv(**options) for _ in range(count)]
    batch.reset(seed=3)
    over = np.zeros(count, dtype=bool)
    for row, env in enumerate(single):
        env.reset(seed=3 + row)
    for action in actions:
        seen, _, terminated, _, _ = batch.step(action)
        for row in np.flatnonzero(~over).tolist():
            alone, _, ended, _, _ = single[row].step(action[row])
            np.testing.assert_array_equal(alone["observation"], seen["observation"][row])
            assert ended == terminated[row]
        over |= terminated
    assert over.any()


def test_slips_are_heavy_tailed_proportional_and_nothing_at_rest() -> None:
    noise = draw_slips(np.random.default_rng(0), (20_000, 2), 0.1)
    assert np.median(np.abs(noise)) == pytest.approx(0.0765, rel=0.05)
    assert (np.abs(noise) > 1.0).mean() > 5e-4  # a normal of this median: 1e-18
    moves = np.array([[0.0, 0.0], [3.0, 4.0]], dtype=np.float32)
    assert slipped(moves, np.ones((2, 2))).tolist() == [[0, 0], [8, 9]]


def test_options_that_are_off_change_no_bit() -> None:
    plain, off = (TwoRoomsEnv(**more) for more in ({}, {"hazard": "none", "slip": 0.0}))
    first, second = (env.reset(seed=5) for env in (plain, off))
    assert first[1].keys() == second[1].keys()
    np.testing.assert_array_equal(first[0]["observation"], second[0]["observation"])
    assert collect(SMALL).metadata["env_kwargs"] == {"layout": "fixed"}
    assert collect(SMALL).ends is None


@pytest.mark.parametrize(("name", "value"), [("hazard", "lava"), ("slip", -0.1)])
def test_wrong_hazards_are_errors(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        TwoRoomsEnv(**{name: value})


def test_collected_episodes_end_at_the_hazard_and_say_so(tmp_path) -> None:
    config = CollectConfig(**{**vars(SMALL), **DANGEROUS})
    rollouts = collect(config)
    data = Trajectories.from_rollouts(*rollouts)
    assert data.metadata["env_kwargs"] == {"layout": "fixed", **DANGEROUS}
    ended = data.terminal[data.offsets[1:] - 1, 0]
    assert (np.diff(data.offsets)[~ended] == config.steps + 1).all()
    assert 0.2 < ended.mean() < 0.95
    dangerous = in_strip(data.states, Layout.from_array(FIXED))
    np.testing.assert_array_equal(data.terminal[:, 0], dangerous)

    path = tmp_path / "data.h5"
    data.save(path)
    np.testing.assert_array_equal(Trajectories.load(path).terminal, data.terminal)


def test_an_absorbing_copy_stays_where_an_episode_ended() -> None:
    states = np.arange(7, dtype=np.float32)[:, None]
    data = Trajectories(
        states, states[:5] + 10, np.zeros((2, 0)), np.array([0, 3, 7]), {},
        terminal=states[:, 0] == 2,
    )  # fmt: skip
    longer = data.absorbing(2)
    assert longer.states[:, 0].tolist() == [0, 1, 2, 2, 2, 3, 4, 5, 6]
    assert longer.terminal[:, 0].tolist() == [False, False, True, True, True] + 4 * [False]
    assert longer.offsets.tolist() == [0, 5, 9]
    known = [longer.actions[row, 0] for row in (0, 1, 4, 5, 6)]
    assert known == [10, 11, 12, 13, 14]
    assert set(longer.actions[2:4, 0]) <= set(known)
