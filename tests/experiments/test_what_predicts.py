"""The study of what predicts planning, on made models."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.evaluation.label_free import MEASURES
from jepa_agent.experiments.what_predicts import Planned, columns, key_of, taus
from tests.loading import EXPERIMENTS, load


def made(count: int = 30) -> list[Planned]:
    """Models whose success is their rank, in one world, and falls with prediction error in two."""
    random = np.random.default_rng(0)
    models = []
    for index in range(count):
        measures = dict.fromkeys(MEASURES, 1.0)
        error = float(random.random())
        measures |= {"rank_me": float(random.random()), "prediction_error": error}
        measures["prediction_error_last"] = 2.0 * error
        scores = {"a, seen": measures["rank_me"] - error, "b, seen": -error}
        models.append(Planned(str(index), str(index // 2), "", measures, scores))
    return models


def test_measures_are_ranked_by_their_worst_case() -> None:
    rows = {row["measure"]: row for row in taus(made(), draws=50)}
    assert [*rows][:1] == ["prediction_error"] or [*rows][:1] == ["prediction_error_last"]
    error, rank = rows["prediction_error"], rows["rank_me"]
    assert error["b__seen"] == error["b__seen_low"] == pytest.approx(1.0)
    assert 0.2 < error["a__seen_low"] < error["a__seen"] < error["a__seen_high"] < 0.9
    assert error["worst"] == error["a__seen"]
    assert error["worst_in"] == "a, seen"
    assert error["beyond"] == "-"  # the control itself
    assert rank["a__seen"] > 0.3
    assert rank["worst_in"] == "b, seen"
    assert abs(rank["worst"]) < 0.3
    assert rows["variance"]["worst"] == "-"  # the same of all models
    assert len(rows) == len(MEASURES)


def test_columns_show_every_environment() -> None:
    forms = columns(made())
    assert [*forms] == ["measure", "a, seen", "b, seen", "worst", "in", "beyond prediction error"]
    assert key_of("two rooms, test-layouts") == "two_rooms__test_layouts"
    row = next(row for row in taus(made(), draws=20) if row["measure"] == "prediction_error")
    assert forms["b, seen"].format(**row) == "1.00 (1.00 to 1.00)"


@pytest.fixture
def script() -> ModuleType:
    return load(EXPERIMENTS / "what_predicts.py")


def test_the_script_measures_each_model_once_and_adds_what_is_missing(
    script: ModuleType,
    tiny_agent: JEPAAgent,
    tiny_trajectories: Trajectories,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    agent = tiny_agent
    agent.model.float()
    tiny_trajectories.save(tmp_path / "held-out.h5")
    for index, name in enumerate(("a", "b", "b/step-000010")):
        agent.model.predictor.load_state_dict(
            {key: 2.0 * each for key, each in agent.model.predictor.state_dict().items()}
        )
        agent.save(tmp_path / "runs" / name)
        (tmp_path / "runs" / name / "scores.json").write_text(json.dumps({"test": index / 2}))
    out = tmp_path / "found.json"
    args = script.Args(tmp_path / "runs", (tmp_path / "held-out.h5",), windows=8, draws=10, out=out)
    script.main(args)
    said = capsys.readouterr().out
    assert said.count("measuring") == 3
    assert "predictor_norm" in said
    document = json.loads(out.read_text())
    table = document["tables"]["taus"]
    assert table["conditions"] == "3 models of 2 trainings"
    norm = next(row for row in table["rows"] if row["measure"] == "predictor_norm")
    assert norm["two_rooms__test"] == pytest.approx(-1.0)  # the larger, the better, here
    names = [model["model"] for model in document["models"]]
    assert names == ["two rooms: a", "two rooms: b", "two rooms: b/step-000010"]
    assert str(tmp_path) not in out.read_text()

    (tmp_path / "runs" / "a" / "scores.json").write_text('{"test": 2.0, "ood": 0.5}')
    script.main(args)
    assert "measuring" not in capsys.readouterr().out
    (first, *_) = json.loads(out.read_text())["models"]
    assert first["scores"] == {"two rooms, test": 2.0, "two rooms, ood": 0.5}
    agent.save(tmp_path / "runs" / "a")  # trained anew
    script.main(args)
    assert capsys.readouterr().out.count("measuring") == 1
