"""PointMaze-v0 and ReacherPose-v0: MuJoCo's physics, exact states, pictures where its own are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_for_sb3

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent import Trajectories
from jepa_agent.data.recording import record
from jepa_agent.data.source import env_of, world_shape
from jepa_agent.envs.generators import ArmMover, MazeWalker
from jepa_agent.envs.point_maze import PointMazeEnv
from jepa_agent.envs.reacher import ReacherEnv, fingertip

NAMES = ("PointMaze-v0", "ReacherPose-v0")
NEEDS = {
    "PointMaze-v0": ("gymnasium_robotics.envs.maze", PointMazeEnv),
    "ReacherPose-v0": ("mujoco", ReacherEnv),
}
STILL = np.zeros(2, dtype=np.float32)
pose = ReacherEnv.pose


@pytest.mark.parametrize("name", NAMES)
def test_without_its_package_it_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, NEEDS[name][0], None)
    with pytest.raises(ImportError, match=rf"{name} needs .*pip install 'jepa-agent\[worlds\]'"):
        gym.make(name)


@pytest.fixture(scope="module")
def installed() -> None:
    for package in ("mujoco", "gymnasium_robotics"):
        pytest.importorskip(
            package, exc_type=ImportError, reason="MuJoCo's worlds need the extra `worlds`"
        )


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest, installed: None) -> str:
    return request.param


@pytest.fixture
def maze(installed: None) -> PointMazeEnv:
    return PointMazeEnv(obs_type="state", maze="medium")


@pytest.fixture
def arm(installed: None) -> ReacherEnv:
    return ReacherEnv(obs_type="state")


def drawn(env: Any, count: int, speed: float) -> np.ndarray:
    """Random states that move."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    states = np.stack([env._draw_task()[0] for _ in range(count)]).astype(np.float32)
    states[:, -2:] = rng.uniform(-speed, speed, (count, 2))
    return states


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
def test_gymnasium_and_stable_baselines_have_nothing_to_object_to(name: str, obs_type: str) -> None:
    env = gym.make(name, obs_type=obs_type, render_mode="rgb_array", image_size=48)
    check_env(env.unwrapped)
    check_for_sb3(env.unwrapped)


def test_any_state_is_set_exactly_with_its_velocity(name: str) -> None:
    env = NEEDS[name][1](obs_type="state")
    states = drawn(env, 20, speed=4.0)
    for state, goal in zip(states, states[::-1], strict=True):
        observation, _ = env.reset(options=env.reset_options(state, goal, env.layout))
        np.testing.assert_allclose(observation["observation"], state, atol=1e-6)
        np.testing.assert_array_equal(observation["desired_goal"], goal)
    observation, info = env.reset(options={"state": goal, "goal": goal})
    assert info["is_success"]


def test_an_episode_from_a_recorded_state_goes_on_as_it_did(name: str) -> None:
    env = NEEDS[name][1](obs_type="state")
    env.reset(seed=1)
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 2)).astype(np.float32)
    states = [env.state, *(env.step(action)[0]["observation"] for action in actions)]
    for begin in (5, 12):
        env.reset(options={"state": states[begin]})
        for action in actions[begin : begin + 8]:
            env.step(action)
        np.testing.assert_allclose(env.state, states[begin + 8], rtol=1e-3, atol=1e-3)


def test_torch_draws_what_numpy_draws(name: str) -> None:
    env = NEEDS[name][1]()
    states = drawn(env, 12, speed=1.0)
    images = env.render_states(torch.as_tensor(states.reshape(4, 3, -1)), torch.zeros(4, 1, 0))
    assert images.shape == (4, 3, 64, 64, 3)
    alone = np.stack([env.render_states(state) for state in states])
    assert np.abs(images.numpy().reshape(alone.shape).astype(int) - alone).max() <= 1
    observation, info = env.reset(seed=2)
    np.testing.assert_array_equal(env.render_states(info["goal"]), observation["desired_goal"])


