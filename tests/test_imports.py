"""What importing costs, and who may import whom."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import jepa_agent

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "pygame", "h5py", "imageio", "safetensors", "stable_baselines3")


def run(code: str) -> str:
    """What a fresh Python prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout.strip()


def loaded_by(statements: str) -> set[str]:
    """Which heavy packages are loaded after some statements in a fresh Python."""
    return set(run(f"{statements}; import sys; print(*sys.modules)").split()) & set(HEAVY)


def test_importing_the_package_is_light_and_registers_the_environment() -> None:
    assert not loaded_by("import jepa_agent")
    assert run("import gymnasium, jepa_agent; print(gymnasium.spec('TwoRooms-v0').id)") == (
        "TwoRooms-v0"
    )


def test_importing_the_environments_loads_no_learning_library() -> None:
    assert not loaded_by("import jepa_agent.envs, jepa_agent.envs.two_rooms")


def test_playing_without_a_window_loads_neither_torch_nor_pygame() -> None:
    statements = "import gymnasium as g; e = g.make('jepa_agent:TwoRooms-v0'); e.reset(seed=0)"
    assert not loaded_by(statements + "; e.step(e.action_space.sample())")


def test_importing_planners_loads_torch_alone() -> None:
    assert loaded_by("import jepa_agent.planners") == {"torch"}


def test_public_names_are_loaded_when_asked_for() -> None:
    for name in jepa_agent.__all__:
        assert getattr(jepa_agent, name) is not None
    assert set(dir(jepa_agent)) >= set(jepa_agent.__all__)
    assert jepa_agent.WorldModel.__name__ == "WorldModel"
    with pytest.raises(AttributeError, match="module 'jepa_agent' has no attribute 'Nonsense'"):
        _ = jepa_agent.Nonsense


def modules(folder: str) -> list[Path]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    return paths


def imports(path: Path) -> Iterator[str]:
    """Absolute names of what a module imports, anywhere in it."""
    folder = path.parent.relative_to(ROOT)
    package = ".".join(folder.parts)
    if folder.parts[0] in ("envs", "planners"):
        package = f"jepa_agent.{package}"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) + 1 - node.level]
            module = ".".join([*(base if node.level else []), *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@pytest.mark.parametrize("folder", ["envs", "planners"])
def test_environments_and_planners_import_nothing_of_the_rest(folder: str) -> None:
    for path in modules(folder):
        for name in imports(path):
            is_own = is_within(name, (f"jepa_agent.{folder}",))
            is_free = folder == "planners" and is_within(name, ("jepa_agent.registry",))
            assert is_own or is_free or not is_within(name, ("jepa_agent",)), f"{path}: {name}"


def test_the_registry_needs_the_standard_library_alone() -> None:
    names = list(imports(ROOT / "jepa_agent" / "registry.py"))
    assert names
    for name in names:
        assert name.partition(".")[0] in sys.stdlib_module_names, name


def test_environments_need_no_torch_and_planners_nothing_but_torch() -> None:
    for path in modules("envs"):
        assert not [name for name in imports(path) if is_within(name, ("torch",))], path
    foreign = ("gymnasium", "numpy", "pygame", "h5py", "safetensors", "imageio")
    for path in modules("planners"):
        assert not [name for name in imports(path) if is_within(name, foreign)], path


ROOMS = (
    "io",
    "worlds",
    "data",
    "models",
    "agent",
    "exporting",
    "evaluation",
    "training",
    "pretraining",
    "viz",
    "experiments",
    "cli",
)
"""The rooms of the library, from below: each imports those before it."""


@pytest.mark.parametrize("room", ROOMS)
def test_imports_point_one_way(room: str) -> None:
    above = tuple(f"jepa_agent.{each}" for each in ROOMS[ROOMS.index(room) + 1 :])
    if room not in ("experiments", "cli"):
        above += ("jepa_agent.presets",)
    for path in modules(f"jepa_agent/{room}"):
        for name in imports(path):
            assert not is_within(name, above), f"{path} imports {name}"


def test_every_room_is_in_the_order_of_rooms() -> None:
    rooms = {path.parent.name for path in (ROOT / "jepa_agent").glob("*/__init__.py")}
    assert rooms == set(ROOMS)


TWO_ROOMS = re.compile(r"\b(wall_x|door\w*|px|1\.41|2\.45|Two ?Rooms\w*)\b", re.IGNORECASE)
KNOW_TWO_ROOMS = (
    "jepa_agent/__init__.py",  # registers it
    "jepa_agent/presets.py",  # its shapes and data
    "jepa_agent/evaluation/two_rooms.py",
    "jepa_agent/experiments/",  # measure on it
    "jepa_agent/cli/",  # its options and tables, and the worlds that commands take by default
)


def test_learning_code_knows_no_environment_by_name() -> None:
    for path in (*modules("jepa_agent"), *modules("planners")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(KNOW_TWO_ROOMS):
            assert not TWO_ROOMS.findall(path.read_text()), path
            seen = {n for n in imports(path) if is_within(n, ("jepa_agent.envs",))}
            allowed = ("jepa_agent.envs.drawing",) if name.startswith("jepa_agent/viz/") else ()
            assert all(is_within(each, allowed) for each in seen), path
