"""Nothing that may come from a stranger is unpickled: a pickle runs what it likes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.training.run_folder import Run

ROOT = Path(__file__).parent.parent
UNPICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
LOADERS = (".load", ".loads", ".Unpickler", ".load_replay_buffer")
SAFE = (
    ".JEPAAgent.load",
    ".cast('type[JEPAAgent]', cls).load",
    ".Report.load",
    ".Trajectories.load",
    ".checkpoint.load",
    ".checkpointing.load",
    ".json.load",
    ".json.loads",
    ".np.load",
    ".safetensors.torch.load",
    ".session.load",
)
"""What reads files and is called `load`; numpy refuses pickles unless it is told to allow them."""
OWN_FILES = {
    "jepa_agent/experiments/baselines.py": {"baseline.algorithm.load", "model.load_replay_buffer"},
}
"""The one exception. Stable-Baselines3 knows no format but its own, which is pickled; the
comparison loads nothing but the files that the same run wrote before it was interrupted."""


def unpickling(code: str) -> Iterator[str]:
    """Imports and calls in a module that unpickle, or may do so."""
    for node in ast.walk(ast.parse(code)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call):
            names = [ast.unparse(node.func)]
            told = {each.arg: ast.unparse(each.value) for each in node.keywords}
            if told.get("allow_pickle", "False") != "False":
                yield ast.unparse(node)
        for name in names:
            loads = name.endswith(LOADERS) and not f".{name}".endswith(SAFE)
            if loads or name.split(".")[0] in UNPICKLERS:
                yield name


def test_unpickling_is_found_however_it_is_spelled() -> None:
    code = """
import pickle as p
from dill import load
from torch import load as read
torch.load(path, weights_only=True)
np.load(path, allow_pickle=True)
np.lib.format.read_array(file, allow_pickle=allowed)
SAC.load(path)
from ..session import load; from . import checkpoint
checkpoint.load(path); json.loads(text); np.load(path, allow_pickle=False); model.load_state_dict()
"""
    assert sorted(unpickling(code)) == [
        "SAC.load",
        "dill.load",
        "np.lib.format.read_array(file, allow_pickle=allowed)",
        "np.load(path, allow_pickle=True)",
        "pickle",
        "torch.load",
        "torch.load",
    ]


def test_nothing_is_unpickled_but_what_a_run_itself_wrote() -> None:
    found: dict[str, set[str]] = {}
    for folder in ("jepa_agent", "envs", "planners", "scripts"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if calls := set(unpickling(path.read_text())):
                found[path.relative_to(ROOT).as_posix()] = calls
    assert found == OWN_FILES


READ = """
import pickle, sys
from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.training.run_folder import Run

agent, trajectories, run = sys.argv[1:]

def refuse(event, arguments):
    if event == "pickle.find_class":
        sys.exit(f"unpickled {arguments}")

sys.addaudithook(refuse)
JEPAAgent.load("default", "cpu")
JEPAAgent.load(agent, "cpu")
Trajectories.load(trajectories)
assert Run(run, {}).restore()
print("read")
pickle.loads(pickle.dumps(print))
"""


def test_loading_calls_no_unpickler(
    tmp_path: Path, tiny_agent: JEPAAgent, tiny_trajectories: Trajectories
) -> None:
    """As Python's own audit of a fresh process has it, which does see the last line."""
    tiny_agent.save(tmp_path / "agent")
    tiny_trajectories.save(tmp_path / "data.h5")
    run = Run(tmp_path / "run", {})
    run.save(tiny_agent.model.state_dict(), {"step": 1})
    run.close()
    found = subprocess.run(
        [sys.executable, "-c", READ, "agent", "data.h5", "run"],
        capture_output=True, text=True, cwd=tmp_path, timeout=120,
    )  # fmt: skip
    assert found.stdout == "read\n"
    assert found.stderr == "unpickled ('builtins', 'print')\n"
