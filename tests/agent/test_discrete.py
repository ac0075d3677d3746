"""Discrete actions from the environment to the data, through training, and back into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent import (
    EnvRef,
    JEPAAgent,
    Preset,
    TrainingConfig,
    Trajectories,
    WorldModelConfig,
    cli,
    train,
)
from jepa_agent.data.recording import record
from jepa_agent.evaluation.episodes import play
from jepa_agent.evaluation.policies import RandomActions, StandStill
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import (
    ActionBounds,
    CategoricalCEMConfig,
    GradientConfig,
    MPPIConfig,
    PlannerConfig,
)


def trained(
    folder: Path, steps: int, planner: PlannerConfig, episodes: int = 12, chunk: int = 1
) -> JEPAAgent:
    """An agent of CartPole, loaded from its checkpoint."""
    record(gym.make("CartPole-v1"), folder / "data.h5", episodes, seed=3)
    preset = Preset(
        WorldModelConfig(chunk=chunk, latent_dim=16, encoder=VectorMLPConfig(64, 2)),
        TrainingConfig(steps=steps, layouts_per_batch=4, windows_per_layout=32, horizon=4),
        planner,
    )
    train(Trajectories.load(folder / "data.h5"), preset, folder=folder / "run")
    return JEPAAgent.load(folder / "run", "cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an agent of three training steps, beside its data."""
    folder = tmp_path_factory.mktemp("cartpole")
    trained(folder, 3, CategoricalCEMConfig(horizon=3, num_samples=8, iterations=2, num_elites=2))
    return folder


def test_recorded_actions_are_one_hot(run: Path) -> None:
    actions = Trajectories.load(run / "data.h5").actions
    assert actions.shape[1] == 2
    assert set(map(tuple, actions.tolist())) == {(1.0, 0.0), (0.0, 1.0)}


def test_the_agent_plays_integers_alone_and_in_a_batch(run: Path) -> None:
    agent = JEPAAgent.load(run / "run", "cpu")
    assert agent.bounds.categories == (2,)
    agent.set_goal(np.zeros(4))
    env = agent.env_ref.make()
    observation, _ = env.reset(seed=0)
    action, _ = agent.predict(observation)
    assert env.action_space.contains(action)
    actions, _ = agent.predict(np.stack([observation] * 3))
    assert actions.shape == (3,)
    assert all(env.action_space.contains(each) for each in actions)


@pytest.mark.parametrize("kind", ["agent", "random"])
def test_it_is_scored_beside_random_actions(run: Path, kind: str) -> None:
    agent = JEPAAgent.load(run / "run", "cpu")
    agent.set_goal(np.zeros(4))
    policy: Any = agent if kind == "agent" else RandomActions(gym.spaces.Discrete(2))
    played = play(policy, agent.env_ref.make, range(4), success=lambda *_: True)
    assert [each.error for each in played] == [None] * 4


