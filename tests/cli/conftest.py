"""Run commands as users do, or in this process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich import get_console
from rich.live import Live

from jepa_agent import cli

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def run() -> Callable[..., str]:
    """Run a command as users do: what it prints."""

    def call(*arguments: str, cwd: Path) -> str:
        python = [sys.executable, "-W", "error::ResourceWarning", "-m", "jepa_agent"]
        done = subprocess.run(
            [*python, *arguments], capture_output=True, text=True, cwd=cwd, timeout=900
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., str]:
    """Run a script of scripts/ in an empty folder: what it prints."""

    def call(script: str, *arguments: str) -> str:
        command = [sys.executable, str(SCRIPTS / script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=900)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.fixture
def exit_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int | str | None, str]]:
    """Run a command in this process and an empty folder: its exit status, and what it prints."""

    def call(*arguments: str) -> tuple[int | str | None, str]:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as caught:
            cli.main(argv=arguments)
        printed = capsys.readouterr()
        assert get_console().set_live(Live()), "a bar goes on after the command"
        get_console().clear_live()
        return caught.value.code or 0, f"{caught.value.code}\n{printed.out}{printed.err}"

    return call
