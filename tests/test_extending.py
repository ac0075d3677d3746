"""The examples of docs/extending.md, as modules of a user, train, are saved and loaded."""

from __future__ import annotations

import dataclasses
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jepa_agent import JEPAAgent, Preset, Trajectories, train

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
EXAMPLES = {
    "HillClimbingConfig": "planner",
    "FlatConfig": "encoder",
    "LinearConfig": "predictor",
    "UphillConfig": "distance_head",
    "ReadSpeed": "extra_terms",
}


def load(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Loads an agent in a fresh process that could import the user's modules."""
    code = (
        f"from jepa_agent import JEPAAgent; JEPAAgent.load({str(folder)!r}, {', '.join(options)})"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder.parent, capture_output=True, text=True)


def test_every_block_is_an_example() -> None:
    assert [name for block in BLOCKS for name in EXAMPLES if f"class {name}(" in block] == list(
        EXAMPLES
    )


QUICK = "FlatConfig"
"""The example that the fast suite tries."""


@pytest.mark.parametrize(
    "name",
    [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in EXAMPLES],
)
def test_an_example_trains_and_is_loaded_only_if_code_is_allowed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    tiny_preset: Preset, tiny_trajectories: Trajectories,
) -> None:  # fmt: skip
    (block,) = [block for block in BLOCKS if f"class {name}(" in block]
    module, part = f"users_{name.lower()}", EXAMPLES[name]
    (tmp_path / f"{module}.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    config: Any = getattr(importlib.import_module(module), name)()
    preset = tiny_preset
    if part == "planner":
        preset = dataclasses.replace(preset, planner=config)
    elif part == "extra_terms":
        training = dataclasses.replace(preset.training, extra_terms=(config,))
        preset = dataclasses.replace(preset, training=training)
    else:
        model = dataclasses.replace(preset.model, **{part: config})
        preset = dataclasses.replace(preset, model=model)
    folder = tmp_path / "agent"
    agent = train(tiny_trajectories, preset, folder=folder)
    observation, _ = agent.env_ref.make().reset(seed=0)
    action = agent.predict(observation)[0]
    assert (JEPAAgent.load(folder, "cpu").predict(observation)[0] == action).all()
    assert load(folder, "allow_code=True").returncode == 0
    refused = load(folder)
    if part == "extra_terms":  # only the training knows it
        assert refused.returncode == 0
    else:
        assert f"got '{module}:{name}'; let its module be imported by allow_code" in refused.stderr


@pytest.mark.slow
def test_a_planner_without_a_config_is_saved_by_its_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_agent: JEPAAgent
) -> None:
    (tmp_path / "users_plain.py").write_text("class Plain:\n    horizon = 2\n    plan = print\n")
    monkeypatch.syspath_prepend(tmp_path)
    tiny_agent.planner = importlib.import_module("users_plain").Plain()
    tiny_agent.save(tmp_path / "agent")
    assert load(tmp_path / "agent", "allow_code=True").returncode == 0
    assert "allow_code=True" in load(tmp_path / "agent").stderr
    options = ("--checkpoint", "agent", "--video", "plan.gif", "--episodes", "1")
    command = [sys.executable, "-m", "jepa_agent", "plan", *options]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "(--allow-code)" in refused.stderr
    tiny_agent.planner.speed = 3  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="without a `config`"):
        tiny_agent.save(tmp_path / "agent")
