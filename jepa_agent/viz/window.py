"""The window: shows a session and lets the user into it."""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..envs.drawing import Window, to_array
from .plan_view import SIZE, View, draw, places, same
from .session import FIELDS, Session
from .session import KEYS as PLANNER_KEYS
from .videos import STEPS_A_SECOND, VideoWriter

FRAMES_A_SECOND = 60
STRIDE = 8
"""Pixels of the window between the places that a thing is dragged through."""
KEYS = (
    f"1-{PLANNER_KEYS[-1]} planner   space pause   . step   r new   e distances   t candidates   "
    "g ghost   s picture   v video   h help"
)


class Player:
    """The window: shows a session and lets the user into it.

    Args:
        session: the session to show.
        window: shows it; it is closed in the end.
        episodes: number of episodes before an untouched window closes; None for never.
    """

    def __init__(self, session: Session, window: Window, episodes: int | None = None) -> None:
        self._session, self._window, self._episodes = session, window, episodes
        drags = f"click goal   drag {', '.join(session.handles)}   " if session.handles else ""
        self._keys = drags + KEYS
        self._held: str | None = None
        self._moved = False
        self._at = np.zeros(2)
        self._writer: VideoWriter | None = None
        self._film_to = Path()
        self._filming = contextlib.ExitStack()
        self._outcomes: list[bool] = []
        self._shown: View | None = None
        self._drawn: Any = None

    def run(self) -> list[bool]:
        """Run until the user leaves or all episodes are over; returns which reached their goal."""
        session, due = self._session, 0.0
        try:
            while self._window.show(self._picture()):
                for event in self._window.events:
                    self._handle(event)
                now = time.monotonic()
                if not session.paused and now >= due and session.step():
                    due = max(due + 1 / STEPS_A_SECOND, now)
                    self._film()
                if not session.touched and session.is_over:
                    print(session.summary)
                    self._outcomes.append(session.reached_at is not None)
                    if len(self._outcomes) == self._episodes:
                        return self._outcomes
                    session.new_episode()
            print("window closed")
            return self._outcomes
        finally:
            self._stop_filming()
            self._window.close()

    def _picture(self) -> Any:
        """The current picture, drawn anew only if its view has changed."""
        view, size = replace(self._session.view(), keys=self._keys), self._window.size
        if self._shown is None or not same(view, self._shown) or size != self._drawn.get_size():
            self._shown, self._drawn = view, draw(view, size)
        return self._drawn

    def _handle(self, event: Any) -> None:
        """Handle one event of the user."""
        import pygame

        if event.type == pygame.KEYDOWN:
            self._press(event.unicode)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self._grasp(event.pos)
        elif event.type == pygame.MOUSEMOTION and self._held:
            self._drag(self._held, np.array(event.pos))
        elif event.type == pygame.MOUSEBUTTONUP and event.button == 1:
            if self._held not in (None, "agent") and not self._moved:
                self._session.move("goal", self._point(event.pos))
            self._held = None

    def _press(self, key: str) -> None:
        session = self._session
        if key and key in PLANNER_KEYS:
            session.choose_planner(int(key) - 1)
        elif key == " ":
            session.paused, session.touched = not session.paused, True
        elif key == ".":
            session.paused = session.touched = True
            session.step(wait=True)
            self._film()
        elif key == "r":
            session.new_episode()
        elif key == "e":
            session.fields = FIELDS[(FIELDS.index(session.fields) + 1) % len(FIELDS)]
        elif key == "t":
            session.show_candidates = not session.show_candidates
        elif key == "g":
            session.show_ghost = not session.show_ghost
        elif key == "h":
            session.show_help = not session.show_help
        elif key == "s":
            import imageio.v2 as imageio

            path = unused("plan", ".png")
            imageio.imwrite(path, to_array(self._picture()))
            session.say(f"saved {path}")
        elif key == "v" and self._writer is None:
            self._film_to = unused("plan", ".gif")
            writer = VideoWriter(self._film_to, STEPS_A_SECOND)
            self._writer = self._filming.enter_context(writer)
            session.say(f"recording {self._film_to}: v stops it")
        elif key == "v":
            self._stop_filming()

    def _grasp(self, place: tuple[int, int]) -> None:
        """Grab the thing under the mouse, or put the goal there if there is none."""
        self._held, self._moved, self._at = None, False, np.array(place)
        if max(place) >= places(self._window.size).room or not self._session.handles:
            return
        self._held = self._session.world.handle_at(self._point(place))
        if self._held is None:
            self._session.move("goal", self._point(place))

    def _drag(self, name: str, place: np.ndarray) -> None:
        """Move a thing along the mouse's way, so that a wall that it draws has no gaps."""
        way = place - self._at
        count = max(1, int(np.abs(way).max()) // STRIDE)
        for left in reversed(range(count)):
            self._session.move(name, self._point(place - left * way / count))
        self._at, self._moved = place, True

    def _point(self, place: tuple[int, int] | np.ndarray) -> np.ndarray:
        """The world's state at a place in the window."""
        side = places(self._window.size).room
        return self._session.world.screen_to_state(np.array(place, dtype=np.float32), side)

    def _film(self) -> None:
        if self._writer is not None:
            self._writer.add(to_array(draw(self._session.view(), SIZE)))

    def _stop_filming(self) -> None:
        if self._writer is not None:
            self._filming.close()
            self._writer = None
            self._session.say(f"saved {self._film_to}")


def unused(stem: str, suffix: str) -> Path:
    """A name that no file in this folder has."""
    names = (Path(f"{stem}-{number}{suffix}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())
