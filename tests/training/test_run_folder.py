from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import torch

from jepa_agent.io.locking import RunError
from jepa_agent.training.run_folder import Run


def test_a_new_folder_has_nothing_to_restore(tmp_path: Path) -> None:
    with closing(Run(tmp_path / "new", {})) as run:
        assert run.restore() is None


def test_a_state_comes_back_and_later_lines_go(tmp_path: Path) -> None:
    with closing(Run(tmp_path, {"a": (1, 2)})) as run:
        run.log({"step": 1})
        run.save({"x": torch.arange(3)}, {"step": 1})
        run.log({"step": 2})
    with closing(Run(tmp_path, {"a": [1, 2]})) as run:
        tensors, progress = run.restore()
        assert torch.equal(tensors["x"], torch.arange(3))
        assert progress == {"step": 1}
        run.log({"step": 3})
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == ['{"step": 1}', '{"step": 3}']


def test_a_changed_config_is_named(tmp_path: Path) -> None:
    with closing(Run(tmp_path, {"a": {"b": 1, "c": 2}, "d": 3})) as run:
        run.save({"x": torch.zeros(1)}, {})
    with (
        closing(Run(tmp_path, {"a": {"b": 1, "c": 5}, "e": 3})) as run,
        pytest.raises(RunError) as error,
    ):
        run.restore()
    assert "a.c (2 then, 5 now); d (3 then, None now); e (None then, 3 now)" in str(error.value)


def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    program = f"from jepa_agent.training.run_folder import Run; Run({str(tmp_path)!r}, {{}})"
    with closing(Run(tmp_path, {})):
        other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert other.returncode == 1
        assert "only one run may write into a folder" in other.stderr
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below_a_file, of_the_system = tmp_path / "file" / "run", Path("/proc/run")
    for place in (below_a_file, of_the_system) if Path("/proc/self").exists() else (below_a_file,):
        with pytest.raises(RunError, match=r"needs a folder that it can write to, got .*choose"):
            Run(place, {})


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_only_warned_of(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.warns(UserWarning, match="cannot be locked .* start no second run"):
        run = Run(tmp_path, {})
    run.save({"x": torch.zeros(1)}, {})
    assert run.restore() is not None
    run.close()


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with closing(Run("~/run", {})) as run:
        assert run.folder == tmp_path / "run"
