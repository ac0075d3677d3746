from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent import EnvRef, JEPAAgent
from jepa_agent.io.serialisation import from_dict, to_dict, to_json
from jepa_agent.worlds.pixels import RenderedObservation
from jepa_agent.worlds.reference import WrapperRef, importable_id, rendered

OTHER_WORLD = """
import gymnasium as gym, numpy as np
class Point(gym.Env):
    observation_space = action_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}
    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}
gym.register("OtherPoint-v0", entry_point="otherworld:Point", max_episode_steps=5)
"""


def test_an_environment_of_another_package_is_made_again_in_a_fresh_process(tmp_path: Path) -> None:
    (tmp_path / "otherworld.py").write_text(OTHER_WORLD)

    def run(code: str) -> None:
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()

    run("import gymnasium as gym; from jepa_agent.data.recording import record;"
        "record(gym.make('otherworld:OtherPoint-v0'), 'p.h5', 2, 5)")  # fmt: skip
    run("from jepa_agent import Trajectories; from jepa_agent.data.source import env_of;"
        "env_of(Trajectories.load('p.h5')).make()")  # fmt: skip


def test_gymnasiums_own_need_no_module() -> None:
    assert importable_id(gym.make("Pendulum-v1")) == "Pendulum-v1"
    assert importable_id(gym.make("TwoRooms-v0")) == "jepa_agent:TwoRooms-v0"


def test_a_name_without_its_module_gets_it() -> None:
    assert EnvRef("TwoRooms-v0", {}).id == "jepa_agent:TwoRooms-v0"
    assert EnvRef("Pendulum-v1", {}).id == "Pendulum-v1"
    assert EnvRef("NotHere-v0", {}).id == "NotHere-v0"


def test_vector_environments_of_the_shipped_agent_are_built_in_fresh_processes() -> None:
    ref = JEPAAgent.load().env_ref
    envs = gym.make_vec(
        ref.id, 2, "async", vector_kwargs={"context": "spawn"}, **ref.kwargs, obs_type="state"
    )
    try:
        assert envs.reset(seed=0)[0]["observation"].shape == (2, 4)
    finally:
        envs.close()


class Doubled(gym.ActionWrapper):
    """Takes the environment alone."""

    def action(self, action: np.ndarray) -> np.ndarray:
        return 2 * action


class Faded(gym.ObservationWrapper):
    """Has an argument that it does not record."""

    def __init__(self, env: gym.Env, share: float) -> None:
        super().__init__(env)
        self.share = share

    def observation(self, observation: np.ndarray) -> np.ndarray:
        return (self.share * observation).astype(np.float32)


def faded(env: gym.Env, share: float = 0.5) -> gym.Env:
    """A factory of one's own."""
    return Faded(env, share)


def doubled_pendulum(**kwargs: Any) -> gym.Env:
    """An entry point that wraps."""
    return Doubled(gym.make("Pendulum-v1", **kwargs))


def read(env: gym.Env, history: int = 1) -> EnvRef:
    """The reference of an environment, through JSON and a file's metadata, and a checkpoint's."""
    ref = EnvRef.read(env, history)
    assert from_dict(EnvRef, json.loads(to_json(to_dict(ref)))) == ref
    assert EnvRef.from_metadata(json.loads(to_json(ref.metadata()))) == ref
    return ref


def test_wrappers_that_record_their_arguments_are_built_again() -> None:
    env: gym.Env = gym.make("Pendulum-v1")
    low = np.array([-3], dtype=np.float32)
    env = gym.wrappers.RescaleAction(Doubled(env), low, np.float32(1))
    env = gym.wrappers.TimeAwareObservation(env)
    env = gym.wrappers.ReshapeObservation(env, (4,))
    ref = read(env)
    assert [wrapper.path.partition(":")[2] for wrapper in ref.wrappers] == [
        "Doubled", "RescaleAction", "TimeAwareObservation", "ReshapeObservation",
    ]  # fmt: skip
    again = ref.make()
    assert again.action_space == env.action_space
    assert again.observation_space == env.observation_space
    env.reset(seed=1), again.reset(seed=1)
    for _ in range(3):
        action = np.float32([0.7])
        np.testing.assert_equal(again.step(action)[:3], env.step(action)[:3])


