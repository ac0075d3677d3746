"""The real window, on a virtual X display."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from jepa_agent.envs.drawing import AGENT, FLOOR, GOAL, WALL
from jepa_agent.viz.plan_view import PANEL, PLAN, SIZE, places

SCRIPTS = Path(__file__).parents[2] / "scripts"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "CI" not in os.environ and not (shutil.which("Xvfb") and shutil.which("xdotool")),
        reason="needs Debian's xvfb and xdotool",
    ),
]


@pytest.fixture
def display(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a process on a fresh virtual display, its picture in tmp_path."""
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1000x700x24", "-fbdir", str(tmp_path)],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as numbers:
        number = numbers.readline().strip()
    environment = {**os.environ, "DISPLAY": f":{number}", "SDL_VIDEODRIVER": "x11"}
    yield environment
    server.terminate()
    server.wait(10)


def screenshot(folder: Path) -> np.ndarray:
    """What the virtual display shows now, uint8 (700, 1000, 3), read from its XWD file."""
    data = (folder / "Xvfb_screen0").read_bytes()
    header = struct.unpack(">25I", data[:100])
    size, width, height, stride, colours = header[0], header[4], header[5], header[12], header[19]
    pixels = np.frombuffer(data, np.uint8, stride * height, offset=size + 12 * colours)
    return pixels.reshape(height, stride // 4, 4)[:, :width, 2::-1]


def shows(folder: Path, *colours: tuple[int, int, int]) -> bool:
    """Whether every colour fills at least a hundred pixels of the display."""
    picture = screenshot(folder)
    return all((picture == colour).all(axis=-1).sum() > 100 for colour in colours)


def test_plan_opens_a_window_and_escape_closes_it(
    display: dict[str, str], tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    command = [sys.executable, str(SCRIPTS / "plan.py"), "--render", "--episodes", "50"]
    process = subprocess.Popen(
        command, env=display, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: shows(tmp_path, FLOOR, WALL, GOAL, PLAN))
        subprocess.run(["xdotool", "key", "Escape"], env=display, check=True)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "window closed" in output


class Mouse:
    """xdotool on a display, and what it does to the window of `jepa-agent plan`.

    Args:
        environment: of the display.
        folder: that holds the display's picture.
    """

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment, self._folder = environment, folder
        self._left, self._top = 0, 0

    def do(self, *words: str) -> None:
        """Run xdotool."""
        subprocess.run(["xdotool", *words], env=self._environment, check=True)

    def find_window(self) -> None:
        """Learn where the window is: its panel and its walls have a colour of their own."""
        rows, columns = np.nonzero((screenshot(self._folder) == PANEL).all(axis=-1))
        self._left, self._top = int(columns.min()), int(rows.min())

    def place(self, x: float, y: float) -> tuple[int, int]:
        """Where on the screen a point of the world is."""
        scale = places(SIZE).room / 65
        return self._left + round((x + 0.5) * scale), self._top + round((y + 0.5) * scale)

    def colour(self, x: float, y: float) -> tuple[int, ...]:
        """The colour of the screen at a point of the world."""
        column, row = self.place(x, y)
        return tuple(screenshot(self._folder)[row, column].tolist())

    def move(self, x: float, y: float) -> None:
        """To a point of the world."""
        self.do("mousemove", *map(str, self.place(x, y)))

    def caption(self) -> np.ndarray:
        """The part of the window that names planner, step and distance."""
        spot = places(SIZE)
        top = self._top + SIZE[1] - spot.bar
        return screenshot(self._folder)[top : top + spot.bar // 2, self._left : self._left + 100]


def test_mouse_and_keys_change_goal_wall_and_planner(
    display: dict[str, str], tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """On the fixed layout: wall 32, door 18."""
    command = [sys.executable, str(SCRIPTS / "plan.py"), "--render", "--layout", "fixed"]
    process = subprocess.Popen(
        command, env=display, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    mouse = Mouse(display, tmp_path)
    try:
        wait_until(lambda: shows(tmp_path, FLOOR, WALL, GOAL, PLAN))
        mouse.find_window()
        mouse.do("key", "space")  # pause
        mouse.do("key", "t")  # no candidates over what is looked at
        mouse.move(54, 54)
        mouse.do("click", "1")
        wait_until(lambda: mouse.colour(54, 54) == GOAL)
        assert (mouse.colour(32, 45), mouse.colour(24, 58)) == (WALL, FLOOR)
        mouse.move(32, 58)
        mouse.do("mousedown", "1")
        mouse.move(28, 58)
        mouse.move(24, 58)
        mouse.do("mouseup", "1")
        wait_until(lambda: mouse.colour(24, 58) == WALL)
        assert mouse.colour(32, 58) == FLOOR
        time.sleep(0.2)
        before = mouse.caption()
        mouse.do("key", "1")
        wait_until(lambda: (mouse.caption() != before).any())
        mouse.do("key", "space")  # go on: the agent walks to the goal and stays
        near = [(54 + x, 54 + y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)]
        wait_until(lambda: any(mouse.colour(*place) == AGENT for place in near))
        mouse.do("key", "s")
        wait_until((tmp_path / "plan-1.png").exists)
        mouse.do("key", "Escape")
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "window closed" in output


def test_play_moves_the_agent_with_the_keys(
    display: dict[str, str], tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    command = [sys.executable, str(SCRIPTS / "play.py"), "--layout", "fixed"]
    process = subprocess.Popen(
        command, env=display, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: shows(tmp_path, FLOOR, WALL, GOAL))
        before = screenshot(tmp_path)
        subprocess.run(["xdotool", "keydown", "Down"], env=display, check=True)
        wait_until(lambda: (screenshot(tmp_path) != before).any())
        subprocess.run(["xdotool", "keyup", "Down", "key", "Escape"], env=display, check=True)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "goals reached" in output
