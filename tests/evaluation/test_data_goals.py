"""Tasks from recorded data in a world whose shortest ways are known."""

from __future__ import annotations

import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from jepa_agent import EnvRef, JEPAAgent, Trajectories, WorldModel, WorldModelConfig
from jepa_agent.data.recording import record
from jepa_agent.data.windows import ObservationSource
from jepa_agent.evaluation.data_goals import choose_tasks, evaluate_on_data
from jepa_agent.evaluation.data_tasks import DataGoals, DataTaskEnv, draw_tasks, make_env
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import CEM, ActionBounds, CEMConfig

STEPS, EPISODES = 12, 6


class Walk(gym.Env):
    """A walk on a line by at most 1 a step, beside a number that never changes."""

    observation_space = gym.spaces.Box(-99, 99, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.at = np.array((options or {}).get("begin", (0.0, 0.0)), dtype=np.float32)
        return self.at.copy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.at[0] += float(action[0])
        return self.at.copy(), 0.0, False, False, {}


class ResettableWalk(Walk):
    """Knows how to begin at a state, but no goals."""

    def reset_options(self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray) -> dict:
        return {"begin": state}


class WrongWalk(Walk):
    """Begins elsewhere than it is told."""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed, options=options)
        self.at[0] += 0.5
        return self.at.copy(), {}


gym.register("WrongWalk-v0", WrongWalk, max_episode_steps=99)
gym.register("Walk-v0", Walk, max_episode_steps=99)
gym.register("ResettableWalk-v0", ResettableWalk, max_episode_steps=99)


class Towards:
    """Walks to the goal."""

    def predict(self, observation: Any, state: Any = None, *_: Any, **__: Any) -> tuple:
        return (observation["desired_goal"] - observation["observation"])[:, :1].clip(-1, 1), state


