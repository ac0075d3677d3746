"""Offline behaviour: same seed same bytes, obeys the physics, has the reference's statistics."""

from dataclasses import replace

import numpy as np
import pytest

from jepa_agent.envs import CollectConfig, Rollouts, TwoRoomsEnv, collect
from jepa_agent.envs.behaviour import POLICIES
from jepa_agent.envs.collection import BLOCK
from jepa_agent.envs.physics import Layout, is_free
from jepa_agent.envs.tasks import TwoRoomsConfig

SMALL = CollectConfig(episodes=300, steps=40, seed=1)


def same_bytes(a: Rollouts, b: Rollouts) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(a[:3], b[:3], strict=True))


def layout_of(rollouts: Rollouts) -> Layout:
    """The layout of every episode, to broadcast over time."""
    return Layout.from_array(rollouts.layout[:, None])


def test_same_seed_same_bytes_also_across_blocks() -> None:
    config = CollectConfig(policy="mixed", episodes=2 * BLOCK + 7, steps=4)
    rollouts = collect(config)
    assert same_bytes(rollouts, collect(config))
    assert not same_bytes(rollouts, collect(replace(config, seed=1)))
    first, second = rollouts.states[:BLOCK], rollouts.states[BLOCK : 2 * BLOCK]
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("layout", ["random", "fixed", "ood"])
@pytest.mark.parametrize("policy", POLICIES)
def test_rollouts_obey_the_physics(policy: str, layout: str) -> None:
    rollouts = collect(replace(SMALL, policy=policy, layout=layout))
    states, actions, context, *_ = rollouts
    assert (states.shape, actions.shape, context.shape) == ((300, 41, 2), (300, 40, 2), (300, 3))
    assert {array.dtype for array in (states, actions, context)} == {np.dtype(np.float32)}
    assert is_free(states, layout_of(rollouts)).all()
    assert np.linalg.norm(actions, axis=-1).max() <= 1 + 1e-6
    groups = TwoRoomsConfig(layout=layout).layout_groups()
    assert {tuple(row) for row in context} <= {tuple(row) for group in groups for row in group}

    before, after = states[:, :-1], states[:, 1:]
    end = before + actions * 2.45
    wall_x = context[:, None, 0]
    in_border = ((end > 4) & (end < 60)).all(axis=-1)
    in_left = (before[..., 0] < wall_x - 1) & (end[..., 0] < wall_x - 1)
    in_right = (before[..., 0] > wall_x + 1) & (end[..., 0] > wall_x + 1)
    touches_nothing = in_border & (in_left | in_right)
    assert touches_nothing.mean() > 0.2
    np.testing.assert_allclose(after[touches_nothing], end[touches_nothing], atol=1e-5)


def test_the_environment_replays_an_episode_until_it_touches_a_wall() -> None:
    rollouts = collect(replace(SMALL, policy="mixed", episodes=40))
    env = TwoRoomsEnv(obs_type="state", terminate_on_success=False)
    replayed = 0
    for states, actions, context in zip(*rollouts[:3], strict=True):
        task = {"wall_x": int(context[0]), "door_y": int(context[1]), "position": states[0]}
        env.reset(seed=0, options=task)
        for state, action, expected in zip(states, actions, states[1:], strict=False):
            if np.linalg.norm(expected - state - 2.45 * action) > 1e-4:  # a bounce
                break
            np.testing.assert_allclose(env.step(action)[4]["position"], expected, atol=1e-3)
            replayed += 1
    assert replayed > 300


def test_reference_policy_has_the_statistics_of_pldm() -> None:
    rollouts = collect(CollectConfig(episodes=4000, layout="train"))
    states, actions, context, *_ = rollouts
    assert states.shape == (4000, 91, 2)
    length = 2.45 * np.linalg.norm(actions, axis=-1)
    assert length.min() >= 0.2 - 1e-5
    assert length.max() <= 1.8 + 1e-5
    assert length.mean() == pytest.approx(1.0, abs=0.01)
    assert length.std() == pytest.approx(0.352, abs=0.01)  # 0.4, cut at two deviations
    is_left = states[..., 0] < context[:, None, 0]
    crosses = (is_left != is_left[:, :1]).any(axis=1)
    assert 0.35 <= crosses.mean() < 0.6
    assert is_left[:, 0].mean() == pytest.approx(0.5, abs=0.03)


