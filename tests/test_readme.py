"""The Python of README and docs runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def block(marker: str, page: str = "README.md") -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    (found,) = [code for code in blocks if marker in code]
    return found


def test_environment_blocks_run() -> None:
    names: dict = {}
    exec(block("gym.make_vec"), names)
    assert names["info"]["wall_x"] == 30
    assert names["info"]["goal"].tolist() == [50, 40]


def test_agent_block_reaches_the_goal_and_sb3_scores_it() -> None:
    names: dict = {}
    exec(block('JEPAAgent.load("default")'), names)
    assert names["info"]["is_success"]
    exec(block("evaluate_policy").replace("n_eval_episodes=10", "n_eval_episodes=2"), names)


def test_planner_block_plans() -> None:
    names: dict = {}
    exec(block('JEPAAgent.load("default")').split("state, start")[0], names)
    exec(block("HillClimbing", "docs/choosing-a-planner.md"), names)
    names["agent"].planner = names["HillClimbing"]()
    observation, _ = names["env"].reset(seed=1)
    state = None
    for _ in range(60):
        action, state = names["agent"].predict(observation, state)
        observation, _, terminated, _, info = names["env"].step(action)
        if terminated:
            break
    assert info["is_success"]


@pytest.mark.slow
def test_training_block_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With three steps instead of all of them."""
    monkeypatch.chdir(tmp_path)
    code = block("jepa_agent.train(")
    assert "train(data, QUICK)" in code
    short = "jepa_agent.Preset(training=jepa_agent.TrainingConfig(steps=3))"
    exec(code.replace("train(data, QUICK)", f"train(data, {short})"), {})
    assert (tmp_path / "runs" / "mine" / "config.json").is_file()
