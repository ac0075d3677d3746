"""The vector environment: bit for bit what Gymnasium makes of single ones."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from jepa_agent.envs.vector import MazesVectorEnv, TwoRoomsVectorEnv

NUM = 6


def singles(
    mode: AutoresetMode, name: str = "jepa_agent:TwoRooms-v0", **config: Any
) -> SyncVectorEnv:
    def make() -> gym.Env:
        return gym.make(name, **config)

    return SyncVectorEnv([make] * NUM, autoreset_mode=mode)


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Equal trees of equal arrays."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, np.ndarray) and a.dtype == object:
        for row, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{row}")
    else:
        np.testing.assert_array_equal(a, b, err_msg=where)


def finished_episodes(batch: VectorEnv, sync: VectorEnv, steps: int) -> int:
    """Play both with the same actions, compare all they return, and count ends of episodes."""
    rng = np.random.default_rng(0)
    assert_same(batch.reset(seed=11)[0], sync.reset(seed=11)[0])
    ends = 0
    for _ in range(steps):
        actions = rng.uniform(-1, 1, (NUM, 2)).astype(np.float32)
        stepped = [env.step(actions) for env in (batch, sync)]
        for a, b in zip(*stepped, strict=True):
            assert_same(a, b)
        done = stepped[0][2] | stepped[0][3]
        ends += int(done.sum())
        if batch.metadata["autoreset_mode"] == AutoresetMode.DISABLED and done.any():
            reset = [env.reset(options={"reset_mask": done.copy()}) for env in (batch, sync)]
            assert_same(reset[0][0], reset[1][0])
    return ends


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize(
    ("config", "steps"),
    [
        ({"obs_type": "state", "success_radius": 15.0}, 250),
        ({"obs_type": "pixels", "success_radius": 35.0, "reward_type": "dense"}, 60),
    ],
    ids=["state", "pixels"],
)
def test_episodes_equal_those_of_single_environments(
    mode: AutoresetMode, config: dict[str, Any], steps: int
) -> None:
    batch = TwoRoomsVectorEnv(NUM, autoreset_mode=mode, **config)
    assert finished_episodes(batch, singles(mode, **config), steps) > 3


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("obs_type", ["state", "pixels"])
def test_mazes_equal_those_of_single_environments(mode: AutoresetMode, obs_type: str) -> None:
    config: dict[str, Any] = {
        "obs_type": obs_type,
        "layouts": 5,
        "path": (1, 1),
        "terminate_on_success": True,
        "reward_type": "dense" if obs_type == "pixels" else "sparse",
        "max_episode_steps": 40,
    }
    batch = MazesVectorEnv(NUM, autoreset_mode=mode, **config)
    assert finished_episodes(batch, singles(mode, "jepa_agent:Mazes-v0", **config), 100) > 3


def test_a_maze_of_ones_own_in_every_copy() -> None:
    env = gym.make_vec("jepa_agent:Mazes-v0", num_envs=2, obs_type="pixels")
    assert isinstance(env.unwrapped, MazesVectorEnv)
    options = {"layout": "...\n.#.\n.#.", "state": (10, 50)}
    seen, info = env.reset(seed=0, options=options)
    np.testing.assert_array_equal(info["state"], [(10, 50)] * 2)
    np.testing.assert_array_equal(*seen["observation"])
    assert (info["goal"][0] != info["goal"][1]).any()
    with pytest.raises(ValueError, match="state must be outside of walls"):
        env.reset(options={**options, "state": (32, 50)})
    assert (env.reset()[0]["observation"][0] != env.reset()[0]["observation"][1]).any()


def test_make_vec_builds_it_with_the_registered_time_limit() -> None:
    env = gym.make_vec("jepa_agent:TwoRooms-v0", num_envs=NUM, obs_type="state")
    assert isinstance(env.unwrapped, TwoRoomsVectorEnv)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    for step in range(1, 201):
        truncated = env.step(np.zeros((NUM, 2), np.float32))[3]
        assert (truncated == (step == 200)).all()


def test_a_reset_mask_leaves_the_other_episodes_alone() -> None:
    env = TwoRoomsVectorEnv(NUM, autoreset_mode=AutoresetMode.DISABLED, obs_type="state")
    before, _ = env.reset(seed=0)
    mask = np.arange(NUM) % 2 == 0
    after, _ = env.reset(options={"reset_mask": mask, "wall_x": 30})
    for key in before:
        np.testing.assert_array_equal(after[key][~mask], before[key][~mask])
    assert (after["observation"][mask, 2] == 30).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda env: env.step(np.zeros((NUM, 3))), r"shape \(6, 2\), got shape \(6, 3\)"),
        (lambda env: env.step(np.full((NUM, 2), np.nan)), "finite real numbers .*nan"),
        (lambda env: env.reset(options={"reset_mask": [True] * NUM}), "reset_mask must be"),
        (lambda env: env.reset(options={"wall_x": 3}), "wall_x must be .*3"),
        (lambda env: env.reset(options={"start": 3}), "reset options are .*start"),
        (lambda env: env.reset(seed=[1, 2]), "seed must be one number or 6 of them, got 2"),
    ],
)
def test_bad_calls_change_nothing(call: Any, message: str) -> None:
    env, untouched = (TwoRoomsVectorEnv(NUM, obs_type="state") for _ in range(2))
    for each in (env, untouched):
        each.reset(seed=3)
    with pytest.raises(ValueError, match=message):
        call(env)
    for _ in range(3):
        actions = np.full((NUM, 2), 0.5, np.float32)
        assert_same(env.step(actions)[0], untouched.step(actions)[0])
    assert_same(env.reset()[0], untouched.reset()[0])


def test_a_seed_given_to_one_environment_reseeds_it_alone() -> None:
    env, fresh = (TwoRoomsVectorEnv(NUM, obs_type="state") for _ in range(2))
    first, _ = env.reset(seed=3)
    mask, seeds = np.arange(NUM) == 2, [None, None, 3, None, None, None]
    again, _ = env.reset(seed=seeds, options={"reset_mask": mask})
    for key in first:
        np.testing.assert_array_equal(again[key][~mask], first[key][~mask])
        np.testing.assert_array_equal(again[key][mask], first[key][:1])  # it had the seed 3
    unmoved, _ = fresh.reset(seed=range(3, 3 + NUM))
    assert_same(unmoved, first)


def test_the_first_reset_is_of_all() -> None:
    with pytest.raises(gym.error.ResetNeeded, match="the first reset must be of all"):
        TwoRoomsVectorEnv(2).reset(options={"reset_mask": np.array([True, False])})


def test_finished_episodes_need_a_reset_where_none_is_automatic() -> None:
    env = TwoRoomsVectorEnv(2, max_episode_steps=1, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    env.step(np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(gym.error.ResetNeeded, match=r"environments \[0, 1\] have finished"):
        env.step(np.zeros((2, 2), dtype=np.float32))


def test_step_before_reset_and_bad_construction() -> None:
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\) first"):
        TwoRoomsVectorEnv(NUM).step(np.zeros((NUM, 2)))
    with pytest.raises(ValueError, match="num_envs and max_episode_steps must be at least 1"):
        TwoRoomsVectorEnv(0)
    with pytest.raises(ValueError, match="render_mode must be None"):
        TwoRoomsVectorEnv(2, render_mode="human")


def test_actions_of_a_resetting_environment_are_not_looked_at() -> None:
    batch, sync = (
        gym.make_vec("jepa_agent:TwoRooms-v0", NUM, mode, obs_type="state", max_episode_steps=2)
        for mode in ("vector_entry_point", "sync")
    )
    assert_same(batch.reset(seed=0)[0], sync.reset(seed=0)[0])
    for value in (0.0, 0.0, np.nan):
        actions = np.full((NUM, 2), value, dtype=np.float32)
        for a, b in zip(batch.step(actions), sync.step(actions), strict=True):
            assert_same(a, b)
    with pytest.raises(ValueError, match="must be finite"):
        batch.step(np.full((NUM, 2), np.nan, dtype=np.float32))


def test_seeds_in_use_are_those_that_were_given() -> None:
    batch, sync = TwoRoomsVectorEnv(NUM), singles(AutoresetMode.NEXT_STEP)
    for seed in (7, [None, 3, None, 5, 6, 7]):
        for env in (batch, sync):
            env.reset(seed=seed)
        assert batch.np_random_seed == sync.np_random_seed
    assert batch.np_random_seed == (7, 3, 9, 5, 6, 7)
