"""README and docs/: their tables are those of the figures, and what they name exists."""

from __future__ import annotations

import importlib.util
import json
import pkgutil
import re
import runpy
import shlex
import sys
import types
from pathlib import Path

import pytest

from jepa_agent import cli
from jepa_agent.presets import QUICK
from tests.loading import load

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
FIGURES = sorted((ROOT / "docs" / "experiments").glob("*.json"))
OLD = {ROOT / "docs" / "history.md", ROOT / "docs" / "glossary.md"}
"""Pages that name what is no more."""


tables = load(ROOT / "scripts" / "experiments" / "tables.py")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_tables_are_those_of_the_figures(page: Path) -> None:
    text = page.read_text()
    assert tables.filled(text) == text, "run `python scripts/experiments/tables.py`"


def test_every_figure_is_shown_on_a_page() -> None:
    shown = {f"{file}.{name}" for page in PAGES for _, file, name, _ in
             tables.BLOCK.findall(page.read_text())}  # fmt: skip
    known = {f"{path.stem}.{name}" for path in FIGURES
             for name in json.loads(path.read_text())["tables"]}  # fmt: skip
    assert shown == known


def test_a_table_shows_formats_remarks_gaps_and_chosen_rows() -> None:
    rows = [{"who": "a", "n": 1234, "x": 0.5, "bold": True}, {"who": "b", "n": "see above"}]
    table = {"columns": {"who": "{who}", "n": "{n:,}", "x": "{x:.2f}"}, "rows": rows}
    head = "| who | n | x |\n|---|---|---|\n"
    first, second = "| **a** | **1,234** | **0.50** |", "| b | see above |  |"
    assert tables.markdown(table) == f"{head}{first}\n{second}"
    assert tables.markdown(table, ("b",)) == f"{head}{second}"
    with pytest.raises(ValueError, match=r"rows must be among .*, got \['c'\]"):
        tables.markdown(table, ("c",))


@pytest.mark.parametrize("layout", ["fixed", "train"])
def test_the_comparison_that_its_command_wrote_has_the_same_figures(layout: str) -> None:
    figures = json.loads((ROOT / "docs/experiments/stable-baselines3.json").read_text())
    table = tables.markdown(figures["tables"][layout])
    assert table in (ROOT / "docs" / f"sb3-{layout}.md").read_text()


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).strip().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        path, _, fragment = target.partition("#")
        found = page.parent / path if path else page
        assert found.exists(), f"{named(page)} links to {target}"
        if fragment and found.suffix == ".md":
            assert fragment in anchors(found), f"{named(page)} links to {target}"


def test_the_readme_is_light_and_begins_with_its_commands() -> None:
    text = README.read_text()
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert sum((ROOT / path).stat().st_size for path in pictures) <= 2_000_000
    first = text[: text.index("![")]
    assert "\npip install -e . && python scripts/plan.py --render\n" in first
    assert '\npip install -e ".[dev]" && pytest\n' in first


def test_the_readme_states_the_measured_result() -> None:
    rows = json.loads((ROOT / "docs/experiments/base.json").read_text())["tables"]["test"]["rows"]
    by_policy = {row["policy"]: row for row in rows}
    agent, rival = by_policy["agent, pooled"], by_policy["random"]
    text = README.read_text().replace("\n", " ")
    solved = round(agent["success"] / 100 * agent["episodes"])
    assert f"{solved:,} of {agent['episodes']:,} goals" in text
    assert f"{agent['steps_ratio']:.2f} times the fewest possible steps" in text
    assert f"random actions reach {rival['success']} %" in text


@pytest.mark.parametrize("page", [page for page in PAGES if page not in OLD], ids=named)
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    paths = re.findall(r"(?:jepa_agent|envs|planners|scripts|tests)/[\w./-]+\.py", text)
    missing = {path for path in paths if not (ROOT / path).exists()}
    assert missing <= {"scripts/NAME.py"}


def commands(page: Path) -> list[str]:
    """The shell lines of a page's blocks and the commands in its prose."""
    text = page.read_text()
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.DOTALL)
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL).replace("\n", " ")
    lines = re.sub(r"\\\n\s*", " ", "\n".join(blocks)).splitlines()
    lines += re.findall(r"`([^`]+)`", prose)
    return [part.strip() for line in lines for part in line.split("&&")]


def words(line: str) -> list[str]:
    """A command and what it gets, with a number in the place of every variable of the shell."""
    line = re.sub(r"^([A-Z_]+=\S+ +)*", "", line)
    if not re.match(r"(jepa-agent|python|torchrun) ", line):
        return []
    return shlex.split(re.sub(r"\$\(\(.*?\)\)|\$\w+", "0", line), comments=True)


ASKED = sorted(
    {
        (named(page), *words(line))
        for page in PAGES
        if page not in OLD
        for line in commands(page)
        if words(line) and not re.search(r"(agent |/)NAME", line)
    }
)


@pytest.mark.parametrize("asked", ASKED, ids=" ".join)
def test_commands_of_the_pages_are_understood(
    asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Their options are parsed; what they do is left out."""
    _, program, *arguments = asked
    monkeypatch.setitem(sys.modules, "my_module", types.SimpleNamespace(PRESET=QUICK))
    for each in pkgutil.iter_modules(cli.__path__, f"{cli.__name__}."):
        module = importlib.import_module(each.name)
        if hasattr(module, "main"):
            monkeypatch.setattr(module, "main", lambda parsed: 0)
    script = next((ROOT / each for each in arguments if each.endswith(".py")), None)
    if script is not None:
        arguments = arguments[arguments.index(named(script)) + 1 :]
        if script.parent.name == "experiments":
            assert hasattr(load(script), "main")
            return
    has_options = any(each.startswith("-") for each in arguments)
    monkeypatch.setattr(sys, "argv", [program, *arguments, *([] if has_options else ["--help"])])
    with pytest.raises(SystemExit) as stop:
        cli.main() if script is None else runpy.run_path(str(script), run_name="__main__")
    assert not stop.value.code, capsys.readouterr().err