def test_usual_wrappers_are_no_part_of_the_name() -> None:
    assert read(gym.make("Pendulum-v1", render_mode="rgb_array", g=9.0)) == EnvRef(
        "Pendulum-v1", {"g": 9.0}
    )


def test_a_wrapper_that_cannot_be_built_again_is_refused_unless_it_is_named() -> None:
    with pytest.raises(ValueError, match=r"Faded must be .*not record its arguments; name it with"):
        EnvRef.read(faded(gym.make("Pendulum-v1")))
    blind = gym.wrappers.TransformObservation(gym.make("Pendulum-v1"), lambda o: 0 * o, None)
    with pytest.raises(ValueError, match=r"TransformObservation must be .*got <function"):
        EnvRef.read(blind)
    with pytest.raises(ValueError, match="its running statistics are lost"):
        EnvRef.read(gym.wrappers.NormalizeObservation(gym.make("Pendulum-v1")))
    ref = EnvRef("Pendulum-v1", {}, wrappers=(WrapperRef(f"{__name__}:faded", {"share": 0.0}),))
    assert not ref.make().reset(seed=0)[0].any()
    assert EnvRef.from_metadata(ref.metadata()) == ref
    with pytest.raises(ValueError, match="must return an environment, got str"):
        EnvRef("Pendulum-v1", {}, wrappers=(WrapperRef("builtins:str"),)).make()


def test_what_the_entry_point_wraps_is_left_to_it() -> None:
    gym.register("DoubledPendulum-v0", f"{__name__}:doubled_pendulum")
    ref = read(gym.wrappers.TimeAwareObservation(gym.make("DoubledPendulum-v0")))
    assert [wrapper.path for wrapper in ref.wrappers] == [
        "gymnasium.wrappers.stateful_observation:TimeAwareObservation"
    ]
    layers = str(ref.make())
    assert layers.count("Doubled") == 1 + ref.id.count("Doubled")


@pytest.mark.parametrize("steps", [3, 500])
def test_a_time_limit_survives(steps: int) -> None:
    for env in (
        gym.make("Pendulum-v1", max_episode_steps=steps),
        gym.wrappers.TimeLimit(gym.make("Pendulum-v1", max_episode_steps=900), steps),
    ):
        ref = read(env)
        assert ref == EnvRef("Pendulum-v1", {}, max_episode_steps=steps)
        assert ref.make().spec.max_episode_steps == steps
        assert ref.make(max_episode_steps=7).spec.max_episode_steps == 7
    outside = gym.wrappers.TimeLimit(Doubled(gym.make("Pendulum-v1")), steps)
    assert [wrapper.kwargs for wrapper in read(outside).wrappers][1] == {"max_episode_steps": steps}


def test_frames_of_a_recording_are_its_observations() -> None:
    env = RenderedObservation(gym.make("Pendulum-v1", render_mode="rgb_array"), size=20)
    ref = read(env, history=2)
    assert ref.pixels
    assert ref.make().observation_space.shape == (20, 20, 6)
    older = {"env_id": "Pendulum-v1", "env_kwargs": {}, "record": {"pixels": True}}
    assert EnvRef.from_metadata(older) == EnvRef("Pendulum-v1", {}, wrappers=(rendered(0),))


class Bare(gym.Env):
    """Its constructor has no arguments."""

    observation_space = action_space = gym.spaces.Box(-1, 1, (2,), np.float32)


def test_a_render_mode_is_only_passed_where_it_is_asked_for() -> None:
    gym.register("Bare-v0", Bare)
    ref = read(gym.make("Bare-v0"))
    assert ref.make(render_mode=None).action_space == Bare.action_space
    assert ref.id == f"{__name__}:Bare-v0"


def test_what_cannot_be_named_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be registered .*register it"):
        EnvRef.read(Bare())
    gym.register("Odd-v0", lambda what: Bare())
    with pytest.raises(ValueError, match=r"arguments of .*Odd-v0 cannot be stored"):
        EnvRef.read(gym.make("Odd-v0", what=object()))
