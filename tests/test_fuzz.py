"""Readers against thousands of damaged and made-up inputs: a clear error, or what was meant.

HDF5's library can hang on damaged files, and then hears no signal: they are read in a process that
can be killed.
"""

from __future__ import annotations

import importlib
import multiprocessing
import random
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tyro
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.io.checkpoint import CheckpointError

pytestmark = pytest.mark.slow
THOROUGH = settings(
    max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


def attempt(work: Callable[[], Any], *errors: type[BaseException]) -> Any:
    """What comes of it, or the error, if it is one of these."""
    try:
        return work()
    except errors as error:
        return error


def damaged(data: bytes, draw: random.Random) -> bytes:
    """With bits flipped, parts cut out, doubled or overwritten, or the end missing."""
    content = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        at, length = draw.randrange(len(content)), draw.randint(1, 64)
        kind = draw.randrange(5)
        if kind == 0:
            content[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del content[at : at + length]
        elif kind == 2:
            content[at:at] = content[at : at + length]
        elif kind == 3:
            content[at : at + length] = draw.randbytes(length)
        else:
            del content[at:]
        if not content:
            break
    return bytes(content)


@pytest.mark.parametrize("part", ["config.json", "*.safetensors"])
def test_checkpoints_are_sound_or_named(tmp_path: Path, tiny_agent: JEPAAgent, part: str) -> None:
    sound, broken = tmp_path / "sound", tmp_path / "broken"
    tiny_agent.save(sound)
    shutil.copytree(sound, broken)
    (whole,) = sound.glob(part)
    content, draw, refused = whole.read_bytes(), random.Random(0), 0
    for _ in range(1000):
        (broken / whole.name).write_bytes(damaged(content, draw))
        found = attempt(lambda: JEPAAgent.load(broken, "cpu"), CheckpointError)
        if not isinstance(found, JEPAAgent):
            refused += 1
            assert "broken" in str(found)
    assert refused >= (1000 if part == "*.safetensors" else 500)


READ = """
import numpy as np
from jepa_agent import Trajectories
from jepa_agent.data.trajectory_file import TrajectoryFileError

for path in paths:
    try:
        Trajectories.load(path)
    except TrajectoryFileError as error:
        assert "damaged" in str(error)
    else:
        raise AssertionError(path)
"""


def test_damaged_trajectory_files_are_named(
    tmp_path: Path, tiny_trajectories: Trajectories
) -> None:
    whole = tmp_path / "whole.h5"
    tiny_trajectories.save(whole)
    content, draw = whole.read_bytes(), random.Random(0)
    layout = multiprocessing.get_context("forkserver")
    layout.set_forkserver_preload(["torch", "jepa_agent", "h5py"])
    script = tmp_path / "read.py"
    script.write_text(READ)
    for batch in range(10):
        paths = []
        for index in range(100):
            path = tmp_path / f"damaged-{index}.h5"
            path.write_bytes(damaged(content, draw))
            paths.append(str(path))
        process = layout.Process(target=runpy.run_path, args=(str(script), {"paths": paths}))
        process.start()
        process.join(120)
        process.kill()
        assert process.exitcode == 0, f"batch {batch}"


@pytest.mark.parametrize(
    "command", ["collect", "compare_sb3", "evaluate", "plan", "pretrain_image"]
)
def test_command_lines_are_understood_or_refused(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    kind = importlib.import_module(f"jepa_agent.cli.{command}").Args
    words = ["--seed", "--episodes", "--out", "--layout", "--help", "-1", "1e999", "nan", "--", ""]
    anything = st.lists(st.sampled_from(words) | st.text(max_size=6), max_size=5)

    @settings(THOROUGH, max_examples=100)
    @given(anything)
    def check(line: list[str]) -> None:
        found = attempt(lambda: tyro.cli(kind, args=line), SystemExit)
        assert isinstance(found, kind) or found.code in (0, 2)
        capsys.readouterr()

    check()
