"""Distractors depend on the episode's seed and the step alone, and hide nothing."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

from jepa_agent.data.source import env_of, world_shape
from jepa_agent.envs import CollectConfig, TwoRoomsEnv
from jepa_agent.experiments.distractors import WORLDS, distracted


def frames(kind: str, seed: int, steps: int = 4) -> np.ndarray:
    env = gym.make(f"{WORLDS[kind].__name__}-v0", layout="fixed")
    seen = [env.reset(seed=seed)[0]["observation"]]
    seen += [env.step(np.zeros(2, np.float32))[0]["observation"] for _ in range(steps)]
    return np.stack(seen).astype(np.int64)


def test_noise_is_new_at_each_step_and_blobs_move_slowly() -> None:
    noise, blobs, plain = (frames(kind, 0) for kind in ("noise", "blobs", "none"))
    assert np.array_equal(plain[0], plain[-1])  # the agent stands still
    changes = [np.abs(np.diff(each, axis=0)).reshape(4, -1).sum(axis=1) for each in (noise, blobs)]
    assert (changes[0] > 3 * changes[1]).all()
    assert (changes[1] > 0).all()
    for each in (noise, blobs):
        assert np.array_equal(each[..., 0], plain[..., 0])  # the agent's dot is in the red channel
        assert not np.array_equal(each[0], plain[0])


@pytest.mark.parametrize("kind", ["noise", "blobs"])
def test_another_seed_shows_another_distractor(kind: str) -> None:
    assert np.array_equal(frames(kind, 3), frames(kind, 3))
    assert not np.array_equal(frames(kind, 3)[..., 2], frames(kind, 4)[..., 2])


@pytest.mark.parametrize("kind", WORLDS)
def test_pictures_are_rendered_from_states(kind: str) -> None:
    data = distracted(CollectConfig("mixed", "fixed", episodes=2, steps=5, seed=7), kind)
    env_ref = env_of(data)
    assert env_ref is not None
    (shape, _, state_dim), render, _ = world_shape(env_ref, data)
    assert (shape, state_dim) == ((65, 65, 3), 4)
    assert render is not None
    env = env_ref.make()
    observation, _ = env.reset(seed=7)
    options = {"position": data.states[0, :2]}
    observation, _ = env.reset(seed=7, options=options)
    for row in range(3):
        states, layout = torch.as_tensor(data.states[row]), torch.as_tensor(data.layout[0])
        if row == 0:
            assert np.array_equal(render(states, layout).numpy(), observation["observation"])
        world = env.unwrapped
        assert isinstance(world, TwoRoomsEnv)
        assert world.state[2:].tolist() == [7, row]
        batched = render(world.state[None], world.layout[None])
        assert np.array_equal(batched[0], observation["observation"])
        observation, *_ = env.step(np.zeros(2, np.float32))
