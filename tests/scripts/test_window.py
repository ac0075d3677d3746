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

from jepa_agent.envs.drawing import FLOOR, GOAL, WALL
from jepa_agent.visualize import PLAN

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
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "800x700x24", "-fbdir", str(tmp_path)],
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
    """What the virtual display shows now, uint8 (700, 800, 3), read from its XWD file."""
    data = (folder / "Xvfb_screen0").read_bytes()
    header = struct.unpack(">25I", data[:100])
    size, width, height, stride, colours = header[0], header[4], header[5], header[12], header[19]
    pixels = np.frombuffer(data, np.uint8, stride * height, offset=size + 12 * colours)
    return pixels.reshape(height, stride // 4, 4)[:, :width, 2::-1]


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def shows(folder: Path, *colours: tuple[int, int, int]) -> bool:
    """Whether every colour fills at least a hundred pixels of the display."""
    picture = screenshot(folder)
    return all((picture == colour).all(axis=-1).sum() > 100 for colour in colours)


def test_plan_opens_a_window_and_escape_closes_it(display: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "plan.py"), "--render", "--episodes", "50"]
    process = subprocess.Popen(
        command, env=display, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert wait_until(lambda: shows(tmp_path, FLOOR, WALL, GOAL, PLAN))
        subprocess.run(["xdotool", "key", "Escape"], env=display, check=True)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "window closed" in output


def test_play_moves_the_agent_with_the_keys(display: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "play.py"), "--layout", "fixed"]
    process = subprocess.Popen(
        command, env=display, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        assert wait_until(lambda: shows(tmp_path, FLOOR, WALL, GOAL))
        before = screenshot(tmp_path)
        subprocess.run(["xdotool", "keydown", "Down"], env=display, check=True)
        assert wait_until(lambda: bool((screenshot(tmp_path) != before).any()))
        subprocess.run(["xdotool", "keyup", "Down", "key", "Escape"], env=display, check=True)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "goals reached" in output
