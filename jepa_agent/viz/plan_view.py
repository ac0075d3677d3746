"""Pictures of planning: one function draws them, for the window and for videos without a display.

The world under the drawing is any environment with `scene(size, floor)` and `state_to_screen`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

# Okabe and Ito's palette, safe for colour-blind eyes.
PLAN = (0, 114, 178)
CANDIDATE = (86, 180, 233)
TRAIL = (213, 94, 0)
GHOST = (204, 121, 167)
HEAD = (0, 158, 115)
WAY = (90, 90, 90)
PANEL = (38, 43, 51)
TEXT = (240, 240, 240)
DIM = (150, 158, 168)
CIVIDIS = (
    (254, 232, 56), (225, 204, 85), (195, 179, 105), (165, 156, 116), (138, 134, 120),
    (112, 113, 115), (87, 93, 109), (59, 73, 108), (18, 53, 112), (0, 34, 78),
)  # fmt: skip
"""From near to far: the map of Nunez, Anderton and Renslow (1712.01662)."""
PALE = 0.3
"""Share of white in distance maps, so that plans stay readable on them."""
FAR = 9.0
"""Distance in chunks from which on the last colour is used."""
SIZE = (840, 580)
"""Default size of a picture of planning, in pixels."""


@dataclass(frozen=True)
class View:
    """The contents of a picture, without None and empty fields. Arrays are replaced, not changed.

    Args:
        world: draws itself: `scene(size, floor)` and `state_to_screen(states, size)`.
        caption: a line about the current state, below the world.
        keys: a line about the keys, below the caption.
        message: a notice, in the world.
        help: lines over everything, of key, tab and text.
        plan: states (P, S) of the plan in execution.
        candidates: states (N, P, S) of others, from best to worst; they fade in that order.
        heads: states (heads, P, S) that each head of the predictor imagines under the plan.
        way: places (N, 2) of the way to the goal that the distance computes, as shares of the
            picture.
        trail: states (P, S) walked so far.
        ghost: states (P, S) imagined from the start on, without further observations.
        field: uint8 (height, width, 3), a picture of the learned distance to the goal, for the
            floor.
        truth: a picture of the true distance, for the panel.
        energy: tuple of the learned distance to the goal at every decision.
        milliseconds: tuple of the duration of every decision.
    """

    world: Any
    caption: str = ""
    keys: str = ""
    message: str = ""
    help: tuple[str, ...] = ()
    plan: np.ndarray | None = None
    candidates: np.ndarray | None = None
    heads: np.ndarray | None = None
    way: np.ndarray | None = None
    trail: np.ndarray | None = None
    ghost: np.ndarray | None = None
    field: np.ndarray | None = None
    truth: np.ndarray | None = None
    energy: tuple[float, ...] = ()
    milliseconds: tuple[float, ...] = ()


def same(first: View, second: View) -> bool:
    """Whether two views show the same, given that arrays are replaced and never changed."""
    pairs = ((getattr(first, part.name), getattr(second, part.name)) for part in fields(View))
    return all(a is b or (isinstance(a, str | tuple) and a == b) for a, b in pairs)


class Places(NamedTuple):
    """Positions and sizes in a picture, in pixels."""

    room: int
    """Side of the square in the top left corner that shows the world."""
    panel: int
    """Width of the panel at the right, 0 where there is no room for one."""
    bar: int
    """Height of the two lines at the bottom."""
    letter: int
    """Size of the letters."""


def places(size: tuple[int, int]) -> Places:
    """The layout of a picture of this size."""
    width, height = size
    letter = int(np.clip(height / 40, 7, 22))
    bar = min(4 * letter, height - 1)
    room = max(1, min(width, height - bar))
    panel = width - room if width - room >= 12 * letter else 0
    return Places(room, panel, bar, letter)


def draw(view: View, size: tuple[int, int] = SIZE) -> Any:
    """Draw a view as a pygame surface of a size (width, height)."""
    import pygame

    spot = places(size)
    surface = pygame.Surface(size)
    surface.fill(PANEL)
    surface.blit(view.world.scene(spot.room, view.field), (0, 0))
    _draw_paths(surface, view, spot)
    if spot.panel:
        _draw_panel(surface, view, spot)
    for row, (line, colour) in enumerate(((view.caption, TEXT), (view.keys, DIM))):
        top = size[1] - spot.bar + int((0.5 + 1.7 * row) * spot.letter)
        _write(surface, line, (spot.letter, top), spot.letter, colour, size[0] - 2 * spot.letter)
    if view.help:
        _draw_boxed(surface, view.help, spot, top=spot.letter)
    if view.message:
        _draw_boxed(surface, [view.message], spot, top=spot.room - 4 * spot.letter)
    return surface


def field_picture(field: np.ndarray, size: int = 880) -> np.ndarray:
    """A smooth colour map of distances, with a line at every whole number of chunks.

    Args:
        field: (G, G) distances in chunks, rows down.
        size: pixels of the picture's side.

    Returns:
        uint8 (size, size, 3).
    """
    import torch

    grid = torch.as_tensor(np.asarray(field, dtype=np.float32))[None, None]
    fine = torch.nn.functional.interpolate(grid, (size, size), mode="bicubic")[0, 0].numpy()
    colours = np.array(CIVIDIS, dtype=np.float32)
    place = np.clip(fine / FAR, 0, 1) * (len(colours) - 1)
    marks = np.arange(len(colours))
    picture = np.stack([np.interp(place, marks, channel) for channel in colours.T], axis=-1)
    picture = (1 - PALE) * picture + PALE * 255
    whole = np.floor(np.maximum(fine, 0))
    line = np.zeros(fine.shape, dtype=bool)
    line[1:] |= whole[1:] != whole[:-1]
    line[:, 1:] |= whole[:, 1:] != whole[:, :-1]
    picture[line] = 0.65 * picture[line] + 0.35 * np.array(PANEL)
    return picture.astype(np.uint8)


def _draw_paths(surface: Any, view: View, spot: Places) -> None:
    import pygame

    side = spot.room
    thick = max(1, side // 130)

    def lines(target: Any, states: np.ndarray, colour: tuple[int, ...], width: int) -> None:
        points = view.world.state_to_screen(states, side).tolist()
        if len(points) > 1:
            pygame.draw.lines(target, colour, False, points, width)

    if view.candidates is not None:
        layer = pygame.Surface((side, side), pygame.SRCALPHA)
        for rank in reversed(range(len(view.candidates))):
            alpha = int(200 * (1 - rank / len(view.candidates)) ** 2) + 25
            lines(layer, view.candidates[rank], (*CANDIDATE, alpha), max(1, thick // 2))
        surface.blit(layer, (0, 0))
    for place in [] if view.way is None else view.way:
        pygame.draw.circle(surface, WAY, (side * place).tolist(), 0.8 * thick)
    if view.trail is not None:
        lines(surface, view.trail, TRAIL, max(1, 3 * thick // 4))
    for path in [] if view.heads is None else view.heads:
        lines(surface, path, HEAD, max(1, thick // 2))
        end = view.world.state_to_screen(path[-1], side).tolist()
        pygame.draw.circle(surface, HEAD, end, thick)
    for path, colour in ((view.ghost, GHOST), (view.plan, PLAN)):
        if path is not None:
            lines(surface, path, colour, thick)
            for point in view.world.state_to_screen(path[1:], side).tolist():
                pygame.draw.circle(surface, colour, point, 1.5 * thick)


def _draw_panel(surface: Any, view: View, spot: Places) -> None:
    """From top to bottom: the true distances, the learned distance and the latency over time."""
    margin = spot.letter
    left, width = spot.room + margin, spot.panel - 2 * margin
    top = margin
    if view.truth is not None:
        side = min(width, spot.room // 2)
        _write(surface, "true distance", (left, top), spot.letter, TEXT, width)
        top += int(1.6 * spot.letter)
        surface.blit(view.world.scene(side, view.truth), (left, top))
        top += side + margin
    height = (spot.room - top) // 2 - margin
    charts = (("distance, chunks", view.energy, PLAN), ("decision, ms", view.milliseconds, TRAIL))
    for title, values, colour in charts:
        _draw_chart(surface, title, values, colour, (left, top, width, height), spot.letter)
        top += height + margin


def _draw_chart(
    surface: Any,
    title: str,
    values: Sequence[float],
    colour: tuple[int, int, int],
    box: tuple[int, int, int, int],
    letter: int,
) -> None:
    import pygame

    left, top, width, height = box
    if height < 4 * letter:
        return
    now = f"{values[-1]:.1f}" if values else ""
    _write(surface, f"{title}  {now}", (left, top), letter, TEXT, width)
    top, height = top + int(1.6 * letter), height - int(1.6 * letter)
    pygame.draw.rect(surface, DIM, (left, top, width, height), 1)
    if len(values) < 2:
        return
    highest = max(*values, 1e-9)
    label = max(7, letter - 3)
    _write(surface, f"{highest:.1f}", (left + 3, top + 3), label, DIM, width)
    across = np.linspace(left + 2, left + width - 3, len(values))
    down = top + height - 3 - (height - label - 9) * np.asarray(values) / highest
    pygame.draw.lines(surface, colour, False, np.stack([across, down], axis=-1).tolist(), 2)


def _draw_boxed(surface: Any, lines: Sequence[str], spot: Places, top: int) -> None:
    """Lines on a dark box in the world's square."""
    import pygame

    step = int(1.7 * spot.letter)
    left, width = spot.letter, spot.room - 2 * spot.letter
    box = pygame.Surface((max(1, width), step * len(lines) + spot.letter), pygame.SRCALPHA)
    box.fill((*PANEL, 235))
    for row, line in enumerate(lines):
        for column, part in enumerate(line.split("\t")):
            at = (spot.letter * (1 + 8 * column), spot.letter // 2 + row * step)
            _write(box, part, at, spot.letter, TEXT, width - at[0] - spot.letter)
    surface.blit(box, (left, top))


def _write(
    surface: Any,
    text: str,
    at: tuple[int, int],
    letter: int,
    colour: tuple[int, int, int],
    width: int,
) -> None:
    """A line of text, in smaller letters where it would be wider than `width`."""
    import pygame.freetype

    if not text or width < letter:
        return
    if not pygame.freetype.get_init():
        pygame.freetype.init()
    font = pygame.freetype.Font(None, letter)
    needed = font.get_rect(text).width
    if needed > width:
        font = pygame.freetype.Font(None, max(5, int(letter * width / needed)))
    font.origin = True  # on the line, whatever letters there are
    font.render_to(surface, (at[0], at[1] + int(0.8 * letter)), text, colour)
