"""Two Rooms for human eyes: a smooth scene at any size, and a window. pygame is imported lazily."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .physics import HIGH, LOW, WALL_HALF_THICKNESS
from .rendering import IMAGE_SIZE

SCALE = 8
"""Screen pixels per pixel of the observation."""
SMOOTHING = 2
"""Scenes are drawn this much larger and scaled down, which smooths their edges."""

# Okabe and Ito's palette, safe for colour-blind eyes.
WALL = (38, 43, 51)
FLOOR = (247, 246, 242)
AGENT = (213, 94, 0)
GOAL = (0, 158, 115)


def _pygame() -> Any:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    return pygame


def to_screen(states: Any, scale: float = SCALE) -> Any:
    """Screen coordinates of points (..., 2) in observation pixels, whose centres are whole."""
    return (states + 0.5) * scale


def scene(
    position: np.ndarray,
    goal: np.ndarray,
    context: np.ndarray,
    success_radius: float,
    scale: int = SCALE,
) -> Any:
    """Draw the rooms, the goal's disc and the agent.

    Args:
        position, goal: (2,) observation pixels.
        context: (3,) wall_x, door_y, door_halfwidth.
        success_radius: radius of the goal's disc in observation pixels.
        scale: screen pixels per observation pixel.

    Returns:
        A pygame surface of 65 * scale squared.
    """
    pygame = _pygame()
    fine = scale * SMOOTHING
    surface = pygame.Surface((IMAGE_SIZE * fine, IMAGE_SIZE * fine))
    wall_x, door_y, halfwidth = (float(value) for value in context)

    def box(x0: float, y0: float, x1: float, y1: float) -> Any:
        left, top = to_screen(np.array([x0, y0]), fine)
        return pygame.Rect(left, top, (x1 - x0) * fine, (y1 - y0) * fine)

    surface.fill(WALL)
    surface.fill(FLOOR, box(LOW, LOW, HIGH, HIGH))
    wall = (wall_x - WALL_HALF_THICKNESS, wall_x + WALL_HALF_THICKNESS)
    surface.fill(WALL, box(wall[0], LOW, wall[1], HIGH))
    surface.fill(FLOOR, box(wall[0], door_y - halfwidth, wall[1], door_y + halfwidth))
    agent, target = to_screen(position, fine).tolist(), to_screen(goal, fine).tolist()
    disc = pygame.Surface(surface.get_size(), pygame.SRCALPHA)
    pygame.draw.circle(disc, (*GOAL, 60), target, success_radius * fine)
    surface.blit(disc, (0, 0))
    pygame.draw.circle(surface, GOAL, target, success_radius * fine, fine // 4)
    pygame.draw.circle(surface, GOAL, target, 0.7 * fine)
    pygame.draw.circle(surface, AGENT, agent, 1.3 * fine)
    return pygame.transform.smoothscale(surface, (IMAGE_SIZE * scale, IMAGE_SIZE * scale))


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

    Raises:
        RuntimeError: if no window can be opened.
    """

    def __init__(self, title: str, fps: int) -> None:
        self._pygame = _pygame()
        self._title, self._fps = title, fps
        self._screen: Any = None
        try:
            self._pygame.display.init()
        except self._pygame.error as error:
            raise RuntimeError(
                f"a window needs a display, got {error}; use render_mode='rgb_array' or set "
                "SDL_VIDEODRIVER=dummy"
            ) from None
        self._clock = self._pygame.time.Clock()

    def show(self, surface: Any) -> bool:
        """Show a surface; returns False once the user has closed the window or pressed escape."""
        pygame = self._pygame
        if self._screen is None or self._screen.get_size() != surface.get_size():
            self._screen = pygame.display.set_mode(surface.get_size())
            pygame.display.set_caption(self._title)
        self._screen.blit(surface, (0, 0))
        pygame.display.flip()
        self._clock.tick(self._fps)
        return not any(
            event.type == pygame.QUIT
            or (event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE)
            for event in pygame.event.get()
        )

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
