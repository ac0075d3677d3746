"""Sharing agents, with a folder in the Hub's place."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from jepa_agent import JEPAAgent
from jepa_agent.evaluation.episodes import Episode
from jepa_agent.evaluation.metrics import Report, summarise
from jepa_agent.io.checkpoint import CheckpointError


@pytest.fixture
def agent(tiny_agent: JEPAAgent) -> JEPAAgent:
    tiny_agent.model.float()
    tiny_agent.notes = {"data": {"env_id": "TwoRooms-v0"}, "training": {"steps": 3}}
    return tiny_agent


@pytest.fixture
def report(tmp_path: Path) -> Path:
    played = [Episode(seed, (30, 20), seed != 7, False, None, 9, None) for seed in range(10)]
    played[7] = Episode(7, (30, 20), False, False, None, None, None)
    rows = [summarise("agent", "test-layouts", played)]
    return Report(rows, {}, {"agent/test-layouts": played}, {}).save(tmp_path / "evaluation")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Repositories as folders, behind the functions of `huggingface_hub` that we call."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    root = tmp_path / "hub"

    class Api:
        def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> None:
            (root / repo_id).mkdir(parents=True, exist_ok=exist_ok)

        def upload_folder(self, repo_id: str, folder_path: str, delete_patterns: str) -> str:
            for old in (root / repo_id).glob(delete_patterns):
                old.unlink()
            shutil.copytree(folder_path, root / repo_id, dirs_exist_ok=True)
            return f"hub://{repo_id}"

    def snapshot_download(repo_id: str, revision: str | None, allow_patterns: list[str]) -> str:
        if not (root / repo_id).is_dir():
            raise FileNotFoundError(f"no repository {repo_id}")
        return str(root / repo_id)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return root


def actions(agent: JEPAAgent) -> np.ndarray:
    observation, _ = agent.env_ref.make().reset(seed=0)
    return agent.predict(observation)[0]


def test_an_agent_from_a_folder_plans_the_same(agent: JEPAAgent, tmp_path: Path) -> None:
    agent.save_pretrained(tmp_path / "shared")
    again = JEPAAgent.from_pretrained(tmp_path / "shared")
    np.testing.assert_array_equal(actions(again), actions(agent))
    other = JEPAAgent.from_pretrained(tmp_path / "shared", seed=1)
    assert (actions(other) != actions(agent)).any()
    with pytest.raises(TypeError, match="sede"):
        JEPAAgent.from_pretrained(tmp_path / "shared", sede=1)


def test_the_shipped_agent_has_a_name_here_too() -> None:
    assert JEPAAgent.from_pretrained("default").env_ref.id == "jepa_agent:TwoRooms-v0"


def test_the_hub_keeps_one_model_and_its_card(agent: JEPAAgent, hub: Path, report: Path) -> None:
    agent.push_to_hub("me/rooms")
    agent.model.observation_mean.add_(1.0)
    assert agent.push_to_hub("me/rooms", report) == "hub://me/rooms"
    names = sorted(path.name.partition("-")[0] for path in (hub / "me/rooms").iterdir())
    assert names == ["README.md", "config.json", "model", "report.json"]
    again = JEPAAgent.from_pretrained("me/rooms")
    np.testing.assert_array_equal(actions(again), actions(agent))


def test_a_missing_repository_is_named(hub: Path) -> None:
    with pytest.raises(CheckpointError, match=r"me/none must be a checkpoint directory or a repo"):
        JEPAAgent.from_pretrained("me/none")


def test_the_card_says_what_is_known(agent: JEPAAgent, tmp_path: Path, report: Path) -> None:
    agent.save_pretrained(tmp_path, report, license="mit")
    card = (tmp_path / "README.md").read_text()
    _, front, body = card.split("---\n", 2)
    header: dict[str, Any] = yaml.safe_load(front)
    assert header["library_name"] == "jepa-agent"
    assert header["license"] == "mit"
    assert {"jepa", "TwoRooms-v0"} <= set(header["tags"])
    assert "| agent | test-layouts | 10 | 90.0 (59.6 to 98.2) | 0.0 |" in body
    blocks = [json.loads(part.split("```")[0]) for part in body.split("```json\n")[1:]]
    assert blocks[0] == agent.notes["data"]
    assert blocks[1]["training"] == {"steps": 3}
    assert blocks[1]["planner"]["name"] == "CEM"
    assert (tmp_path / "report.json").read_text() == report.read_text()


def test_a_card_of_data_alone_says_how_to_play(agent: JEPAAgent, tmp_path: Path) -> None:
    alone = JEPAAgent(agent.model, agent.bounds, None, agent.planner, notes=agent.notes)
    alone.save_pretrained(tmp_path / "shared")
    card = (tmp_path / "shared" / "README.md").read_text()
    assert "A JEPA agent for recorded-data" in card
    assert 'agent.set_environment(EnvRef("module:Name-v0", {}))' in card
    assert not JEPAAgent.from_pretrained(tmp_path / "shared").has_environment


def test_a_card_without_figures_says_so(agent: JEPAAgent, tmp_path: Path) -> None:
    agent.notes = {}
    agent.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "Not evaluated." in card
    assert "Not recorded." in card
    assert not (tmp_path / "report.json").exists()


def test_only_the_hub_needs_the_extra(agent: JEPAAgent, tmp_path: Path) -> None:
    agent.save_pretrained(tmp_path)
    code = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from jepa_agent import JEPAAgent\n"
        f"agent = JEPAAgent.from_pretrained({str(tmp_path)!r})\n"
        "for use in (agent.push_to_hub, JEPAAgent.from_pretrained):\n"
        "    try: use('me/rooms')\n"
        "    except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count('run `pip install -e ".[hub]"`') == 2