def test_reference_headings_turn_like_von_mises() -> None:
    """Free walkers: the mean cosine of the turns is I1(5) / I0(5) = 0.8934."""
    actions = collect(CollectConfig(episodes=2000, layout="fixed", steps=60)).actions
    heading = actions / np.linalg.norm(actions, axis=-1, keepdims=True)
    cosine = (heading[:, 1:] * heading[:, :-1]).sum(axis=-1)
    late = cosine[:, -10:]  # when few are still steered to the door
    assert np.median(late) > 0.85
    assert late.mean() == pytest.approx(0.8934, abs=0.03)


def test_other_policies_do_what_they_are_called() -> None:
    def roll(policy: str) -> Rollouts:
        return collect(CollectConfig(policy=policy, episodes=500, seed=2))

    def crossing_share(rollouts: Rollouts) -> float:
        is_left = rollouts.states[..., 0] < rollouts.layout[:, None, 0]
        return (is_left != is_left[:, :1]).any(axis=1).mean()

    bump, door, uniform, mixed = (roll(name) for name in ("bump", "door", "uniform", "mixed"))
    assert crossing_share(door) > 0.9
    assert crossing_share(uniform) < 0.2
    to_wall = abs(bump.states[:, 0, 0] - bump.layout[:, 0])
    assert to_wall.max() <= 9 + 1e-3
    at_wall = abs(bump.states[:, :30, 0] - bump.layout[:, None, 0]) < 2.5
    assert at_wall.mean() > 0.3
    length = np.linalg.norm(mixed.actions, axis=-1)
    assert length.max() > 0.999
    assert (length > 0.99).mean() > 0.1
    assert (length < 0.1).mean() > 0.01


@pytest.mark.parametrize(("episodes", "per_layout"), [(64, 16), (50, 16), (7, 1), (5, 9)])
def test_consecutive_episodes_share_a_layout(episodes: int, per_layout: int) -> None:
    config = CollectConfig(episodes=episodes, episodes_per_layout=per_layout, steps=1)
    context = collect(config).layout
    shares = [tuple(context[row]) == tuple(context[row - 1]) for row in range(1, episodes)]
    assert shares == [row % per_layout != 0 for row in range(1, episodes)]


def test_layouts_are_drawn_evenly() -> None:
    context = collect(CollectConfig(episodes=2 * 1125, episodes_per_layout=1, steps=1)).layout
    _, counts = np.unique(context, axis=0, return_counts=True)
    assert counts.tolist() == [2] * 1125


def test_metadata_and_progress_say_what_was_made() -> None:
    finished: list[int] = []
    config = CollectConfig(policy="door", layout="test", episodes=BLOCK + 5, steps=1, seed=3)
    metadata = collect(config, progress=finished.append).metadata
    assert finished == [BLOCK, BLOCK + 5]
    assert CollectConfig(**metadata["collect"]) == config
    assert metadata["env_id"] == "TwoRooms-v0"
    assert TwoRoomsEnv(**metadata["env_kwargs"]).config.layout == "test"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("policy", "uniform"),
        ("layout", "fixed"),
        ("episodes", 299),
        ("steps", 39),
        ("episodes_per_layout", 3),
        ("layouts", 5),
        ("seed", 2),
    ],
)
def test_every_option_changes_the_data(field: str, value: object) -> None:
    assert not same_bytes(collect(SMALL), collect(replace(SMALL, **{field: value})))


def test_as_many_layouts_as_asked_for_are_used_about_equally() -> None:
    """Others with another seed."""
    config = replace(SMALL, layout="train", episodes_per_layout=4, layouts=5)
    first, again, other = (
        np.unique(collect(each).layout, axis=0, return_counts=True)
        for each in (config, replace(config, steps=20), replace(config, seed=2))
    )
    assert len(first[0]) == len(other[0]) == 5
    assert set(first[1]) == {60}  # 300 episodes
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"policy": "expert"}, "policy must be one of .*'expert'"),
        ({"layout": "maze"}, "layout must be one of .*'maze'"),
        ({"episodes": 0}, "episodes must be an integer of at least 1, got 0"),
        ({"steps": -1}, "steps must be an integer of at least 1, got -1"),
        ({"episodes_per_layout": 0}, "episodes_per_layout must be an integer of at least 1, got 0"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"frames": 17}, "frames"),
    ],
)
def test_bad_config(config: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        CollectConfig(**config)


def test_numbers_of_numpy_are_taken() -> None:
    config = CollectConfig(episodes=np.int64(4), steps=np.int32(5), seed=np.uint8(1))
    ours = CollectConfig(episodes=4, steps=5, seed=1)
    np.testing.assert_array_equal(collect(config).states, collect(ours).states)
