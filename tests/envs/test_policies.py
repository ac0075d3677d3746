"""Scripted policies: what the oracle solves, what the others do not."""

import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy

from jepa_agent.envs import OraclePolicy, RandomPolicy, StraightPolicy, TwoRoomsEnv
from jepa_agent.envs.physics import Layout
from jepa_agent.envs.policies import next_waypoint

Policy = OraclePolicy | RandomPolicy | StraightPolicy
LIMIT = 200


def play(env: TwoRoomsEnv, policy: Policy, seed: int) -> tuple[int | None, int]:
    """Steps to the goal, None if it is not reached, and the fewest steps there could be."""
    observation, info = env.reset(seed=seed)
    config = env.config
    fewest = int(np.ceil((info["shortest_path"] - config.success_radius) / config.step_length))
    for step in range(1, LIMIT + 1):
        action, _ = policy.predict(observation, deterministic=True)
        observation, _, terminated, _, info = env.step(action)
        if terminated:
            return step, fewest
    return None, fewest


def play_seeds(env: TwoRoomsEnv, policy: Policy, episodes: int) -> tuple[float, float]:
    """Share of seeds solved, and mean steps relative to the fewest."""
    played = [play(env, policy, seed) for seed in range(episodes)]
    ratios = [steps / fewest for steps, fewest in played if steps is not None]
    return len(ratios) / episodes, float(np.mean(ratios)) if ratios else np.inf


@pytest.mark.parametrize(
    ("kwargs", "episodes"),
    [
        pytest.param({"obs_type": "state"}, 1000, marks=pytest.mark.slow),
        ({"obs_type": "pixels"}, 100),
        ({"obs_type": "pixels", "layout": "ood"}, 40),
        ({"obs_type": "pixels", "door_halfwidth": 2}, 20),
        ({"obs_type": "state", "layout": "ood"}, 40),
        ({"obs_type": "state", "step_length": 1.0}, 20),
    ],
    ids=str,
)
def test_oracle_solves_every_seed_almost_optimally(
    kwargs: dict[str, object], episodes: int
) -> None:
    env = TwoRoomsEnv(**kwargs)
    success, steps_ratio = play_seeds(env, OraclePolicy(env.config.step_length), episodes)
    assert success == 1.0
    assert steps_ratio < 1.1


def test_stable_baselines_evaluates_the_oracle() -> None:
    env = TwoRoomsEnv(obs_type="state", layout="fixed")
    rewards, lengths = evaluate_policy(
        OraclePolicy(), env, n_eval_episodes=5, return_episode_rewards=True, warn=False
    )
    assert max(lengths) < 60
    assert rewards == [1.0 - length for length in lengths]


def test_straight_policy_meets_the_wall_unless_the_door_is_in_the_way() -> None:
    env = TwoRoomsEnv(obs_type="state")
    solved = blocked = 0
    for seed in range(24):
        _, info = env.reset(seed=seed)
        detour = info["shortest_path"] - info["distance"]
        steps, _ = play(env, StraightPolicy(), seed)
        if detour < 1e-4:
            solved += 1
            assert steps is not None
        elif detour > 10:
            blocked += 1
            assert steps is None
    assert solved >= 3
    assert blocked >= 3


def test_random_policy_rarely_succeeds() -> None:
    success, _ = play_seeds(TwoRoomsEnv(obs_type="state"), RandomPolicy(), 20)
    assert success < 0.3


def test_random_policy_is_seeded_and_uniform_in_the_disc() -> None:
    starts = np.arange(80_000.0).reshape(20_000, 4)
    observation = {"observation": starts, "desired_goal": starts[:, :2]}
    actions, _ = RandomPolicy(seed=1).predict(observation)
    again, _ = RandomPolicy(seed=1).predict(observation)
    other, _ = RandomPolicy(seed=2).predict(observation)
    np.testing.assert_array_equal(actions, again)
    assert not np.array_equal(actions, other)
    radius = np.linalg.norm(actions, axis=-1)
    assert radius.max() <= 1 + 1e-6
    assert (radius < 0.5).mean() == pytest.approx(0.25, abs=0.02)
    np.testing.assert_allclose(actions.mean(axis=0), 0, atol=0.02)


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
@pytest.mark.parametrize("policy", [OraclePolicy(), StraightPolicy()], ids=["oracle", "straight"])
def test_batched_predictions_equal_single_ones(
    obs_type: str, policy: OraclePolicy | StraightPolicy
) -> None:
    env = TwoRoomsEnv(obs_type=obs_type)
    observations = [env.reset(seed=seed)[0] for seed in range(32)]
    batch = {key: np.stack([each[key] for each in observations]) for key in observations[0]}
    actions, state = policy.predict(batch, state="kept")
    assert state == "kept"
    assert actions.shape == (32, 2)
    assert actions.dtype == np.float32
    assert (np.linalg.norm(actions, axis=-1) <= 1 + 1e-6).all()
    single = np.stack([policy.predict(each)[0] for each in observations])
    np.testing.assert_allclose(actions, single, atol=1e-6)


def test_oracle_stops_on_the_goal() -> None:
    observation = {
        "observation": np.float32([20, 40, 32, 18]),
        "desired_goal": np.float32([21, 40]),
    }
    action, _ = OraclePolicy().predict(observation)
    np.testing.assert_allclose(action * 2.45, [1, 0], atol=1e-6)


def test_next_waypoint_turns_around_the_corner() -> None:
    """3 pixels along 3-4-5 triangles: from the left room to the corner and on into the door."""
    layout = Layout.from_array(np.float32([[32, 18, 4]]))
    start, goal = np.float32([[27, 25]]), np.float32([[37, 25]])
    # With a margin of 1 the bends are at (30, 21) and (34, 21), 5 pixels from start and goal.
    np.testing.assert_allclose(next_waypoint(start, goal, layout, 2.5), [[28.5, 23]], atol=1e-5)
    np.testing.assert_allclose(next_waypoint(start, goal, layout, 7.0), [[32, 21]], atol=1e-5)
    np.testing.assert_array_equal(next_waypoint(start, goal, layout, 50.0), goal)
