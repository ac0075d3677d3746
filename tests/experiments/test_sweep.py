"""What a sweep runs, what it leaves alone, and what it says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_agent.experiments.ablations import over_seeds
from jepa_agent.experiments.launchers import Inline, Submitit
from jepa_agent.experiments.sweep import Run, Status, plan, sweep
from jepa_agent.experiments.systems import Budget, Figures, System, Variant
from jepa_agent.io.locking import hold

BUDGET = Budget(minutes=1.0, episodes=10, data_scale=1.0)
VARIANTS = {"ours": Variant(), "no error memory": Variant(shares="ours"), "small": Variant()}


class Recorder:
    """A system's `run` that remembers its calls; `broken` variants raise."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.broken: tuple[str, ...] = ()

    def __call__(self, out: Path, budget: Budget, name: str, seed: int) -> Figures:
        self.calls.append((name, seed))
        if name in self.broken:
            raise RuntimeError("it broke")
        return {"success": 0.5}


class Queue:
    """A launcher whose jobs end when the test says so."""

    def __init__(self, at_once: int) -> None:
        self.at_once, self.jobs = at_once, list[Queued]()
        self.most = 0

    def submit(self, run: Run) -> Queued:
        self.jobs.append(Queued(run))
        self.most = max(self.most, sum(job.looked_at < 3 for job in self.jobs))
        return self.jobs[-1]


class Queued:
    def __init__(self, run: Run) -> None:
        self.run, self.said, self.log = run, "", f"{run}.log"
        self.looked_at = 0

    def done(self) -> bool:
        """Ended at the third look."""
        self.looked_at += 1
        if self.looked_at == 3:
            try:
                self.run()
            except RuntimeError as error:
                self.said = f"RuntimeError: {error}"
        return self.looked_at >= 3

    def error(self) -> str:
        return self.said


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def runs(recorder: Recorder, tmp_path: Path) -> Callable[..., list[Run]]:
    def make(names: tuple[str, ...] = tuple(VARIANTS), budget: Budget = BUDGET) -> list[Run]:
        system = System(VARIANTS, recorder, 1.0, "success", over_seeds("success"), {})
        return plan(system, names, (0, 1), budget, tmp_path)

    return make


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jepa_agent.experiments.sweep.POLL", 0.001)


def test_every_run_is_measured_once_and_written_at_once(
    runs: Callable, recorder: Recorder, tmp_path: Path
) -> None:
    statuses = sweep(runs(), Inline())
    assert str(next(statuses)) == "0 of 6 runs done, 6 left"
    next(statuses)
    next(statuses)
    written = sorted(path.parent.name for path in tmp_path.glob("*/result.json"))
    assert written == ["no-error-memory-0", "ours-0"]  # and here it is interrupted
    *_, last = sweep(runs(), Inline())
    assert recorder.calls == [(name, seed) for seed in (0, 1) for name in VARIANTS]
    assert {name: len(found) for name, found in last.results.items()} == dict.fromkeys(VARIANTS, 2)
    found = json.loads((tmp_path / "small-1" / "result.json").read_text())
    assert found.pop("seconds") >= 0.0
    assert found == {
        "minutes": 1.0, "episodes": 10, "data_scale": 1.0, "bfloat16": False,
        "seed": 1, "success": 0.5,
    }  # fmt: skip


def test_another_budget_is_another_measurement(runs: Callable, recorder: Recorder) -> None:
    for budget in (BUDGET, Budget(1.0, 20, 1.0), Budget(1.0, 20, 1.0)):
        list(sweep(runs(("small",), budget), Inline()))
    assert len(recorder.calls) == 4


def test_without_a_launcher_nothing_runs(runs: Callable, recorder: Recorder) -> None:
    list(sweep(runs(("small",)), Inline()))
    (status,) = sweep(runs(), None)
    assert [len(found) for found in status.results.values()] == [0, 0, 2]
    assert len(recorder.calls) == 2


def test_jobs_are_bounded_and_those_that_share_files_run_one_after_another(
    runs: Callable,
) -> None:
    queue = Queue(at_once=3)
    list(sweep(runs(), queue))
    assert queue.most == 3
    assert [str(job.run) for job in queue.jobs[:3]] == ["ours, seed 0", "small, seed 0",
                                                       "ours, seed 1"]  # fmt: skip
    assert len(queue.jobs) == 6


def test_failures_are_named_with_their_log_and_run_again_only_if_asked(
    runs: Callable, recorder: Recorder
) -> None:
    recorder.broken = ("small",)
    *_, last = sweep(runs(), Queue(2))
    assert [str(run) for run in last.failed] == ["small, seed 0", "small, seed 1"]
    assert str(last) == "4 of 6 runs done, 2 failed"
    failure = last.failed[0].failure()
    assert failure is not None
    assert failure["error"] == "RuntimeError: it broke"
    assert failure["log"] == "small, seed 0.log"
    recorder.broken = ()
    *_, last = sweep(runs(), Queue(2))
    assert len(last.failed) == 2
    *_, last = sweep(runs(), Queue(2), retry=True)
    assert not last.failed
    assert len(last.results["small"]) == 2


