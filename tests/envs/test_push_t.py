"""PushT-v0: gym-pusht's physics, poses set exactly, and pictures where its own are."""

from __future__ import annotations

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
from jepa_agent.envs.push_t import BAR, STEM, PushTEnv, clearance, turned_by
from jepa_agent.envs.pushing import Pusher

pose = PushTEnv.pose


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gym_pusht.envs.pusht", None)
    with pytest.raises(ImportError, match=r"PushT-v0 needs .*pip install 'jepa-agent\[worlds\]'"):
        gym.make("PushT-v0")


def test_turns_are_the_shorter_way_round() -> None:
    angles = np.float64([[0.1, -0.1], [3.1, -3.1], [1.0, -1.5]])
    first, second = (
        np.stack([pose((0, 0), (0, 0), angle) for angle in column]) for column in angles.T
    )
    expected = [0.2, 2 * np.pi - 6.2, 2.5]
    np.testing.assert_allclose(turned_by(first, second), expected, atol=1e-6)


def test_clearance_is_that_of_a_disc_and_two_rectangles() -> None:
    beside = pose((200 + 60 + 15 + 4, 210), (200, 200), 0)
    assert clearance(beside) == pytest.approx(4)
    below = pose((200, 200 + 120 + 15 + 7), (200, 200), 0)
    assert clearance(below) == pytest.approx(7)
    turned = pose((200 - 120 - 15 - 7, 200), (200, 200), np.pi / 2)
    assert clearance(turned) == pytest.approx(7, abs=1e-4)
    assert clearance(pose((200, 260), (200, 200), 0)) < -15


@pytest.fixture(scope="module")
def env() -> PushTEnv:
    pytest.importorskip(
        "gym_pusht", exc_type=ImportError, reason="PushT-v0 needs the extra `worlds`"
    )
    return PushTEnv(obs_type="state")


@pytest.fixture
def drawn(env: PushTEnv) -> PushTEnv:
    return PushTEnv(render_mode="rgb_array")


def test_the_block_is_gym_pushts(env: PushTEnv) -> None:
    shapes = env._world._block_shapes
    for shape, (left, right, top, bottom) in zip(shapes, (BAR, STEM), strict=True):
        x, y = np.array(shape.get_vertices()).T
        assert (x.min(), x.max(), y.max()) == (left, right, bottom)
        assert y.min() in (top, BAR[3])  # the stem begins below the bar there
    (disc,) = env._world.agent.shapes
    assert disc.radius == 15


@pytest.mark.parametrize("obs_type", ["pixels", "state"])
def test_gymnasium_and_stable_baselines_have_nothing_to_object_to(
    env: PushTEnv, obs_type: str
) -> None:
    made = gym.make("PushT-v0", obs_type=obs_type, render_mode="rgb_array", image_size=48)
    check_env(made.unwrapped)
    check_for_sb3(made.unwrapped)


def test_any_pose_is_set_exactly_and_stays(env: PushTEnv) -> None:
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(100):
        state, goal = (env._draw_pose() for _ in range(2))
        state[6:] = rng.uniform(-50, 50, 2)
        observation, info = env.reset(options=env.reset_options(state, goal, env.layout))
        np.testing.assert_allclose(observation["observation"], state, atol=1e-4)
        np.testing.assert_array_equal(observation["desired_goal"], goal)
        assert info["distance"] == pytest.approx(np.linalg.norm((state - goal)[:4]), rel=1e-5)
        env.reset(options={"state": goal})
        still = env.step(np.zeros(2, dtype=np.float32))[0]["observation"]
        np.testing.assert_allclose(still, goal, atol=1e-3)


def test_actions_aim_beside_the_agent_as_gym_pusht_moves_it(env: PushTEnv) -> None:
    import gym_pusht.envs.pusht

    theirs = gym_pusht.envs.pusht.PushTEnv(obs_type="state")
    theirs.reset(seed=0)
    env.reset(seed=0, options={"state": pose((480, 100), (250, 300), 1.0)})
    theirs.agent.position = (480, 100)
    theirs.block.angle = 1.0
    theirs.block.position = (250, 300)
    rng = np.random.default_rng(0)
    for action in rng.uniform(-1, 1, (30, 2)):
        place = np.array(theirs.agent.position)
        seen = env.step(np.float32(action))[0]["observation"]
        theirs.step(np.clip(place + 100 * np.float32(action), 0, 512))
        np.testing.assert_allclose(seen[:2], theirs.agent.position, atol=1e-3)
        np.testing.assert_allclose(seen[2:4], theirs.block.position, atol=1e-3)


def test_an_episode_from_a_recorded_state_goes_on_as_it_did(env: PushTEnv) -> None:
    env.reset(seed=1)
    play, rng = Pusher(seed=1), np.random.default_rng(1)
    states, actions = [env.state], []
    for _ in range(60):
        actions.append(play(env, rng))
        env.step(actions[-1])
        states.append(env.state)
    for start in (10, 30, 45):
        env.reset(options={"state": states[start]})
        for action in actions[start : start + 10]:
            env.step(action)
        assert np.abs((env.state - states[start + 10])[:4]).max() < 3