TOP_VIEW = """
import sys
import mujoco, numpy as np
from jepa_agent.envs.point_maze import PointMazeEnv
from jepa_agent.envs.reacher import EXTENT, ReacherEnv
name, out = sys.argv[1:]
if name == "PointMaze-v0":
    env, extent = PointMazeEnv(image_size=96, maze="medium"), 8.0
else:
    env, extent = ReacherEnv(image_size=96), EXTENT
kind, names = mujoco.mjtObj, {"block": 1, "particle_site": 2, "root": 1, "link": 1, "finger": 1}
renderer, kept = None, []
for seed in range(5):
    observation, _ = env.reset(seed=seed)
    model, far = env._world.model, 200 * extent
    model.vis.global_.fovy = np.degrees(2 * np.arctan(extent / 2 / far))
    model.vis.map.znear = far / 2 / model.stat.extent
    model.vis.map.zfar = 2 * far / model.stat.extent
    camera = mujoco.MjvCamera()
    camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = 0, far, 90, -90
    renderer = renderer or mujoco.Renderer(model, 96, 96)
    renderer.enable_segmentation_rendering()
    renderer.update_scene(env._world.data, camera)
    parts = np.zeros((96, 96), int)
    seen = renderer.render()
    for number, of in np.unique(seen.reshape(-1, 2), axis=0):
        title = (mujoco.mj_id2name(model, of, number) or "") if number >= 0 else ""
        value = next((v for part, v in names.items() if title.startswith(part)), 0)
        parts[(seen == (number, of)).all(-1)] = value
    kept.append((observation["observation"], np.repeat(parts[..., None], 3, -1)))
np.save(out, np.array(kept, dtype=np.uint8))
"""


def test_pictures_are_mujocos_own_from_far_above(name: str, tmp_path: Path) -> None:
    for backend in ("osmesa", "egl"):
        env = {**os.environ, "MUJOCO_GL": backend}
        command = [sys.executable, "-c", TOP_VIEW, name, str(tmp_path / "seen.npy")]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
        if done.returncode == 0:
            break
    else:
        pytest.skip("MuJoCo's own pictures need OpenGL, such as Debian's libosmesa6")
    for image, parts in np.load(tmp_path / "seen.npy").astype(int):
        parts = parts[..., 0]
        if name == "PointMaze-v0":  # walls are brown, the ball green
            solid, ball = image[..., 2] < 160, image[..., 1] > image[..., 0] + 30
            pairs = [(solid & ~ball, parts == 1), (ball, parts == 2)]
        else:
            pairs = [(np.abs(image - 229).sum(-1) > 110, parts > 0)]
        for ours, theirs in pairs:
            assert (ours & theirs).sum() > 0.85 * (ours | theirs).sum()
            centres = [np.argwhere(each).mean(0) for each in (ours, theirs)]
            np.testing.assert_allclose(centres[0], centres[1], atol=0.5)


def test_mazes_are_those_of_gymnasium_robotics(installed: None) -> None:
    for maze, shape, walls in (("u", (5, 5), 18), ("medium", (8, 8), 38), ("large", (9, 12), 62)):
        env = PointMazeEnv(maze=maze)
        assert env.maze.shape == shape
        assert (env.maze == 1).sum() == walls
        cells = np.argwhere(env.maze == 0)
        theirs = np.stack([env._world.maze.cell_rowcol_to_xy(cell) for cell in cells])
        np.testing.assert_allclose(env.centre_of(cells), theirs)
        np.testing.assert_array_equal(env.cell_of(theirs), cells)
        assert env.is_free(theirs).all()
        assert not Path(env._world.tmp_xml_file_path).exists()


def test_the_maze_counts_half_a_metre_and_a_quarter(maze: PointMazeEnv) -> None:
    start = [*maze.centre_of((1, 1)), 0, 0]
    for beside, success, strict in ((0.51, False, False), (0.49, True, False), (0.2, True, True)):
        goal = [start[0] + beside, start[1], 3, 0]  # velocities do not count
        info = maze.reset(options={"state": start, "goal": goal})[1]
        assert (info["is_success"], info["is_success_strict"]) == (success, strict)