def test_the_commands_take_it(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(run)
    commands = (
        "collect --env CartPole-v1 --policy random --episodes 2 --out few.h5",
        "plan --checkpoint run --goal 0 0 0 0 --episodes 1 --video pole.gif",
    )
    for command in commands:
        with pytest.raises(SystemExit) as caught:
            cli.main(argv=command.split())
        assert not caught.value.code, capsys.readouterr()
    assert Trajectories.load("few.h5").actions.shape[1] == 2
    assert Path("pole.gif").stat().st_size > 0


class Pushed(gym.Env):
    """Two numbers that actions of some space move; other actions are errors."""

    observation_space = gym.spaces.Box(-9.0, 9.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._at = self.np_random.uniform(-3, 3, 2).astype(np.float32)
        return self._at, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert self.action_space.contains(action)
        self._at = np.clip(self._at + np.resize(action, 2) / 9, -9, 9).astype(np.float32)
        return self._at, 0.0, False, False, {}


class Lamps(Pushed):
    """Each integer of the action raises, keeps or lowers a number."""

    action_space = gym.spaces.MultiDiscrete([3, 3], start=[-1, -1])
    idle_action = np.zeros(2, dtype=np.int64)


def test_several_integers_at_once(tmp_path: Path) -> None:
    gym.register("Lamps-v0", entry_point=Lamps, max_episode_steps=8)
    record(gym.make("Lamps-v0"), tmp_path / "data.h5", 16)
    preset = Preset(
        WorldModelConfig(chunk=1, latent_dim=8, encoder=VectorMLPConfig(16, 1)),
        TrainingConfig(steps=2, layouts_per_batch=2, windows_per_layout=16, horizon=2),
        CategoricalCEMConfig(horizon=2),
    )
    agent = train(Trajectories.load(tmp_path / "data.h5"), preset)
    idle = (0.0, 1.0, 0.0) * 2
    assert agent.bounds == ActionBounds((0.0,) * 6, (1.0,) * 6, None, idle, (3, 3), (-1, -1))
    agent.set_goal(np.zeros(2))
    assert all(
        each.error is None
        for each in play(agent, agent.env_ref.make, range(3), success=lambda *_: True)
    )
    del gym.registry["Lamps-v0"]


SPACES: dict[str, gym.Space] = {
    "bits": gym.spaces.MultiBinary((2, 2)),
    "whole numbers": gym.spaces.Box(-3, 9, (2,), np.int16),
}


class OfSpace(Pushed):
    """Its actions are of a space in `SPACES`."""

    def __init__(self, kind: str) -> None:
        self.action_space = SPACES[kind]


@pytest.mark.parametrize("kind", SPACES)
def test_bits_and_whole_numbers_are_collected_learnt_and_played(kind: str, tmp_path: Path) -> None:
    gym.register("OfSpace-v0", entry_point=OfSpace, max_episode_steps=8, kwargs={"kind": kind})
    record(EnvRef("OfSpace-v0", {}), tmp_path / "data.h5", 16)
    is_discrete = kind == "bits"
    preset = Preset(
        WorldModelConfig(chunk=2, latent_dim=8, encoder=VectorMLPConfig(16, 1)),
        TrainingConfig(steps=2, layouts_per_batch=2, windows_per_layout=16, horizon=2),
        CategoricalCEMConfig(horizon=2) if is_discrete else MPPIConfig(horizon=2, knots=2),
    )
    train(Trajectories.load(tmp_path / "data.h5"), preset, folder=tmp_path / "run")
    agent = JEPAAgent.load(tmp_path / "run", "cpu")
    agent.set_goal(np.zeros(2))
    space = agent.env_ref.make().action_space
    for policy in (agent, RandomActions(space), StandStill(space.sample())):
        episodes = play(policy, agent.env_ref.make, range(3), success=lambda *_: True)
        assert [each.error for each in episodes] == [None] * 3
    del gym.registry["OfSpace-v0"]


def test_integers_without_an_environment_are_played_in_one_later() -> None:
    data = Trajectories.from_arrays(
        np.random.default_rng(0).normal(size=(40, 4)),
        np.arange(40) % 2,
        categories=[2],
        lengths=[20, 20],
    )
    preset = Preset(
        WorldModelConfig(chunk=1, latent_dim=8, encoder=VectorMLPConfig(16, 1)),
        TrainingConfig(steps=1, layouts_per_batch=2, windows_per_layout=16, horizon=2),
    )
    agent = train(data, preset)
    agent.set_goal(np.zeros(4))
    assert agent.predict(np.zeros(4))[0] in (0, 1)
    agent.set_environment(EnvRef("CartPole-v1", {}))
    assert agent.env_ref.make().action_space.contains(agent.predict(np.zeros(4))[0])
    with pytest.raises(ValueError, match="actions of the model's shapes"):
        agent.set_environment(EnvRef("Acrobot-v1", {}))


def test_a_planner_of_the_other_kind_is_refused_before_training(run: Path) -> None:
    preset = Preset(WorldModelConfig(chunk=1, encoder=VectorMLPConfig()), planner=GradientConfig())
    with pytest.raises(ValueError, match="gradient searches continuous actions, got discrete"):
        train(Trajectories.load(run / "data.h5"), preset)


@pytest.mark.slow
def test_cart_pole_is_kept_upright_longer_than_by_chance(tmp_path: Path) -> None:
    """From random actions alone, in chunks of two free ones; the goal is to stand in the middle."""
    planner = CategoricalCEMConfig(horizon=5, num_samples=48, iterations=3, knots=2)
    agent = trained(tmp_path, 400, planner, episodes=200, chunk=2)
    agent.set_goal(np.zeros(4))

    def length(policy: Any) -> float:
        env, steps = agent.env_ref.make(max_episode_steps=150), 0
        for seed in range(3):
            (observation, _), state, done, start = env.reset(seed=seed), None, False, True
            while not done:
                action, state = policy.predict(observation[None], state, np.array([start]))
                observation, _, terminated, truncated, _ = env.step(action[0])
                steps, done, start = steps + 1, terminated or truncated, False
        return steps / 3

    assert length(agent) > 3 * length(RandomActions(agent.env_ref.make().action_space))
