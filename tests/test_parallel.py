from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from jepa_agent import JEPAAgent
from jepa_agent.envs import OraclePolicy
from jepa_agent.evaluation.episodes import play
from jepa_agent.parallel import AHEAD, shared

SHARES = [range(0, 3), range(3, 6), range(6, 7)]
make = partial(gym.make, "TwoRooms-v0", obs_type="state", terminate_on_success=False)


def die_once(scythe: Path) -> None:
    """Kill this process, if no other has been killed by the same scythe."""
    try:
        scythe.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Mortal:
    """Sums seeds; its process is killed at seed 4, once."""

    scythe: Path

    def __call__(self, seeds: Sequence[int]) -> int:
        if 4 in seeds:
            die_once(self.scythe)
        return sum(seeds)


class MortalOracle(OraclePolicy):
    """Dies on its first decision, once."""

    def __init__(self, scythe: Path) -> None:
        super().__init__()
        self.scythe = scythe

    def predict(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, Any]:
        die_once(self.scythe)
        return super().predict(*args, **kwargs)


@pytest.fixture(autouse=True)
def workers_know_this_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1])


@pytest.mark.slow
def test_what_a_dying_worker_did_is_done_again(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="worker died; the episodes of seeds 3 to 5 are played"):
        assert list(shared(Mortal(tmp_path / "scythe"), SHARES, 2)) == [3, 12, 6]


def test_workers_change_nothing(tmp_path: Path, tiny_agent: JEPAAgent) -> None:
    def outcomes(workers: int) -> Any:
        play_few = partial(
            tiny_agent.env_ref.make, terminate_on_success=False, max_episode_steps=12
        )
        return play(tiny_agent, play_few, range(5), 2, workers=workers)

    assert outcomes(2) == outcomes(1)


def test_episodes_that_kill_their_workers_are_failures_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jepa_agent.parallel.ATTEMPTS", 1)
    played = play(MortalOracle(tmp_path / "scythe"), make, range(3), 1, workers=2)
    assert [episode.seed for episode in played] == [0, 1, 2]
    (failed,) = (episode for episode in played if not episode.success)
    assert str(failed.error).startswith("WorkerDied")


@dataclass
class Touch:
    """Leaves a file for every share."""

    folder: Path

    def __call__(self, seeds: Sequence[int]) -> int:
        (self.folder / str(seeds[0])).touch()
        return seeds[0]


@pytest.mark.slow
def test_workers_wait_for_results_to_be_taken(
    tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    shares = [range(index, index + 1) for index in range(3 * AHEAD)]
    results = shared(Touch(tmp_path), shares, 1)
    assert next(results) == 0
    wait_until(lambda: len(os.listdir(tmp_path)) == AHEAD)
    time.sleep(0.3)
    assert len(os.listdir(tmp_path)) == AHEAD
    assert [*results] == [*range(1, 3 * AHEAD)]