@pytest.mark.parametrize(
    ("moved", "turned", "success", "strict"),
    [((8, 8), 0.1, True, False), ((8, 5), 0.1, True, True), ((15, 14), 0.0, False, False),
     ((3, 3), 0.3, True, False), ((3, 3), 0.4, False, False)],
)  # fmt: skip
def test_the_published_rule_and_the_stricter_one(
    env: PushTEnv, moved: tuple[int, int], turned: float, success: bool, strict: bool
) -> None:
    goal = pose((100, 100), (300, 300), 3.1)
    state = pose((100, 100), np.array([300, 300]) + moved, 3.1 + turned)
    env.reset(options={"state": state, "goal": goal})
    infos = [env.step(np.zeros(2, dtype=np.float32))[-1] for _ in range(3)]
    assert infos[0]["is_success"] is success
    assert infos[2]["is_success_strict"] is strict


def test_strict_success_must_be_held_for_three_steps_except_from_the_start(env: PushTEnv) -> None:
    state = pose((100, 100), (300, 300), 0.5)
    _, info = env.reset(options={"state": state, "goal": state})
    assert info["is_success_strict"]
    env.reset(options={"state": state, "goal": pose((100, 100), (200, 200), 0.5)})
    still = np.zeros(2, dtype=np.float32)
    env.step(still)
    env.goal = env.state
    found = [env.step(still)[-1]["is_success_strict"] for _ in range(4)]
    assert found == [False, False, True, True]


def test_pictures_are_gym_pushts_but_for_its_outlines(env: PushTEnv) -> None:
    """Its shapes are ours, with 2 more pixels around the block."""
    import pygame

    large, inner = PushTEnv(image_size=512), slice(12, -12)
    for seed in range(6):
        observation, _ = large.reset(seed=seed)
        large._world.goal_pose = np.array([-999.0, -999, 0])  # no goal in the picture
        own = pygame.surfarray.array3d(large._world._draw()).transpose(1, 0, 2)
        ours, theirs = (
            image[inner, inner].astype(int) for image in (observation["observation"], own)
        )
        for is_blue in (True, False):  # the agent, and the grey block
            first, second = (
                (image.sum(-1) < 740) & ((image[..., 2] - image[..., 0] > 80) == is_blue)
                for image in (ours, theirs)
            )
            assert (first & ~second).sum() < 0.04 * first.sum()
            assert (second & ~first).sum() < (0.02 if is_blue else 0.2) * first.sum()


def test_torch_draws_what_numpy_draws(drawn: PushTEnv) -> None:
    states = np.stack([drawn._draw_pose() for _ in range(12)]).reshape(4, 3, 8)
    images = drawn.render_states(torch.as_tensor(states), torch.zeros(4, 1, 0)).numpy()
    assert images.shape == (4, 3, 64, 64, 3)
    alone = np.stack([drawn.render_states(state) for state in states.reshape(-1, 8)])
    assert np.abs(images.reshape(-1, 64, 64, 3).astype(int) - alone).max() <= 1


def test_the_frame_shows_the_goal(drawn: PushTEnv) -> None:
    drawn.reset(
        options={"state": pose((60, 60), (200, 200), 0), "goal": pose((400, 60), (350, 350), 1)}
    )
    frame = drawn.render()
    assert frame is not None
    assert frame.shape == (256, 256, 3)
    assert frame[30, 30].tolist() == [65, 105, 225]
    assert frame[30, 200].tolist() == [144, 238, 144]
    assert frame[107, 100].tolist() == [119, 136, 153]


def test_bad_poses_say_what_is_wrong(env: PushTEnv) -> None:
    with pytest.raises(ValueError, match="state's cosine and sine must be those of an angle"):
        env.reset(options={"state": [100, 100, 200, 200, 0, 0, 0, 0]})
    with pytest.raises(ValueError, match=r"goal's block x must be in \[-100, 612\], got 700"):
        env.reset(options={"goal": pose((100, 100), (700, 100), 0)})


def test_a_block_that_was_pushed_over_the_border_is_a_goal(env: PushTEnv) -> None:
    goal = pose((250, 250), (200, -24.6), 0.3)
    env.reset(seed=0, options={"goal": goal})
    np.testing.assert_array_equal(env.goal, goal)


def test_pushers_push_at_the_speed_of_the_tasks(env: PushTEnv, tmp_path: Path) -> None:
    record(gym.make("PushT-v0"), tmp_path / "p.h5", episodes=8, steps=75, policy=Pusher)
    data = Trajectories.load(tmp_path / "p.h5")
    assert data.observations is None
    shape, render, _ = world_shape(env_of(data), data)
    assert shape == ((64, 64, 3), 2, 8)
    assert render is not None
    states = data.states.reshape(8, 76, 8)
    speed = np.linalg.norm(np.diff(states[..., :2], axis=1), axis=-1)
    assert 5 < np.median(speed) < 10
    block = np.linalg.norm(states[:, 25:, 2:4] - states[:, :-25, 2:4], axis=-1)
    assert 10 < np.median(block) < 80
    assert ((block > 5).mean(axis=1) > 0.2).mean() > 0.8
    assert clearance(states.astype(np.float64)).min() > -6


def test_the_same_seed_pushes_the_same(env: PushTEnv) -> None:
    def played() -> list[Any]:
        env.reset(seed=3)
        play, rng = Pusher(seed=3), np.random.default_rng(3)
        return [env.step(play(env, rng))[0]["observation"] for _ in range(20)]

    np.testing.assert_array_equal(played(), played())
