"""Watch the agent plan, and poke it.

python scripts/plan.py --render              a window; h shows its keys
python scripts/plan.py --video plan.gif      the same pictures in a file (.gif or .mp4)
"""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..envs.drawing import Window, from_screen, has_display, to_array
from ..envs.physics import WALL_HALF_THICKNESS
from ..viz.plan_view import SIZE, View, draw, places, same
from ..viz.session import FIELDS, Session, load
from ..viz.session import KEYS as PLANNER_KEYS
from ..viz.videos import VideoWriter

STEPS_A_SECOND = 15
FRAMES_A_SECOND = 60
STEPS = 200
STEPS_AFTER_SUCCESS = 8
KEYS = (
    f"click goal   drag agent, wall, door   1-{PLANNER_KEYS[-1]} planner   space pause   . step   "
    "r new   e energy   t candidates   g ghost   s picture   v video   h help"
)
NEAR = 3.0
"""Pixels of the observation within which the mouse takes hold of something."""


@dataclass(frozen=True)
class Args:
    """What to play and how to show it."""

    checkpoint: str = "default"
    """A folder that scripts/train.py wrote, or "default"."""
    layout: Literal["fixed", "random", "train", "test", "ood"] | None = None
    """Layouts; by default those that it was trained for, and test layouts, which it never saw, if
    those were the train layouts."""
    episodes: int | None = None
    """By default 5 into a file, and as many as you watch in a window, which stays open if you have
    touched anything."""
    seed: int = 0
    """Episode i is played with seed + i."""
    render: bool = False
    """Open a window."""
    video: Path | None = None
    """Write a .gif or .mp4 file instead."""
    field: Literal["off", "learned", "learned and true"] = "off"
    """The energy field: how far the goal is from everywhere, as learned and in truth."""
    ghost: bool = False
    """Show where the agent would be by imagination alone."""


def main(args: Args) -> None:
    if (args.episodes is not None and args.episodes < 1) or args.seed < 0:
        raise ValueError(
            "--episodes must be >= 1 and --seed >= 0, got "
            f"{args.episodes} and {args.seed}; change them"
        )
    agent = load(args.checkpoint)
    trained_on = agent.env_ref.kwargs.get("layout", "random")
    layout = args.layout or {"train": "test"}.get(trained_on, trained_on)
    video = args.video
    if video is None and not (args.render and has_display()):
        video = Path("plan.gif")
        reason = "no display to open a window on" if args.render else "neither --render nor --video"
        print(f"{reason}: writing {video} instead")
    session = Session(agent, layout, args.seed)
    session.fields, session.show_ghost = args.field, args.ghost
    with contextlib.closing(session):
        if video:
            outcomes = record(session, args.episodes or 5, video)
        else:
            window = Window("jepa-agent", FRAMES_A_SECOND, SIZE)
            outcomes = Player(session, window, args.episodes).run()
    where = f"; see {video}" if video else ""
    print(f"{sum(outcomes)} of {len(outcomes)} goals reached{where}")


def record(session: Session, episodes: int, path: Path) -> list[bool]:
    """Play episodes into a video: which of them reached their goal."""
    outcomes = []
    with VideoWriter(path, STEPS_A_SECOND) as writer:
        for episode in range(episodes):
            if episode:
                session.new_episode()
            while not over(session):
                session.step(wait=True)
                writer.add(to_array(draw(session.view(wait=True))))
            outcomes.append(report(session))
    return outcomes


def over(session: Session) -> bool:
    """Whether an episode that nobody has touched has ended."""
    reached = session.reached_at
    return session.steps >= STEPS or (
        reached is not None and session.steps >= reached + STEPS_AFTER_SUCCESS
    )


def report(session: Session) -> bool:
    """Print how the episode went; whether the goal was reached."""
    reached = session.reached_at
    outcome = f"reached in {reached} steps" if reached else f"not reached in {STEPS} steps"
    print(f"seed {session.seed}: {outcome}, {np.median(session.milliseconds):.0f} ms per decision")
    return reached is not None


class Player:
    """The window: shows a session and lets the user into it.

    Args:
        session: the game.
        window: where it is shown; it is closed in the end.
        episodes: after how many the window closes, if nobody has touched it; None for never.
    """

    def __init__(self, session: Session, window: Window, episodes: int | None = None) -> None:
        self._session, self._window, self._episodes = session, window, episodes
        self._held: str | None = None
        self._moved = False
        self._writer: VideoWriter | None = None
        self._film_to = Path()
        self._filming = contextlib.ExitStack()
        self._outcomes: list[bool] = []
        self._shown: View | None = None
        self._drawn: Any = None

    def run(self) -> list[bool]:
        """Until the user leaves, or all episodes are over: which of them reached their goal."""
        session, due = self._session, 0.0
        try:
            while self._window.show(self._picture()):
                for event in self._window.events:
                    self._handle(event)
                now = time.monotonic()
                if not session.paused and now >= due and session.step():
                    due = max(due + 1 / STEPS_A_SECOND, now)
                    self._film()
                if not session.touched and over(session):
                    self._outcomes.append(report(session))
                    if len(self._outcomes) == self._episodes:
                        return self._outcomes
                    session.new_episode()
            print("window closed")
            return self._outcomes
        finally:
            self._stop_filming()
            self._window.close()

    def _picture(self) -> Any:
        """What there is to see, drawn anew only if it has changed."""
        view, size = replace(self._session.view(), keys=KEYS), self._window.size
        if self._shown is None or not same(view, self._shown) or size != self._drawn.get_size():
            self._shown, self._drawn = view, draw(view, size)
        return self._drawn

    def _handle(self, event: Any) -> None:
        """One thing that the user did."""
        import pygame

        if event.type == pygame.KEYDOWN:
            self._press(event.unicode)
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self._grasp(event.pos)
        elif event.type == pygame.MOUSEMOTION and self._held:
            self._drag(self._held, self._point(event.pos))
        elif event.type == pygame.MOUSEBUTTONUP and event.button == 1:
            if self._held in ("wall", "door") and not self._moved:
                self._session.set_goal(self._point(event.pos))
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
        """Take hold of what is under the mouse; where there is nothing, put the goal."""
        point, info = self._point(place), self._session.info
        self._held, self._moved = None, False
        if max(place) >= places(self._window.size).room:
            return
        if np.linalg.norm(point - info["position"]) <= NEAR:
            self._held = "agent"
        elif abs(point[0] - info["wall_x"]) <= WALL_HALF_THICKNESS + 1:
            in_door = abs(point[1] - info["door_y"]) <= info["door_halfwidth"]
            self._held = "door" if in_door else "wall"
        else:
            self._session.set_goal(point)

    def _drag(self, held: str, point: np.ndarray) -> None:
        session, self._moved = self._session, True
        if held == "agent":
            session.move_agent(point)
        elif held == "wall":
            session.move_wall(point[0])
        else:
            session.move_door(point[1])

    def _point(self, place: tuple[int, int]) -> np.ndarray:
        """Where in the world a place in the window is."""
        return from_screen(np.array(place, dtype=np.float32), places(self._window.size).room)

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
