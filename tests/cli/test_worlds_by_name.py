"""A world of one's own, with arguments, a wrapper and a time limit, goes through all commands, each
in a fresh process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import pytest

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.worlds.reference import WrapperRef, rendered

WORLD = """
import gymnasium as gym
import numpy as np


class Point(gym.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(self, size=1, render_mode=None):
        self.size, self.render_mode = size, render_mode
        place = gym.spaces.Box(-size, size, (2,))
        self.observation_space = gym.spaces.Dict(observation=place, desired_goal=place)
        self.action_space = gym.spaces.Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.point, self.goal = self.np_random.uniform(-self.size, self.size, (2, 2))
        return self.see(), {}

    def step(self, action):
        self.point = np.clip(self.point + 0.3 * np.asarray(action), -self.size, self.size)
        reached = bool(np.abs(self.point - self.goal).max() < 0.5)
        return self.see(), 0.0, False, False, {"is_success": reached}

    def see(self):
        return {"observation": np.float32(self.point), "desired_goal": np.float32(self.goal)}

    def render(self):
        x, y = ((self.point / self.size + 1) * 7.5).astype(int)
        picture = np.zeros((16, 16, 3), np.uint8)
        picture[y, x] = 255
        return picture


class Bare(Point):
    def __init__(self):
        super().__init__()


def halved(env, low=-1):
    return gym.wrappers.RescaleAction(env, np.float32(low), np.float32(1))


gym.register("my/Point-v0", Point, max_episode_steps=40)
gym.register("Blank-v0", Bare, max_episode_steps=40)
"""
TRAIN = (
    "--out", "run", "--training.steps", "2", "--training.refinement.steps", "0", "--report", "0",
    "--training.layouts-per-batch", "1", "--training.windows-per-layout", "16",
)  # fmt: skip
NAMED = (
    "--env", "worlds.points:my/Point-v0", "--env-kwargs", "size=3", "max_episode_steps=30",
    "--wrapper", "worlds.points:halved low=-2",
)  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A folder with a module that only its full name imports."""
    (tmp_path / "worlds").mkdir()
    (tmp_path / "worlds" / "__init__.py").touch()
    (tmp_path / "worlds" / "points.py").write_text(WORLD)
    return tmp_path


@pytest.mark.slow
def test_a_world_with_all_that_names_it_goes_through_all_commands(
    run: Callable, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(world))
    run("collect", *NAMED, "--episodes", "8", "--out", "d.h5", cwd=world)
    data = Trajectories.load(world / "d.h5")
    assert (data.offsets[1], len(data)) == (31, 8)
    assert data.actions.min() < -1.5
    run("train", "vector", "--data", "d.h5", *TRAIN, cwd=world)
    agent = JEPAAgent.load(world / "run")
    assert agent.bounds.low == (-2.0, -2.0)
    assert agent.env_ref.id == "worlds.points:my/Point-v0"
    assert agent.env_ref.wrappers == (WrapperRef("worlds.points:halved", {"low": -2}),)
    assert (agent.env_ref.kwargs, agent.env_ref.max_episode_steps) == ({"size": 3}, 30)
    said = run("evaluate", "--checkpoint", "run", "--episodes", "2", cwd=world)
    assert "random" in said
    options = ("--episodes", "1", "--video", "p.gif")
    said = run("plan", "--checkpoint", "run", *options, cwd=world)
    assert "seed 0: 30 steps" in said
    assert imageio.imread(world / "p.gif").shape[1:] == (16, 16, 3)


@pytest.mark.slow
def test_a_world_model_of_rendered_frames_trains_and_plays(
    run: Callable, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(world))
    frames = ("--pixels", "--size", "26", "--history", "2")
    run("collect", *NAMED, *frames, "--episodes", "8", "--out", "d.h5", cwd=world)
    data = Trajectories.load(world / "d.h5")
    assert data.observations is not None
    assert data.observations.shape == (8 * 31, 26, 26, 6)
    assert data.states.shape == (8 * 31, 2)
    run("train", "quick", "--data", "d.h5", *TRAIN, "--model.latent-dim", "8", cwd=world)
    agent = JEPAAgent.load(world / "run")
    assert agent.env_ref.wrappers[0] == rendered(26)
    monkeypatch.syspath_prepend(world)
    env = agent.env_ref.make()
    goal, _ = env.reset(seed=0)
    agent.set_goal(goal)
    assert agent.predict(goal)[0].shape == (2,)


def test_constructors_get_no_argument_that_they_lack(
    exit_of: Callable, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(world)
    code, said = exit_of("collect", "--env=worlds.points:Blank-v0", "--episodes=2", "--out=d.h5")
    assert code == 0, said
    code, said = exit_of(
        "collect", "--env=worlds.points:Blank-v0", "--pixels", "--episodes=2", "--out=e.h5"
    )
    assert code
    assert (
        "constructor of worlds.points:Blank-v0 must take its arguments, among them render" in said
    )
    code, said = exit_of("collect", "--policy=mixed", "--history=2", "--out=e.h5")
    assert "the policy mixed plays TwoRooms-v0 as it is" in said
