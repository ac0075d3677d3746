"""Tasks from data of a painted world, in which one picture shows no speed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from jepa_agent import EnvRef, JEPAAgent, Trajectories, WorldModel, WorldModelConfig
from jepa_agent.data.recording import record
from jepa_agent.data.source import world_shape
from jepa_agent.data.windows import ObservationSource
from jepa_agent.envs.goal_world import Measure
from jepa_agent.envs.painted_world import PaintedWorld
from jepa_agent.envs.pictures import Canvas
from jepa_agent.evaluation.data_goals import evaluate_on_data, task_env
from jepa_agent.evaluation.data_tasks import DataGoals, draw_tasks, make_env, still
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import CEM, ActionBounds, CEMConfig
from jepa_agent.worlds.parts import Parts


class Slider(PaintedWorld):
    """A dot that slides along a line, whose picture shows no velocity."""

    state_names = ("x", "speed")
    state_low, state_high = np.array([0.0, -1]), np.array([1.0, 1])

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:
        super().__init__(render_mode, image_size=16, **config)
        self.at = np.zeros(2, dtype=np.float32)

    @property
    def state(self) -> np.ndarray:
        return self.at.copy()

    def _background(self, states: Any, layout: Any, size: int) -> Canvas:
        return Canvas(states, size, (0.0, 0.0), 1.0)

    def _paint(self, canvas: Canvas, states: Any, is_goal: bool = False) -> None:
        canvas.paint(canvas.disc(states[..., 0], states[..., 0] * 0 + 0.5, 0.2), (0.0, 0.0, 0.0))

    def measure(self, states: np.ndarray, goals: np.ndarray) -> Measure:
        distance = np.abs(states - goals)[..., 0]
        return Measure(distance, distance < 0.05, distance < 0.01)

    def _draw_task(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([self.np_random.random(), 0.0]), np.array([self.np_random.random(), 0.0])

    def _put(self, state: np.ndarray) -> None:
        self.at = state.copy()

    def _act(self, action: np.ndarray) -> None:
        speed = np.clip(self.at[1] + 0.02 * action[0], -0.1, 0.1)
        self.at = np.clip(np.float32([self.at[0] + speed, speed]), self.state_low, self.state_high)
        self.at = self.at.astype(np.float32)


gym.register("Slider-v0", Slider, max_episode_steps=99)


class Slipping(Slider):
    """What moves it on is no part of its state."""

    def _put(self, state: np.ndarray) -> None:
        super()._put(state)
        self.slip = 0.0

    def _act(self, action: np.ndarray) -> None:
        self.slip = 0.5 * self.slip + 0.1 * float(action[1])
        self.at = np.clip(self.at + np.float32([self.slip, 0]), 0, 1)


gym.register("Slipping-v0", Slipping, max_episode_steps=99)


def test_strict_success_counts_where_the_start_does_not_meet_the_rule(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ref = EnvRef("Slider-v0", {"obs_type": "state"})
    record(ref, tmp_path / "s.h5", episodes=4, steps=20, policy="wander", seed=1)
    data = Trajectories.load(tmp_path / "s.h5")
    config = WorldModelConfig((2,), 2, 2, chunk=2, latent_dim=4, encoder=VectorMLPConfig())
    planner = CEM(CEMConfig(horizon=2, num_samples=8, iterations=1, num_elites=2))
    bounds = ActionBounds((-1.0, -1.0), (1.0, 1.0))
    notes = {"data": {"record": {"seed": 3, "episodes": 9}}}
    agent = JEPAAgent(WorldModel(config), bounds, ref, planner, notes=notes)
    goals = DataGoals((5,), within=(np.nan, 0.02))  # by the speed: the place may be the goal's
    report = evaluate_on_data(agent, data, goals, None, {}, range(7, 27), 20, "x")
    starts = {
        seed: task
        for seed, task in zip(
            range(7, 99),
            draw_tasks(data, ObservationSource(data, None, torch.device("cpu")), 5, 7),
            strict=False,
        )
    }
    note = report.config["goals"]["offset 5"]
    left_out = note["tasks left out, solved at the start"]
    chosen = [task for task in starts.values()
              if abs(task.state[1] - task.goal_state[1]) > 0.02][:20]  # fmt: skip
    strict = sum(abs(task.state[0] - task.goal_state[0]) < 0.01 for task in chosen)
    assert 0 < strict < 20
    assert left_out > 0
    assert note["not counted as strict, strictly solved at the start"] == strict
    assert {row.strict_episodes for row in report.rows} == {20 - strict}
    assert all(row.latency_p99_ms is not None for row in report.rows)
    assert note["episodes with seeds of training's"] == 2  # 3 and 4
    assert "episodes must be held out from training, got 2" in caplog.text


def test_where_a_state_leaves_something_out_the_whole_episode_leads_to_the_frames(
    tmp_path: Path,
) -> None:
    ref = EnvRef("Slipping-v0", {}, 2)
    record(ref, tmp_path / "s.h5", episodes=3, steps=20, policy="random", seed=1)
    data = Trajectories.load(tmp_path / "s.h5")
    source = ObservationSource(data, world_shape(ref, data)[1], torch.device("cpu"))
    tasks = dict(enumerate(draw_tasks(data, source, 5, 0)))
    env = make_env(ref, 10, DataGoals((5,)), tasks)
    for seed, task in tasks.items():
        observation, _ = env.reset(seed=seed)
        assert np.abs(observation["observation"].astype(int) - task.observed).max() <= 2
    moved_on = next(task for task in tasks.values() if len(task.before) > 5)
    env.tasks[0] = replace(moved_on, episode_seed=None)
    with pytest.raises(ValueError, match="Slipping must begin at the state"):
        env.reset(seed=0)


@pytest.mark.parametrize("history", [1, 2, 3])
def test_tasks_begin_with_the_frames_that_were_seen_before(tmp_path: Path, history: int) -> None:
    ref = EnvRef("Slider-v0", {}, history)
    record(ref, tmp_path / "s.h5", episodes=3, steps=20, policy="wander", seed=1)
    data = Trajectories.load(tmp_path / "s.h5")
    assert data.observations is None  # frames are rendered from states
    (shape, *_), render, _ = world_shape(ref, data)
    assert shape == (16, 16, 3 * history)
    source = ObservationSource(data, render, torch.device("cpu"))
    tasks = dict(enumerate(draw_tasks(data, source, 5, 0)))
    env = make_env(ref, 10, DataGoals((5,)), tasks)
    for seed, task in tasks.items():
        observation, info = env.reset(seed=seed)
        np.testing.assert_allclose(info["state"], task.state, atol=1e-6)
        assert np.abs(observation["observation"].astype(int) - task.observed).max() <= 2
        np.testing.assert_array_equal(observation["desired_goal"], task.goal)
        frames = np.split(task.goal, history, axis=-1)
        assert all((frame == frames[-1]).all() for frame in frames)  # a goal does not move
        for action in task.between:
            observation, *_, info = env.step(action)
        seen = observation["observation"][..., -3:].astype(int)
        assert np.abs(seen - frames[-1]).max() <= 2  # it is what was seen last
        assert info["is_success_strict"]
    assert {task.lead for task in tasks.values()} == set(range(history))


def test_a_goal_shows_how_it_moved_where_that_is_asked_for(tmp_path: Path) -> None:
    ref = EnvRef("Slider-v0", {}, 2)
    record(ref, tmp_path / "s.h5", episodes=3, steps=20, policy="random", seed=1)
    data = Trajectories.load(tmp_path / "s.h5")
    env, chosen = task_env(ref, data, DataGoals((5,), moving=True), 5, range(10), None)
    _, stopped = task_env(ref, data, DataGoals((5,)), 5, range(10), None)
    env.close()
    moved = 0
    for seed, task in chosen.tasks.items():
        before, last = np.split(task.goal, 2, axis=-1)
        np.testing.assert_array_equal(stopped.tasks[seed].goal, np.concatenate([last, last], -1))
        moved += bool((before != last).any())
    assert moved > len(chosen.tasks) / 2


def test_every_part_of_a_goal_stands_still() -> None:
    parts = Parts({"camera": (1, 1, 6), "joints": (4,)})
    seen = {"camera": np.uint8([[[1, 2, 3, 4, 5, 6]]]), "joints": np.float32([0.1, 0.2, 0.3, 0.4])}
    goal = still(parts.pack(seen), {"history": 2, "parts": parts.shapes})
    shown = parts.unpack(goal)
    assert shown["camera"].tolist() == [[[4, 5, 6, 4, 5, 6]]]
    np.testing.assert_array_equal(shown["joints"], np.float32([0.3, 0.4, 0.3, 0.4]))