@pytest.fixture
def walks() -> Trajectories:
    """One on per step; from the second episode on, the first half stands still."""
    moves = np.ones((EPISODES, STEPS, 1), np.float32)
    moves[1:, : STEPS // 2] = 0.0
    places = np.concatenate([np.zeros((EPISODES, 1, 1)), moves.cumsum(axis=1)], axis=1)
    other = np.broadcast_to(np.arange(EPISODES)[:, None, None], places.shape)
    metadata = {"env_id": "Walk-v0", "env_kwargs": {}}
    layout = np.zeros((EPISODES, 0), np.float32)
    return Trajectories.from_rollouts(
        np.concatenate([places, other], axis=-1), moves, layout, metadata
    )


@pytest.fixture
def agent() -> JEPAAgent:
    config = WorldModelConfig((2,), 1, 2, chunk=2, latent_dim=4, encoder=VectorMLPConfig())
    planner = CEM(CEMConfig(horizon=2, num_samples=8, iterations=1, num_elites=2))
    bounds = ActionBounds((-1.0,), (1.0,))
    return JEPAAgent(WorldModel(config), bounds, EnvRef("Walk-v0", {}), planner)


def test_tasks_are_all_pairs_of_an_offset_in_an_order_by_the_seed(walks: Trajectories) -> None:
    source = ObservationSource(walks, None, torch.device("cpu"))
    tasks = list(draw_tasks(walks, source, 5, seed=0))
    assert len(tasks) == EPISODES * (STEPS + 1 - 5)
    for task in tasks:
        episode = walks.states[walks.states[:, 1] == task.state[1]]
        rows = np.flatnonzero((episode == task.state).all(axis=1))
        assert any((episode[row + 5] == task.goal_state).all() for row in rows if row + 5 <= STEPS)
        np.testing.assert_array_equal(task.goal, task.goal_state)
    again, other = (list(draw_tasks(walks, source, 5, seed)) for seed in (0, 1))
    starts = [[tuple(task.state) for task in each] for each in (tasks, again, other)]
    assert starts[0] == starts[1] != starts[2]
    with pytest.raises(ValueError, match=r"offset must be shorter .* got 13 steps .* at most 12"):
        next(draw_tasks(walks, source, 13, seed=0))


def test_tasks_that_are_solved_at_the_start_are_left_out(walks: Trajectories) -> None:
    goals = DataGoals(within=(0.5,), start_option="begin")
    env = DataTaskEnv(gym.make("Walk-v0"), goals, {}, 9)
    source = ObservationSource(walks, None, torch.device("cpu"))
    chosen = choose_tasks(env, draw_tasks(walks, source, 3, 0), range(7, 999), None)
    assert chosen.left_out == (EPISODES - 1) * 4  # both in the first half
    assert [*chosen.tasks] == [*range(7, 7 + EPISODES * 10 - chosen.left_out)]
    for seed, task in chosen.tasks.items():
        observation, info = env.reset(seed=seed)
        np.testing.assert_array_equal(observation["observation"], task.state)
        np.testing.assert_array_equal(observation["desired_goal"], task.goal_state)
        assert not info["is_success"]
    with pytest.raises(ValueError, match=r"not be solved at their start, got 60"):
        choose_tasks(env, draw_tasks(walks, source, 3, 0), range(9), lambda *_: True)


def test_components_that_do_not_matter_are_nan(walks: Trajectories) -> None:
    source = ObservationSource(walks, None, torch.device("cpu"))
    task = next(draw_tasks(walks, source, 9, 0))
    for within, solved in (((0.1, np.nan), True), ((0.1, 0.1), False)):
        env = DataTaskEnv(
            gym.make("Walk-v0"), DataGoals(within=within, start_option="begin"), {}, 9
        )
        env.tasks[0] = task
        env.reset(seed=0)
        env.unwrapped.at[:] = task.goal_state + np.array([1.05, 5.0])  # type: ignore[attr-defined]
        assert env.step(np.array([-1.0]))[-1]["is_success"] == solved


def test_a_policy_that_walks_to_the_goal_is_beside_one_that_stands_still(
    agent: JEPAAgent, walks: Trajectories
) -> None:
    goals = DataGoals((4, 8), "offset+1", (0.5,), "begin")
    rivals = {"towards": Towards()}
    report = evaluate_on_data(agent, walks, goals, None, rivals, range(9), 4, "x")
    rows = {(row.policy, row.suite): row for row in report.rows}
    assert len(rows) == 8
    for suite, steps in (("offset 4", 5), ("offset 8", 9)):
        assert report.config["goals"][suite]["steps of budget"] == steps
        assert rows["towards", suite].success == 1.0
        assert rows["stand still", suite].success == 0.0
        assert rows["agent", suite].episodes == 9
    tight = DataGoals((8,), "2", (0.5, np.nan), "begin")
    report = evaluate_on_data(agent, walks, tight, None, rivals, range(9), 4, "x")
    assert report.rows[-1].success < 1.0


def test_tasks_can_be_sent_to_workers(walks: Trajectories) -> None:
    source = ObservationSource(walks, None, torch.device("cpu"))
    goals, tasks = DataGoals(start_option="begin"), {5: next(draw_tasks(walks, source, 4, 0))}
    make = pickle.loads(pickle.dumps(partial(make_env, EnvRef("Walk-v0", {}), 3, goals, tasks)))
    observation, _ = make().reset(seed=5)
    np.testing.assert_array_equal(observation["desired_goal"], tasks[5].goal)


def test_what_is_missing_is_named(agent: JEPAAgent, walks: Trajectories) -> None:
    def evaluate(goals: DataGoals) -> None:
        evaluate_on_data(agent, walks, goals, None, {}, range(2), 2, "x")

    with pytest.raises(ValueError, match=r"success must be defined .*neither --success-within"):
        evaluate(DataGoals((4,), start_option="begin"))
    with pytest.raises(ValueError, match=r"Walk must have `reset_options.* or the data the seeds"):
        evaluate(DataGoals((4,), within=(0.5,)))
    agent.set_environment(EnvRef("ResettableWalk-v0", {}))
    evaluate(DataGoals((4,), within=(0.5,)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"offsets": (0,)}, r"offset must be at least 1 step, got \(0,\)"),
        ({"budget": "offset*2"}, r'budget must be a number of steps or "offset\+N"'),
        ({"budget": "0"}, "budget must be at least 1 step, got '0'"),
        ({"within": (0.0,)}, "success-within must be a positive number"),
    ],
)
def test_bad_settings(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataGoals(**fields)


class Drift(Walk):
    """Its episodes differ, whatever the seed."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.at[1] += np.random.default_rng().uniform()
        return super().step(action)


gym.register("Drift-v0", Drift, max_episode_steps=99)


def recorded(name: str, folder: Path, history: int = 1) -> Trajectories:
    record(gym.make(name), folder / "data.h5", 3, 20, "wander", seed=5, history=history)
    return Trajectories.load(folder / "data.h5")


def test_a_world_that_cannot_be_reset_to_a_state_repeats_the_recorded_episode(
    tmp_path: Path,
) -> None:
    data = recorded("Pendulum-v1", tmp_path, history=2)
    source = ObservationSource(data, None, torch.device("cpu"))
    goals = DataGoals((6,), within=(1e-5,))
    env = make_env(EnvRef("Pendulum-v1", {}, history=2), 9, goals, {})
    for seed, task in zip(range(40), draw_tasks(data, source, 6, 0), strict=False):
        env.tasks[seed] = task
        observation, info = env.reset(seed=seed)
        np.testing.assert_allclose(observation["observation"], task.state, atol=1e-6)
        assert not info["is_success"]
        row = int(np.flatnonzero((data.states == task.state).all(axis=1))[0])
        episode = int(np.searchsorted(data.offsets, row, side="right") - 1)
        for action in data.actions[row - episode : row - episode + 6]:
            *_, truncated, info = env.step(action)
        assert info["is_success"]
        assert not truncated
        for _ in range(3):
            *_, truncated, info = env.step(action)
        assert truncated


def test_a_world_that_does_not_repeat_itself_is_refused(tmp_path: Path) -> None:
    data = recorded("Drift-v0", tmp_path)
    source = ObservationSource(data, None, torch.device("cpu"))
    env = make_env(EnvRef("Drift-v0", {}), 9, DataGoals((6,)), {})
    env.tasks = dict(enumerate(draw_tasks(data, source, 6, 0)))
    late = next(seed for seed, task in env.tasks.items() if len(task.before))
    with pytest.raises(ValueError, match="Drift must repeat 5 recorded steps exactly"):
        env.reset(seed=late)


def test_a_reset_that_begins_elsewhere_is_refused(agent: JEPAAgent, walks: Trajectories) -> None:
    agent.set_environment(EnvRef("WrongWalk-v0", {}))
    goals = DataGoals((4,), within=(0.1,), start_option="begin")
    with pytest.raises(ValueError, match=r"WrongWalk must begin at the state .* by 0\.25 of"):
        evaluate_on_data(agent, walks, goals, None, {}, range(2), 2, "x")


def test_a_recorded_reward_is_no_part_of_a_start(walks: Trajectories) -> None:
    seen = walks.states
    with_reward = replace(
        walks,
        states=np.column_stack([seen, seen[:, 0]]),
        observations=seen,
        metadata=walks.metadata | {"record": {"rewards": True}},
    )
    source = ObservationSource(with_reward, None, torch.device("cpu"))
    task = next(draw_tasks(with_reward, source, 4, 0))
    assert task.state.shape == task.goal_state.shape == (2,)
    np.testing.assert_array_equal(task.state, task.observed)


def test_a_goal_stands_beside_the_world_in_frames(tmp_path: Path) -> None:
    data = recorded("Pendulum-v1", tmp_path)
    source = ObservationSource(data, None, torch.device("cpu"))
    env = make_env(EnvRef("Pendulum-v1", {}), 9, DataGoals((6,)), {}, render_mode="rgb_array")
    env.tasks[0] = task = next(draw_tasks(data, source, 6, 0))
    env.reset(seed=0)
    for row in task.between:
        frame = env.render()
        env.step(row)
    goal, world = np.hsplit(frame, 2)
    assert (goal != world).any()
    np.testing.assert_array_equal(*np.hsplit(env.render(), 2))
