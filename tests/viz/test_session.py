"""The game behind the window, and the window's mouse and keys on a dummy display."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jepa_agent import JEPAAgent
from jepa_agent.envs.drawing import Window
from jepa_agent.planners import CEM, PLANNERS, Gradient, MPPIConfig
from jepa_agent.viz.plan_view import SIZE, draw, places
from jepa_agent.viz.session import Session
from jepa_agent.viz.window import Player

FIXED = {"layout": "fixed", "terminate_on_success": False}


@pytest.fixture
def session() -> Iterator[Any]:
    """The shipped agent on the fixed layout: wall 32, door 18."""
    session = Session(JEPAAgent.load("default"), 3, **FIXED)
    yield session
    session.close()


def walk(session: Any, steps: int = 100) -> None:
    """Until the goal is reached."""
    for _ in range(steps):
        session.step(wait=True)
        if session.reached_at:
            return


def test_the_agent_walks_to_goals_that_are_set(session: Any) -> None:
    walk(session)
    assert session.reached_at == session.steps
    session.move("goal", np.float32([50, 50]))
    assert session.reached_at is None
    np.testing.assert_array_equal(session.info["goal"], [50, 50])
    walk(session)
    assert session.reached_at
    assert np.linalg.norm(session.info["position"] - [50, 50]) <= 4.5
    assert len(session.energy) == len(session.milliseconds) >= 2
    assert session.energy[-1] < max(session.energy)


def test_actions_that_change_within_a_chunk_are_played_in_turn(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    played: list[np.ndarray] = []
    step = session.env.step

    def noted(action: np.ndarray) -> Any:
        played.append(action)
        return step(action)

    monkeypatch.setattr(session.env, "step", noted)
    session.agent.planner = MPPIConfig(horizon=2, knots=2).build()
    for _ in range(10):
        session.step(wait=True)
    np.testing.assert_array_equal(played[8:], session._state.actions[0])
    assert np.abs(np.diff(played, axis=0)).max(axis=1).min() > 0
    assert session.view().plan.shape == (3, 2)


def test_planning_never_blocks_the_game(
    session: Any, monkeypatch: pytest.MonkeyPatch, wait_until: Callable[..., None]
) -> None:
    act = session.agent.act

    def slow(*arguments: Any) -> Any:
        time.sleep(0.3)
        return act(*arguments)

    monkeypatch.setattr(session.agent, "act", slow)
    began = time.perf_counter()
    assert not session.step()
    session.view()
    assert time.perf_counter() - began < 0.2
    wait_until(session.step)
    assert session.steps == 1


def test_a_plan_for_a_world_that_changed_is_dropped(session: Any) -> None:
    session.step()  # planning begins
    session.move("wall", np.float32([40, 9]))
    session.move("goal", np.float32([50, 50]))
    session.step(wait=True)
    assert session.info["wall_x"] == 40
    assert len(session.energy) == 1


def test_what_is_dragged_into_walls_gives_way(session: Any) -> None:
    session.move("goal", np.float32([32, 50]))  # in the wall
    assert "nearest free point" in session.view().message
    assert session.world.is_free(session.info["goal"], session.world.layout)
    assert abs(session.info["goal"][1] - 50) < 1
    session.move("agent", np.float32([-20, 90]))
    assert session.world.is_free(session.info["position"], session.world.layout)
    session.move("wall", session.info["position"])
    assert session.world.is_free(session.info["position"], session.world.layout)
    session.move("wall", np.float32([-9, 9]))
    session.move("door", np.float32([9, 999]))
    assert session.info["wall_x"] == 11
    assert session.info["door_y"] == 56
    assert session.step(wait=True)


def test_every_planner_can_be_chosen(session: Any) -> None:
    session.step(wait=True)
    session.choose_planner(list(PLANNERS).index("cem"))
    assert isinstance(session.agent.planner, CEM)
    session.step(wait=True)
    session.choose_planner(list(PLANNERS).index("gradient"))
    assert isinstance(session.agent.planner, Gradient)
    assert "gradient" in session.view().message
    assert "Gradient" in session.view().caption
    session.step(wait=True)
    assert len(session.energy) == 3  # a plan by each


def test_the_ghost_follows_by_imagination_alone(session: Any) -> None:
    session.show_ghost = True
    for _ in range(16):
        session.step(wait=True)
    ghost = session.view().ghost
    assert len(ghost) == 8  # the start and seven chunks
    np.testing.assert_array_equal(ghost[0], session.trail[0])
    for chunk in (1, 2):
        assert np.linalg.norm(ghost[chunk] - session.trail[2 * chunk]) < 4


def test_without_a_probe_all_works_but_pictures_of_imagination(without_probe: JEPAAgent) -> None:
    session = Session(without_probe, 3, **FIXED)
    assert "no probe" in session.view().message
    session.show_ghost, session.fields = True, "learned and true"
    walk(session)
    assert session.reached_at
    view = session.view(wait=True)
    assert view.plan is view.candidates is None
    assert len(view.ghost) == 1
    assert view.field is not None
    assert len(view.energy) >= 2
    draw(view)
    session.close()


def test_fields_follow_the_world(session: Any) -> None:
    assert session.view(wait=True).field is None
    session.fields = "learned and true"
    first = session.view(wait=True)
    assert first.field.shape == first.truth.shape
    assert np.abs(first.field.astype(int) - first.truth).mean() < 25
    session.move("door", np.float32([9, 50]))
    second = session.view(wait=True)
    assert (second.truth != first.truth).any()
    assert (second.field != first.field).any()
    session.fields = "learned"
    assert session.view(wait=True).truth is None


def test_a_new_episode_is_the_next_seed(session: Any) -> None:
    start = session.info["position"]
    session.step(wait=True)
    session.new_episode()
    assert session.seed == 4
    assert (session.info["position"] != start).any()
    assert session.steps == 0
    assert len(session.energy) == 0


@pytest.fixture
def player(session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    player = Player(session, Window("test", 60, SIZE))
    yield player
    player._window.close()


def mouse(player: Any, kind: str, x: float, y: float) -> None:
    """The left button at a place of the world."""
    import pygame

    side = places(SIZE).room
    place = (round((x + 0.5) * side / 65), round((y + 0.5) * side / 65))
    button = {"button": 1} if kind != "MOUSEMOTION" else {"buttons": (1, 0, 0)}
    player._handle(pygame.event.Event(getattr(pygame, kind), pos=place, **button))


def drag(player: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    mouse(player, "MOUSEBUTTONDOWN", *start)
    mouse(player, "MOUSEMOTION", *end)
    mouse(player, "MOUSEBUTTONUP", *end)


def test_the_mouse_sets_goals_and_drags_agent_wall_and_door(player: Any, session: Any) -> None:
    drag(player, (12, 50), (20, 30))  # nothing there: a click is a goal where it began
    np.testing.assert_allclose(session.info["goal"], [12, 50], atol=0.2)
    drag(player, tuple(session.info["position"]), (20, 30))
    np.testing.assert_allclose(session.info["position"], [20, 30], atol=0.2)
    drag(player, (32, 50), (40, 50))
    assert (session.info["wall_x"], session.info["door_y"]) == (40, 18)
    drag(player, (40, 18), (40, 30))
    assert (session.info["wall_x"], session.info["door_y"]) == (40, 30)
    mouse(player, "MOUSEBUTTONDOWN", 40, 50)
    mouse(player, "MOUSEBUTTONUP", 40, 50)  # a click on the wall, not a drag
    assert session.info["wall_x"] == 40
    assert 1 < abs(session.info["goal"][0] - 40) < 5
    before = session.info["goal"]
    mouse(player, "MOUSEBUTTONDOWN", 80, 20)  # beside the world
    np.testing.assert_array_equal(session.info["goal"], before)


def test_keys(player: Any, session: Any, tmp_path: Path) -> None:
    assert session.show_candidates
    for key in "tgh ":
        player._press(key)
    assert (session.show_candidates, session.show_ghost, session.show_help) == (False, True, True)
    assert session.paused
    player._press(".")
    assert session.steps == 1
    player._press("e")
    assert session.fields == "learned"
    player._press("1")
    assert isinstance(session.agent.planner, CEM)
    player._press("s")
    player._press("v")
    for _ in range(3):
        player._press(".")
    player._press("v")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan-1.gif", "plan-1.png"]
    player._press("r")
    assert session.seed == 4
    for key in ("", "z", "7"):
        player._press(key)


def test_a_window_closed_in_mid_plan_leaves_cleanly(
    player: Any, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pygame

    act = session.agent.act

    def leaving(*arguments: Any) -> Any:
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        time.sleep(0.2)
        return act(*arguments)

    monkeypatch.setattr(session.agent, "act", leaving)
    assert player.run() == []


def test_an_untouched_window_closes_after_its_episodes(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jepa_agent.viz.window.STEPS_A_SECOND", 10_000)
    assert Player(session, Window("test", 10_000, SIZE), 2).run() == [True, True]
