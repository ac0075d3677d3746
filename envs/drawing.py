"""Points among walls for human eyes: a smooth scene at any size, and a window.

pygame is imported lazily.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .physics import HIGH, LOW
from .rendering import IMAGE_SIZE

PICTURE_SIZE = 8 * IMAGE_SIZE
"""Screen pixels of a picture's side, unless another size is asked for."""
SMOOTHING = 2
"""Scenes are drawn this much larger and scaled down, which smooths their edges."""

# Okabe and Ito's palette, safe for colour-blind eyes.
WALL = (38, 43, 51)
FLOOR = (247, 246, 242)
AGENT = (213, 94, 0)
GOAL = (0, 158, 115)
DANGER = (235, 190, 180)


def _pygame() -> Any:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    return pygame


def to_screen(states: Any, size: float = PICTURE_SIZE) -> Any:
    """Where in a picture points (..., 2) in observation pixels are, whose centres are whole."""
    return (states + 0.5) * (size / IMAGE_SIZE)


def from_screen(points: Any, size: float = PICTURE_SIZE) -> Any:
    """The inverse of `to_screen`."""
    return points * (IMAGE_SIZE / size) - 0.5


def scene(
    position: np.ndarray,
    goal: np.ndarray,
    walls: np.ndarray,
    success_radius: float,
    size: int = PICTURE_SIZE,
    floor: np.ndarray | None = None,
    dangers: np.ndarray | None = None,
) -> Any:
    """Draw the walls, the goal's disc and the agent.

    Args:
        position, goal: (2,) observation pixels.
        walls: (W, 4) boxes of walls, in observation pixels: low x, low y, high x, high y.
        success_radius: radius of the goal's disc in observation pixels.
        size: screen pixels of the picture's side.
        floor: uint8 (height, width, 3), a picture of the space between the borders, walls included.
        dangers: (W, 4) boxes of what ends an episode, drawn below the walls.

    Returns:
        A pygame surface of size x size.
    """
    pygame = _pygame()
    whole = SMOOTHING * size
    fine = whole / IMAGE_SIZE
    surface = pygame.Surface((whole, whole))

    def box(x0: float, y0: float, x1: float, y1: float) -> Any:
        left, top = to_screen(np.array([x0, y0]), whole)
        right, bottom = to_screen(np.array([x1, y1]), whole)
        return pygame.Rect(round(left), round(top), round(right - left), round(bottom - top))

    room = box(LOW, LOW, HIGH, HIGH)
    surface.fill(WALL)
    surface.fill(FLOOR, room)
    if floor is not None:
        surface.blit(pygame.transform.smoothscale(from_array(floor), room.size), room.topleft)
    for danger in [] if dangers is None else dangers.tolist():
        surface.fill(DANGER, box(*danger))
    for wall in walls.tolist():
        surface.fill(WALL, box(*wall))
    agent, target = to_screen(position, whole).tolist(), to_screen(goal, whole).tolist()
    radius = success_radius * fine
    disc = pygame.Surface((2 * radius, 2 * radius), pygame.SRCALPHA)
    pygame.draw.circle(disc, (*GOAL, 60), (radius, radius), radius)
    surface.blit(disc, (target[0] - radius, target[1] - radius))
    pygame.draw.circle(surface, GOAL, target, radius, max(1, round(fine / 4)))
    pygame.draw.circle(surface, GOAL, target, 0.7 * fine)
    pygame.draw.circle(surface, AGENT, agent, 1.3 * fine)
    return pygame.transform.smoothscale(surface, (size, size))


def to_array(surface: Any) -> np.ndarray:
    """A surface as uint8 (height, width, 3)."""
    return _pygame().surfarray.array3d(surface).swapaxes(0, 1).copy()


def from_array(frame: np.ndarray) -> Any:
    """A uint8 frame (height, width, 3) as a surface."""
    return _pygame().surfarray.make_surface(frame.swapaxes(0, 1))


def has_display() -> bool:
    """Whether a window can be opened."""
    pygame = _pygame()
    try:
        pygame.display.init()
    except pygame.error:
        return False
    return pygame.display.get_driver() not in ("dummy", "offscreen")


class Window:
    """A pygame window that shows surfaces.

    Args:
        title: the window's title.
        fps: at most this many frames a second.
        size: of a window that the user may resize; by default it has the size of what it shows.

    Raises:
        RuntimeError: if no window can be opened.
    """

    def __init__(self, title: str, fps: int, size: tuple[int, int] | None = None) -> None:
        self._pygame = _pygame()
        self._title, self._fps = title, fps
        self._screen: Any = None
        self.events: list[Any] = []
        """The user's events until the last `show`."""
        try:
            self._pygame.display.init()
        except self._pygame.error as error:
            raise RuntimeError(
                f"a window needs a display, got {error}; use render_mode='rgb_array' or set "
                "SDL_VIDEODRIVER=dummy"
            ) from None
        if size is not None:
            self._open(size, self._pygame.RESIZABLE)
        self._clock = self._pygame.time.Clock()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self._screen.get_size()

    def show(self, surface: Any) -> bool:
        """Show a surface; returns False once the user has closed the window or pressed escape."""
        pygame = self._pygame
        if pygame.display.get_surface() is None:  # another window was closed, and the display too
            pygame.display.init()
            self._screen = None
        resizable = self._screen is not None and self._screen.get_flags() & pygame.RESIZABLE
        if self._screen is None or not (resizable or self.size == surface.get_size()):
            self._open(surface.get_size(), 0)
        self._screen.blit(surface, (0, 0))
        pygame.display.flip()
        self._clock.tick(self._fps)
        self.events = pygame.event.get()
        return not any(
            event.type == pygame.QUIT
            or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE)
            for event in self.events
        )

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()

    def _open(self, size: tuple[int, int], flags: int) -> None:
        self._screen = self._pygame.display.set_mode(size, flags)
        self._pygame.display.set_caption(self._title)
