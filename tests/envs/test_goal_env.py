"""The goal-environment contract: rewards recomputed for goals that were never pursued."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.evaluation import evaluate_policy

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent.envs import RandomPolicy


def transitions(env: gym.Env, steps: int) -> tuple[dict[str, np.ndarray], np.ndarray, list]:
    """Observations, rewards and infos of random play."""
    env.reset(seed=0)
    env.action_space.seed(0)
    seen, rewards, infos = [], [], []
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        seen.append(observation)
        rewards.append(reward)
        infos.append(info)
        if terminated or truncated:
            env.reset()
    return {key: np.stack([o[key] for o in seen]) for key in seen[0]}, np.array(rewards), infos


@pytest.mark.parametrize("obs_type", ["state", "pixels"])
@pytest.mark.parametrize("reward_type", ["sparse", "dense"])
def test_recomputed_rewards_are_those_of_the_steps(obs_type: str, reward_type: str) -> None:
    env = gym.make("TwoRooms-v0", obs_type=obs_type, reward_type=reward_type, success_radius=40.0)
    seen, rewards, infos = transitions(env, 300)
    task: Any = env.unwrapped
    goals = seen["achieved_goal"], seen["desired_goal"]
    np.testing.assert_array_equal(task.compute_reward(*goals, np.array(infos)), rewards)
    assert task.compute_reward(goals[0][0], goals[1][0], infos[0]) == rewards[0]
    success = np.array([info["is_success"] for info in infos])
    assert success.any()
    np.testing.assert_array_equal(task.compute_terminated(*goals, infos), success)
    assert not task.compute_truncated(*goals, infos).any()
    assert task.compute_terminated(goals[0][0], goals[1][0], infos[0]) is bool(success[0])


@pytest.mark.parametrize("obs_type", ["state", "pixels"])
def test_hindsight_goals_change_the_reward(obs_type: str) -> None:
    """The achieved goal is a success; sparse rewards of images differ only at the radius."""
    env = gym.make("TwoRooms-v0", obs_type=obs_type)
    seen, _, infos = transitions(env, 100)
    task: Any = env.unwrapped
    achieved = seen["achieved_goal"]
    assert (task.compute_reward(achieved, achieved, infos) == 0).all()
    others = np.roll(achieved, 7, axis=0)
    positions = np.stack([info["position"] for info in infos])
    distance = np.linalg.norm(positions - np.roll(positions, 7, axis=0), axis=1)
    reward = task.compute_reward(achieved, others, infos)
    clear = abs(distance - 4.5) > 0.04
    np.testing.assert_array_equal(reward[clear], np.where(distance <= 4.5, 0.0, -1.0)[clear])


def test_the_dense_reward_on_states_says_that_it_needs_the_layout() -> None:
    env: Any = gym.make("TwoRooms-v0", obs_type="state", reward_type="dense").unwrapped
    goal = np.array([20.0, 20.0], dtype=np.float32)
    with pytest.raises(ValueError, match=r"needs the layout.*copy_info_dict=True"):
        env.compute_reward(goal, goal, {})


@pytest.mark.parametrize("reward_type", ["sparse", "dense"])
def test_images_may_have_their_channels_first(reward_type: str) -> None:
    env = gym.make("TwoRooms-v0", reward_type=reward_type, success_radius=40.0)
    seen, rewards, infos = transitions(env, 20)
    goals = [np.moveaxis(seen[key], -1, -3) for key in ("achieved_goal", "desired_goal")]
    task: Any = env.unwrapped
    np.testing.assert_array_equal(task.compute_reward(*goals, infos), rewards)
    assert task.compute_reward(goals[0][3], goals[1][3], infos[3]) == rewards[3]


@pytest.mark.slow
def test_sac_with_hindsight_learns_in_two_minutes() -> None:
    env = gym.make("TwoRooms-v0", layout="fixed", obs_type="state", max_episode_steps=100)
    model = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4},
        learning_starts=1000,
        batch_size=256,
        gamma=0.97,
        train_freq=4,
        gradient_steps=2,
        learning_rate=1e-3,
        seed=0,
    )
    model.learn(12_000)
    returns = {}
    for name, policy in (("sac", model), ("random", RandomPolicy())):
        env.reset(seed=123)
        returns[name], _ = evaluate_policy(policy, env, n_eval_episodes=40, warn=False)
    assert returns["sac"] > returns["random"] + 10
