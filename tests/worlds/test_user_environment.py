"""An environment that the library has never heard of: images, continuous actions, nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent import JEPAAgent, Preset, TrainingConfig, Trajectories, WorldModelConfig, train
from jepa_agent.data.recording import record
from jepa_agent.evaluation.episodes import play
from jepa_agent.models.encoders import PatchCNNConfig
from jepa_agent.planners import CEMConfig
from jepa_agent.training.config import RefinementConfig

SIZE = 16


class Dot(gym.Env):
    """A dot on a line of 16 pixels; one number moves it by up to two."""

    observation_space = gym.spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
    action_space = gym.spaces.Box(-2.0, 2.0, (1,), np.float32)

    def __init__(self, colour: int = 255) -> None:
        self._colour = colour

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._place = self.np_random.uniform(0, SIZE - 1)
        return self._seen(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self._place = float(np.clip(self._place + action[0], 0, SIZE - 1))
        return self._seen(), 0.0, False, False, {}

    def _seen(self) -> np.ndarray:
        image = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
        image[7:9, round(self._place)] = self._colour
        return image


@pytest.fixture
def env() -> Iterator[gym.Env]:
    gym.register("Dot-v0", entry_point=Dot, max_episode_steps=12)
    env = gym.make("Dot-v0", colour=200)
    yield env
    env.close()
    del gym.registry["Dot-v0"]


def is_left(observation: np.ndarray, _: dict[str, Any]) -> bool:
    """Whether the dot is in the left half."""
    return bool(observation[:, : SIZE // 2].any())


def first_success(agent: JEPAAgent, env: gym.Env, seed: int) -> int | None:
    """Steps until the dot is in the left half, by a plain loop."""
    (observation, _), state = env.reset(seed=seed), None
    for step in range(12):
        actions, state = agent.predict(observation[None], state, np.array([step == 0]))
        observation, _, _, truncated, info = env.step(actions[0])
        assert truncated == (step == 11)
        if is_left(observation, info):
            return step + 1
    return None


@pytest.mark.parametrize("history", [1, 2])
def test_it_is_recorded_learnt_planned_in_and_scored(
    tmp_path: Path, env: gym.Env, history: int
) -> None:
    record(env, tmp_path / "dots.h5", episodes=16, history=history)
    data = Trajectories.load(tmp_path / "dots.h5")
    assert data.observations is not None
    assert data.observations.shape == (16 * 13, SIZE, SIZE, 3 * history)
    assert data.states.shape == (16 * 13, 0)
    assert data.observations.max() == 200

    stage = RefinementConfig(steps=1, layouts_per_batch=1, windows_per_layout=4, horizon=2)
    preset = Preset(
        WorldModelConfig(
            observation_shape=(SIZE, SIZE, 3 * history), action_dim=1, state_dim=0, chunk=2,
            latent_dim=8, encoder=PatchCNNConfig(patch=4, channels=(4, 4), hidden=16),
        ),
        TrainingConfig(
            steps=2, layouts_per_batch=1, windows_per_layout=16, horizon=2, refinement=stage
        ),
        CEMConfig(horizon=2, num_samples=8, iterations=2, num_elites=2),
    )  # fmt: skip
    train(data, preset, folder=tmp_path / "run")
    agent = JEPAAgent.load(tmp_path / "run", "cpu")
    assert agent.model.probe is None
    assert agent.env_ref.kwargs == {"colour": 200}

    world = agent.env_ref.make()
    observation, _ = world.reset(seed=0)
    agent.set_goal(observation)
    action, _ = agent.predict(observation)
    assert world.action_space.contains(action)
    played = play(agent, agent.env_ref.make, range(4), parallel=1, success=is_left)
    assert [(each.seed, each.steps, each.error) for each in played] == [
        (seed, first_success(agent, world, seed), None) for seed in range(4)
    ]
    assert any(episode.success for episode in played)