def test_the_ball_keeps_its_velocity_and_no_wall_is_passed(maze: PointMazeEnv) -> None:
    maze.reset(options={"state": [*maze.centre_of((1, 1)), 3, 0]})
    x = maze.state[0]
    maze.step(STILL)
    assert maze.state[0] - x == pytest.approx(0.03, rel=0.02)
    for _ in range(200):
        maze.step(np.float32([-1, 1]))
    assert maze.cell_of(maze.state[:2]).tolist() == [1, 1]


def test_the_arms_rules_are_of_angles_and_of_the_fingertip(arm: ReacherEnv) -> None:
    goal = pose(3.13, 0.5)
    for shoulder, elbow, success, strict in (
        (-3.12, 0.51, True, True), (3.13, 0.56, False, True), (3.07, 0.5, False, False),
        (3.09, 0.46, True, False),
    ):  # fmt: skip
        _, info = arm.reset(options={"state": pose(shoulder, elbow), "goal": goal})
        assert info["is_success"] is success
        assert info["is_success_strict"] is strict  # who begins there has been there
        info = arm.step(STILL)[-1]
        assert info["is_success_strict"] is strict, (shoulder, elbow)
    elbows = arm.measure(pose(0, 2.9), pose(0, -2.9))
    assert elbows.distance == pytest.approx(5.8)  # which cannot turn over


def test_the_fingertip_is_mujocos(arm: ReacherEnv) -> None:
    for seed in range(5):
        arm.reset(seed=seed)
        theirs = arm._world.get_body_com("fingertip")[:2]
        np.testing.assert_allclose(fingertip(arm.state), theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("world", "options", "message"),
    [
        ("maze", {"state": [-2.5, 1, 0, 0]}, "state must keep the ball's 0.1 m from the walls"),
        ("maze", {"goal": [9, 1, 0, 0]}, r"goal's x must be in \[-3.9, 3.9\], got 9"),
        ("arm", {"goal": [0, 0, 1, 0, 0, 0]}, "goal's cosine and sine of the shoulder must be"),
    ],
)
def test_bad_states_say_what_is_wrong(
    world: str, options: dict[str, Any], message: str, maze: PointMazeEnv, arm: ReacherEnv
) -> None:
    with pytest.raises(ValueError, match=message):
        {"maze": maze, "arm": arm}[world].reset(options=options)


def test_an_unknown_maze_is_refused(maze: PointMazeEnv) -> None:
    with pytest.raises(ValueError, match=r"maze must be one of \['u', 'medium', 'large'\]"):
        PointMazeEnv(maze="huge")


def test_frames_show_the_goal(maze: PointMazeEnv, arm: ReacherEnv) -> None:
    for env in (PointMazeEnv("rgb_array"), ReacherEnv("rgb_array")):
        env.reset(seed=0)
        first = env.render()
        env.goal = env._draw_task()[1].astype(np.float32)
        second = env.render()
        assert first is not None
        assert second is not None
        assert first.shape == (256, 256, 3)
        assert (first != second).any()


def test_scripts_play_at_the_speed_of_the_tasks(name: str, tmp_path: Path) -> None:
    policy: type = MazeWalker if name == "PointMaze-v0" else ArmMover
    record(gym.make(name), tmp_path / "p.h5", episodes=8, steps=75, policy=policy)
    data = Trajectories.load(tmp_path / "p.h5")
    assert data.observations is None
    ref = env_of(data)
    assert ref is not None
    shape, render, _ = world_shape(ref, data)
    assert shape[0] == (64, 64, 3)
    assert render is not None
    states = data.states.reshape(8, 76, -1)
    world: Any = ref.make().unwrapped
    found = world.measure(states[:, :-25], states[:, 25:])
    assert found.success.mean() < 0.5
    low, high = (0.4, 1.2) if name == "PointMaze-v0" else (0.5, 2.5)
    assert low < np.median(found.distance) < high