def test_a_run_that_another_process_works_on_is_waited_for(
    runs: Callable, recorder: Recorder, tmp_path: Path, wait_until: Callable
) -> None:
    (run, _) = runs(("no error memory",))
    (twin, _) = runs(("no error memory",))
    other = hold(tmp_path / "locks" / "ours-0")
    waiting = threading.Thread(target=run)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    assert not recorder.calls
    other.close()
    waiting.join(10)
    twin()
    assert recorder.calls == [("no error memory", 0)]


def test_the_time_left_is_that_of_runs_at_a_time() -> None:
    results = {"ours": [{"seconds": 60.0}, {"seconds": 120.0}]}
    said = "2 of 10 runs done, 8 left, about 6 min"
    assert str(Status(results, [], left=8, at_once=2)) == said
    assert str(Status(results, [], 0, 2)) == "2 of 2 runs done"


def test_an_unknown_variant_or_an_unknown_resource_is_an_error(
    runs: Callable, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"variants must be among \['ours', .*got 'more'"):
        runs(("more",))
    pytest.importorskip("submitit")
    with pytest.raises(ValueError, match=r"resources must be .*'memory': 3"):
        Submitit("local", tmp_path, 1, {"memory": 3})
    with pytest.raises(ValueError, match="jobs at a time must be >= 1, got 0"):
        Submitit("local", tmp_path, 0, {})


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_a_sweep_in_processes_is_killed_and_resumed(tmp_path: Path, wait_until: Callable) -> None:
    pytest.importorskip("submitit")
    program = [sys.executable, str(Path(__file__).parent / "tiny_sweep.py"), str(tmp_path)]

    def done() -> dict[str, int]:
        return {
            path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob("*/result.json")
        }

    def attempts(name: str) -> int:
        return len((tmp_path / name / "attempts").read_text().splitlines())

    first = subprocess.Popen(program, start_new_session=True, stdout=subprocess.DEVNULL)
    wait_until(lambda: len(done()) >= 3, 120)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = done()
    assert 3 <= len(before) < 12

    resumed = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    after = done()
    assert before.items() <= after.items()
    assert {attempts(name) for name in before} == {1}
    assert {attempts(name) for name in after} <= {1, 2}
    assert f"\n{len(before)} of 12 runs done" in f"\n{resumed}"
    assert "11 of 12 runs done, 1 failed\n" in resumed
    *_, said = resumed.splitlines()
    assert said.startswith("4, seed 2 ")
    assert "'error': 'RuntimeError: it is broken'" in said
    (log,) = re.findall(r"'log': '(.*?)'", said)
    assert "Traceback" in Path(log).read_text()

    (tmp_path / "mended").touch()
    again = subprocess.run([*program, "--retry"], capture_output=True, text=True, check=True)
    assert again.stdout.splitlines()[-1] == "12 of 12 runs done"
    assert len({path.read_text() for path in tmp_path.glob("*/result.json")}) == 12
    assert after.items() <= done().items()


SBATCH = """#!/bin/sh
script=$(cat "$1")  # at once, as SLURM does: the file is moved as soon as this ends
SLURM_JOB_ID=$$ nohup sh -c "$script" >/dev/null 2>&1 &
echo "Submitted batch job $$"
"""
SRUN = """#!/bin/sh
log=$(echo "$3" | sed "s/%j/$SLURM_JOB_ID/g; s/%t/0/g")  # of --unbuffered --output LOG
shift 3
export SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
mkdir -p "$(dirname "$log")"
exec "$@" >"$log" 2>&1
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_a_sweep_on_a_pretended_cluster(tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    commands, out = tmp_path / "bin", tmp_path / "out"
    commands.mkdir()
    for name, script in {"sbatch": SBATCH, "srun": SRUN, "sacct": "#!/bin/sh\n"}.items():
        (commands / name).write_text(script)
        (commands / name).chmod(0o755)
    program = [sys.executable, str(Path(__file__).parent / "tiny_sweep.py"), str(out), "--slurm"]
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    done = subprocess.run(
        program, capture_output=True, text=True, check=True, env=environment, timeout=600
    )
    assert "11 of 12 runs done, 1 failed\n" in done.stdout
    assert "'error': 'RuntimeError: it is broken'" in done.stdout
    assert len([*out.glob("*/result.json")]) == 11
    (script, *_) = out.glob("jobs/*/*_submission.sh")
    assert "--partition=cpu" in script.read_text()
