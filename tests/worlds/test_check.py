from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import jepa_agent  # noqa: F401  registers the environments
from jepa_agent import EnvRef
from jepa_agent.worlds import check as checking
from jepa_agent.worlds import protocols
from jepa_agent.worlds.check import FRESH, WorldReport, check
from jepa_agent.worlds.contract import PROTOCOLS
from jepa_agent.worlds.reference import rendered


def by_name(report: WorldReport) -> dict[str, Any]:
    return {each.what: each for each in (*report.required, *report.offers, *report.works)}


def test_two_rooms_offers_all_that_its_figures_need() -> None:
    report = check(EnvRef("TwoRooms-v0", {}))
    assert report.is_usable
    assert all(each.is_there for each in report.works)
    found = by_name(report)
    assert found["observation"].found == "image (65, 65, 3) of uint8"
    assert found["goal"].found == "desired_goal (65, 65, 3)"
    assert found["time limit"].found == "200"
    assert all(found[name].is_there for name in ("RendersStates", "HasMap", "Movable"))


def test_pendulum_lacks_goals_and_success_and_is_told_how_to_add_them() -> None:
    found = by_name(check(EnvRef("Pendulum-v1", {})))
    assert (found["goal"].is_there, found["success"].is_there) == (False, False)
    assert "--goal" in found["goal"].advice
    assert "--success package.module:function" in found["success"].advice
    agent = "--checkpoint runs/vector --goal NUMBERS"
    assert found["collect"].advice.endswith("--env Pendulum-v1")
    assert found["train"].advice == "jepa-agent train vector --data data.h5"
    assert found["plan"].advice == f"jepa-agent plan {agent}"
    assert found["evaluate"].advice == f"jepa-agent evaluate {agent} --success MODULE:FUNCTION"
    assert found["shortest-path figures"].advice == "needs: HasMap, HasLayout"
    assert found["pictures"].found == "frames (500, 500, 3)"


class Bad(gym.Env):
    """Can be told to do one thing wrong."""

    metadata = {"render_modes": []}  # noqa: RUF012
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong
        if wrong == "build":
            raise RuntimeError("no engine")
        if wrong == "assert":
            raise AssertionError
        shape = (2, 2) if wrong == "space" else (2,)
        self.observation_space = gym.spaces.Box(-1, 1, shape, np.float32)
        if wrong == "action":
            self.action_space = gym.spaces.Text(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        rng = np.random if self.wrong == "seed" else self.np_random
        return rng.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        if self.wrong == "step":
            raise KeyError("door")
        seen = np.zeros(3 if self.wrong == "shape" else 2, np.float32)
        return seen, 0.0, False, False, {}


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], WorldReport]:
    """The report of a world with a fault, unless it is that no other process knows it."""

    def report(wrong: str) -> WorldReport:
        gym.registry.pop("Bad-v0", None)
        gym.register("Bad-v0", Bad, disable_env_checker=True)
        monkeypatch.setattr(checking, "_fresh", lambda ref: "yes")
        return check(EnvRef("Bad-v0", {"wrong": wrong}))

    return report


@pytest.mark.parametrize(
    ("wrong", "what", "message"),
    [
        ("build", "builds", "RuntimeError: no engine"),
        ("assert", "builds", "AssertionError: raise AssertionError (line"),
        ("space", "observation", r"observations must be vectors"),
        ("action", "actions", "the action space must be"),
        ("step", "steps", "KeyError: 'door'"),
        ("shape", "steps", "it must show observations of its space"),
    ],
)
def test_what_is_required_and_missing_is_named_with_its_reason(
    bad: Callable, wrong: str, what: str, message: str
) -> None:
    report = bad(wrong)
    assert not report.is_usable
    assert not report.works
    is_first = wrong in ("space", "action")
    last = by_name(report)[what] if is_first else report.required[-1]
    assert last.what == what
    assert last.found.startswith(message)
    assert last.advice


def test_what_is_optional_and_missing_keeps_nothing_from_training(bad: Callable) -> None:
    report = bad("seed")
    found = by_name(report)
    assert report.is_usable
    assert found["reproducible"].found == "reset(seed=...) gives other episodes every time"
    assert by_name(bad(""))["reproducible"].is_there
    assert not found["pictures"].is_there
    assert found["plan"].advice == "needs: time limit"
    assert found["train"].is_there


def test_commands_fit_images_and_discrete_actions() -> None:
    found = by_name(check(EnvRef("CartPole-v1", {"sutton_barto_reward": True}, 1, (rendered(32),))))
    assert found["collect"].advice.endswith("--env CartPole-v1 and the options given here")
    wanted = "jepa-agent train pixels --data data.h5 --planner categorical-cem"
    assert found["train"].advice == wanted
    assert found["plan"].advice == "jepa-agent plan --checkpoint runs/pixels --goal-state NUMBERS"


class Timed(Bad):
    """Is cut after 40 steps, and may end before."""

    ends = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        self.steps = 0
        return super().reset(seed=seed)

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        self.steps += 1
        ended = self.steps == self.ends
        return *super().step(action)[:2], ended, self.steps == 40, {}


def test_a_world_may_have_a_time_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    gym.register("Timed-v0", Timed)
    monkeypatch.setattr(checking, "_fresh", lambda ref: "yes")
    found = by_name(check(EnvRef("Timed-v0", {})))
    assert found["time limit"].found == "its own, here after 40 steps"
    assert found["plan"].is_there


def test_an_episode_that_ends_tells_no_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_fresh", lambda ref: "yes")
    monkeypatch.setattr(Timed, "ends", 7)
    monkeypatch.setattr(checking, "LONGEST", 50)
    found = by_name(check(EnvRef("Timed-v0", {})))
    assert found["time limit"].found == "episodes that end, here after 7 steps"
    assert found["plan"].is_there


def test_a_world_that_no_other_process_can_build_does_not_train() -> None:
    gym.registry.pop("Bad-v0", None)
    gym.register("Bad-v0", Bad)
    found = by_name(check(EnvRef("Bad-v0", {"wrong": ""})))
    assert "Bad" in found[FRESH].found
    assert found["train"].advice == f"needs: {FRESH}"


def test_every_protocol_is_looked_for_and_documented() -> None:
    known = {
        kind
        for kind in vars(protocols).values()
        if inspect.isclass(kind) and kind.__module__ == protocols.__name__
    }
    assert set(PROTOCOLS) == known
    page = (Path(__file__).parents[2] / "docs" / "your-world.md").read_text()
    for kind in known:
        assert f"`{kind.__name__}`" in page
