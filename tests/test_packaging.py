"""A wheel holds the package and nothing else, and works where others have `envs` and `planners`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
CHECKPOINTS = "jepa_agent/checkpoints/"
HAS_BACKEND = int(version("setuptools").split(".")[0]) >= 77
"""Whether wheels can be built with what is installed, which is faster and needs no network."""


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}, timeout=600,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of the tree, as a fresh clone has it."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listed, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a clone")
    copy = tmp_path_factory.mktemp("tree")
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that this tree builds."""
    out = tmp_path_factory.mktemp("wheel")
    build = ["-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(out), str(tree)]
    done = run(*build, *(["--no-build-isolation"] if HAS_BACKEND else []), cwd=out)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel is installed in."""
    folder = tmp_path_factory.mktemp("site")
    install = ("-m", "pip", "install", "--no-deps", "--no-index", "--target", str(folder))
    done = run(*install, str(wheel), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    metadata = [name for name in names if name.split("/")[0].endswith(".dist-info")]
    sources = {
        f"jepa_agent/{path.relative_to(folder.parent if folder.name != 'jepa_agent' else folder)}"
        for folder in (ROOT / "jepa_agent", ROOT / "envs", ROOT / "planners")
        for path in folder.rglob("*.py")
    }
    data = {"jepa_agent/py.typed", "jepa_agent/viz/report.html"}
    others = set(names) - set(metadata) - sources - data
    assert sources | data <= set(names)
    assert all(name.startswith(CHECKPOINTS) for name in others)
    assert {Path(name).suffix for name in others} == {".json", ".safetensors"}
    for name in ("two_rooms", "mazes"):
        assert f"{CHECKPOINTS}{name}/config.json" in others
    assert any(name.endswith("LICENSE") for name in metadata)


@pytest.mark.slow
def test_the_wheel_works_beside_other_packages_of_the_same_names(
    site: Path, tmp_path: Path
) -> None:
    for name in ("envs", "planners"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("decoy = True\n")
    (tmp_path / "use.py").write_text(
        "import sys\n"
        "import gymnasium as gym\n"
        "env = gym.make('jepa_agent:TwoRooms-v0', layout='fixed')\n"
        "from jepa_agent import JEPAAgent\n"
        "agent = JEPAAgent.load('default')\n"
        "observation, _ = env.reset(seed=0)\n"
        "env.step(agent.predict(observation)[0])\n"
        "import envs, planners, jepa_agent.envs, jepa_agent.planners\n"
        "assert envs.decoy and planners.decoy\n"
        "for module in (jepa_agent, jepa_agent.envs, jepa_agent.planners):\n"
        "    assert module.__file__.startswith(sys.argv[1]), module.__file__\n"
        "print('works')\n"
    )
    done = run("use.py", str(site), cwd=tmp_path, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "works"


TINY = (
    "--collect.episodes", "32", "--collect.steps", "30", "--training.steps", "2",
    "--training.windows-per-layout", "8", "--training.horizon", "2",
    "--training.diagnose-episodes", "0", "--device", "cpu", "--report", "0",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("plan", "--video", "plan.gif", "--episodes", "1"), "see plan.gif"),
        (("train", "quick", *TINY, "--out", "run"), "checkpoint and metrics in run"),
        (("evaluate", "--episodes", "2", "--out", "found"), "wrote found/report.json"),
        (("collect", "--episodes", "8", "--steps", "9", "--out", "data.h5"), "-> data.h5"),
        (("compare", "--recorded", "--only", "ppo-state"), "| policy | seeds |"),
    ],
)
def test_commands_of_the_wheel_work_in_an_empty_folder(
    site: Path, tmp_path: Path, command: tuple[str, ...], said: str
) -> None:
    done = run("-m", "jepa_agent", *command, cwd=tmp_path, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.slow
def test_the_wheel_installs_a_command(site: Path, tmp_path: Path) -> None:
    done = run(str(site / "bin" / "jepa-agent"), "--version", cwd=tmp_path, PYTHONPATH=str(site))
    assert done.stdout.strip() == f"jepa-agent {version('jepa-agent')}"


@pytest.mark.slow
def test_the_source_distribution_builds_the_same_wheel(tree: Path, wheel: Path) -> None:
    isolation = ["--no-isolation"] if HAS_BACKEND else []
    done = run("-m", "build", *isolation, "--outdir", "out", ".", cwd=tree)
    assert done.returncode == 0, done.stdout + done.stderr
    (again,) = (tree / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert sorted(first.namelist()) == sorted(second.namelist())


def test_the_bare_source_folder_says_how_to_install(tree: Path, tmp_path: Path) -> None:
    uninstalled = (
        "import sys\n"
        "sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
        "import jepa_agent\n"
    )
    done = run("-c", uninstalled, cwd=tmp_path, PYTHONPATH=str(tree))
    assert done.returncode == 1
    message = done.stderr.strip().splitlines()[-1]
    assert message.startswith("ImportError: jepa_agent must be installed")
    assert "pip install -e ." in message


def test_the_citation_names_this_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in ("version", "license"):
        assert citation[name] == project[name]


def test_the_workflow_runs_everything_on_every_supported_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    job = workflow["jobs"]["ci"]
    assert job["steps"][-1] == {"run": ".ci/run"}
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    low, high = job["strategy"]["matrix"]["python"][0], job["strategy"]["matrix"]["python"][-1]
    minor = int(high.partition(".")[2]) + 1
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={low},<3.{minor}"
