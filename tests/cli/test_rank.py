from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.evaluation.label_free import MEASURES
from jepa_agent.experiments.ranking import checkpoints, format_ranking, ranked


@pytest.fixture
def runs(tiny_agent: JEPAAgent, tiny_trajectories: Trajectories, tmp_path: Path) -> Path:
    """Two runs, one with an earlier step, and held-out data."""
    agent = tiny_agent
    agent.model.float().requires_grad_(False)
    agent.save(tmp_path / "a")
    agent.model.predictor.load_state_dict(
        {name: 3.0 * each for name, each in agent.model.predictor.state_dict().items()}
    )
    agent.save(tmp_path / "b" / "step-000010")
    with torch.no_grad():
        for each in agent.model.predictor.parameters():
            each.zero_()  # imagines that nothing changes
    agent.save(tmp_path / "b")
    tiny_trajectories.save(tmp_path / "held-out.h5")
    return tmp_path


def test_all_checkpoints_of_runs_are_ranked_and_written(runs: Path, exit_of: Callable) -> None:
    code, said = exit_of(
        "rank", "a", "b", "--data", "held-out.h5", "--windows", "16", "--out", "rank.json"
    )
    assert code == 0
    table = [line.split(" | ") for line in said.splitlines() if line.startswith("| ")]
    assert table[0][1] == "prediction_error"
    assert table[0][-1].removesuffix(" |") == [*MEASURES][-1]
    names, errors = zip(*((row[0], float(row[1])) for row in table[1:]), strict=True)
    assert sorted(names) == ["| a", "| b", "| b/step-000010"]
    assert list(errors) == sorted(errors)
    assert "ranked by prediction_error (lower is better)" in said
    document = json.loads((runs / "rank.json").read_text())
    order = [each["checkpoint"] for each in document["checkpoints"]]
    assert order == [name.removeprefix("| ") for name in names]
    assert document["checkpoints"][0].keys() == {"checkpoint", *MEASURES}
    assert document["measures"]["rank_me"]["source"].endswith("2210.02885")

    code, said = exit_of("rank", "a", "b", "--data", "held-out.h5", "--windows", "16", "--by",
                         "predictor_norm")  # fmt: skip
    rows = [line.split(" | ")[0] for line in said.splitlines() if line.startswith("| ")]
    assert rows[1] == "| b"


def test_measures_decide_which_way_is_better() -> None:
    rows = {
        name: dict.fromkeys(MEASURES, value)
        for name, value in {"low": 1.0, "unknown": float("nan"), "high": 2.0}.items()
    }
    assert ranked(rows, "prediction_error") == ["low", "high", "unknown"]
    assert ranked(rows, "rank_me") == ["high", "low", "unknown"]
    assert format_ranking(rows, "rank_me").splitlines()[2].startswith("| high | 2 |")


def test_what_is_no_checkpoint_and_other_data_are_errors(runs: Path, exit_of: Callable) -> None:
    _, said = exit_of("rank", "nowhere", "--data", "held-out.h5")
    assert "a run must hold a checkpoint that `jepa-agent train` wrote, got none in nowhere" in said
    (runs / "c" / "state").mkdir(parents=True)
    (runs / "c" / "state" / "config.json").write_text('{"weights": {"file": "a"}}')
    with pytest.raises(ValueError, match="got none in"):
        checkpoints(runs / "c")
    exit_of("collect", "--env", "Pendulum-v1", "--episodes", "2", "--steps", "20", "--out",
            "pendulum.h5")  # fmt: skip
    _, said = exit_of("rank", "a", "--data", "pendulum.h5")
    assert "a must fit the held-out data, got observations (65, 65, 3) and 2 numbers" in said
