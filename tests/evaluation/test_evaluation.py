"""Episodes that are played, counted and timed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent import JEPAAgent
from jepa_agent.envs import OraclePolicy, RandomPolicy
from jepa_agent.evaluation.episodes import (
    Episode,
    SuccessUnknown,
    measure_latency,
    play,
)
from jepa_agent.evaluation.metrics import summarise
from jepa_agent.evaluation.policies import RandomActions

GOALS = {0: 100.0, 1: 5.0, 2: 20.0}
"""Goals by seed modulo 3: out of reach, passed by, reached in the end."""


class LineEnv(gym.Env):
    """A walk of at most 2 a step from 0 to a goal on a line; 10 or 11 steps, by the seed."""

    observation_space = gym.spaces.Dict({"observation": gym.spaces.Box(-99, 99, (1,), np.float32)})
    action_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    layout_names, layout = ("first", "second"), np.array([1, 2])
    strict_radius = 1.41

    def __init__(self, seeds: list[int]) -> None:
        self.seeds = seeds

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self.seeds.append(-1 if seed is None else seed)
        self.x, self.left = 0.0, 10 + self.seeds[-1] % 2
        self.goal = GOALS[self.seeds[-1] % 3]
        return self.observe(), self.info()

    def fewest_steps(self) -> int:
        return math.ceil((self.goal - self.x - 1.0) / 2.0)

    def step(
        self, action: np.ndarray
    ) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self.x += 2.0 * float(action[0])
        self.left -= 1
        assert self.left >= 0, "an episode goes on after its end"
        return self.observe(), 0.0, False, self.left == 0, self.info()

    def observe(self) -> dict[str, np.ndarray]:
        return {"observation": np.array([self.x], dtype=np.float32)}

    def info(self) -> dict[str, Any]:
        distance = abs(self.goal - self.x)
        return {"distance": distance, "is_success": distance <= 1.0}


class Forward:
    """Always one step on; its state counts the steps."""

    def predict(
        self,
        observation: dict[str, np.ndarray],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Any]:
        position, step = observation["observation"], state or 0
        assert episode_start.tolist() == [step == 0] * len(position)
        return np.ones_like(position), step + 1


def run(seeds: range, parallel: int) -> tuple[list[Episode], list[int]]:
    played: list[int] = []
    return play(Forward(), lambda: LineEnv(played), seeds, parallel), played


def test_every_seed_is_one_episode_counted_once() -> None:
    for parallel in (1, 7, 64):
        episodes, played = run(range(3, 23), parallel)
        assert [episode.seed for episode in episodes] == list(range(3, 23))
        assert played == list(range(3, 23))


def test_the_outcomes_are_the_known_ones() -> None:
    lost, passing, late = run(range(6, 9), 3)[0]
    layout = (1, 2)
    assert lost == Episode(6, layout, False, False, False, None, 50)
    assert passing == Episode(7, layout, True, False, True, 2, 2)
    assert late == Episode(8, layout, True, True, True, 10, 10)


@pytest.mark.parametrize("parallel", [7, 64])
def test_the_number_of_environments_changes_nothing(parallel: int) -> None:
    assert run(range(20), parallel)[0] == run(range(20), 1)[0]


def test_the_number_of_environments_changes_nothing_for_an_agent(tiny_agent: JEPAAgent) -> None:
    def make() -> gym.Env:
        return tiny_agent.env_ref.make(terminate_on_success=False, max_episode_steps=12)

    alone = play(tiny_agent, make, range(5), 1)
    assert play(tiny_agent, make, range(5), 3) == alone
    assert play(tiny_agent, make, range(5), 64) == alone


def test_progress_is_reported_after_every_batch() -> None:
    finished: list[int] = []
    play(Forward(), lambda: LineEnv([]), range(10), 4, finished.append)
    assert finished == [4, 8, 10]


class Fragile(LineEnv):
    """Raises in the episodes of two seeds."""

    def __init__(self, seeds: list[int], broken: tuple[int, ...]) -> None:
        super().__init__(seeds)
        self.broken = broken

    def step(self, action: np.ndarray) -> Any:
        if self.seeds[-1] in self.broken and self.left == 8:
            raise RuntimeError("a wheel came off")
        return super().step(action)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_different_error_is_shown_once_with_its_traceback(
    workers: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2])  # workers import this module
    with caplog.at_level("DEBUG", "jepa_agent"):
        play(Forward(), partial(Fragile, [], (4, 6)), range(3, 7), 2, workers=workers)
    (warning,) = (each for each in caplog.records if each.levelname == "WARNING")
    assert warning.getMessage() == (
        "2 of 4 episodes of Forward raised RuntimeError: a wheel came off (the first: seed 4); "
        "they count as failures"
    )
    (trace,) = (each.getMessage() for each in caplog.records if each.levelname == "DEBUG")
    assert 'raise RuntimeError("a wheel came off")' in trace
    assert "another exception" not in trace


def test_an_episode_that_raises_is_reported_and_the_others_go_on() -> None:
    episodes = play(Forward(), lambda: Fragile([], (5,)), range(3, 13), 4)
    sound = run(range(3, 13), 4)[0]
    assert [episode.seed for episode in episodes] == list(range(3, 13))
    assert episodes[2].error == "RuntimeError: a wheel came off"
    assert not episodes[2].success
    assert episodes[:2] + episodes[3:] == sound[:2] + sound[3:]
    assert summarise("a", "b", episodes).episodes == 10


@pytest.mark.parametrize("parallel", [3, 64])
def test_the_number_of_environments_changes_nothing_for_the_random_policy(parallel: int) -> None:
    def result(parallel: int) -> list[Episode]:
        def make() -> gym.Env:
            kwargs = {"obs_type": "state", "terminate_on_success": False, "success_radius": 20.0}
            return gym.make("TwoRooms-v0", **kwargs)

        return play(RandomPolicy(0), make, range(8), parallel)

    assert result(parallel) == result(1)


def test_what_cannot_be_evaluated_is_rejected() -> None:
    with pytest.raises(TypeError, match=r"a policy must have predict.*got int"):
        play(3, lambda: LineEnv([]), [0])  # type: ignore[arg-type]
    pendulum = gym.make("Pendulum-v1")
    with pytest.raises(SuccessUnknown, match=r"must have is_success or success, got \[\]; pass"):
        play(RandomActions(pendulum.action_space), lambda: gym.make("Pendulum-v1"), [0, 1])


class Renamed(gym.Wrapper):
    """Tells success by the other of its usual names."""

    def step(self, action: Any) -> Any:
        *step, info = self.env.step(action)
        info["success"] = info.pop("is_success")
        return *step, info


def test_success_has_either_of_its_usual_names() -> None:
    policy, make = OraclePolicy(), lambda: gym.make("TwoRooms-v0", terminate_on_success=False)
    usual = play(policy, make, range(3))
    other = play(policy, lambda: Renamed(make()), range(3))
    assert [each.steps for each in other] == [each.steps for each in usual]
    assert all(each.success for each in other)


def test_mistakes_in_the_set_up_are_no_failures() -> None:
    def broken() -> gym.Env:
        raise FileNotFoundError("no such maze")

    class Confused(Forward):
        def predict(self, *_: Any, **__: Any) -> Any:
            raise ZeroDivisionError("of what?")

    with pytest.raises(FileNotFoundError, match="no such maze"):
        play(Forward(), broken, range(5))
    with pytest.raises(ZeroDivisionError, match="of what"):
        play(Confused(), lambda: LineEnv([]), range(5), 2)


def test_a_world_that_offers_less_is_evaluated_by_what_it_has() -> None:
    class Plain(LineEnv):
        strict_radius = layout_names = property()  # type: ignore[assignment]

        def info(self) -> dict[str, Any]:
            return {"is_success": self.x >= 4.0}

    (played,) = play(Forward(), lambda: Plain([]), [0])
    assert played == Episode(0, None, True, True, None, 2, None)


@pytest.mark.parametrize("keys", [(), ("observation", "desired_goal")])
def test_random_actions_depend_on_the_first_observation_alone(keys: tuple[str, ...]) -> None:
    space = gym.spaces.Box(np.float32([-2, -np.inf]), np.float32([3, np.inf]))
    rows = np.arange(14, dtype=np.float32).reshape(7, 2)

    def walk(rows: np.ndarray) -> np.ndarray:
        policy, state, actions = RandomActions(space, 5), None, []
        for step in range(3):
            observation = {key: rows + step for key in keys} or rows + step
            action, state = policy.predict(observation, state, np.full(len(rows), step == 0))
            actions.append(action)
        return np.stack(actions)

    together = walk(rows)
    assert together.shape == (3, 7, 2)
    assert all(space.contains(action) for action in together.reshape(-1, 2))
    assert len(np.unique(together)) == together.size
    np.testing.assert_array_equal(walk(rows[2:3]), together[:, 2:3])


@pytest.mark.parametrize(("seeds", "parallel"), [([], 64), ([0], 0)])
def test_nothing_to_play_is_rejected(seeds: list[int], parallel: int) -> None:
    with pytest.raises(ValueError, match=r"seeds|parallel"):
        play(Forward(), lambda: LineEnv([]), seeds, parallel)


def slow_at(calls: set[int], clock: list[float]) -> Callable[..., Any]:
    """A policy that takes 100 ms on some calls, and 1 ms on the others, of a false clock."""
    count = 0

    def predict(observation: Any, **kwargs: Any) -> tuple[np.ndarray, Any]:
        nonlocal count
        clock[0] += 0.1 if count in calls else 0.001
        count += 1
        return np.zeros((1, 1), dtype=np.float32), None

    return predict


def test_latency_leaves_out_the_first_two_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    policy = SimpleNamespace(predict=slow_at({0, 1, 2}, clock))
    p50, p95, p99 = measure_latency(policy, lambda: LineEnv([]), decisions=20)
    assert p50 == pytest.approx(1.0)
    assert 1.0 < p95 < p99 < 100.0
    policy = SimpleNamespace(predict=slow_at({0, 1}, clock))
    assert measure_latency(policy, lambda: LineEnv([]), 20) == pytest.approx((1.0, 1.0, 1.0))


def test_latency_counts_decisions_and_not_the_steps_between(tiny_agent: JEPAAgent) -> None:
    calls: list[bool] = []
    original = tiny_agent.predict

    def predict(*args: Any, **kwargs: Any) -> Any:
        action, state = original(*args, **kwargs)
        calls.append(bool(state.planned[0]))
        return action, state

    policy = SimpleNamespace(predict=predict)
    p50, p95, p99 = measure_latency(policy, tiny_agent.env_ref.make, decisions=3)
    assert sum(calls) == 3 + 2
    assert len(calls) > sum(calls)
    assert 0.0 < p50 <= p95 <= p99 < math.inf
