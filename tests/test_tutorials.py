"""The tutorials run from the first cell to the last, and what they promise is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"
TUTORIALS = DOCS / "tutorials"
PAGES = [DOCS / "index.md", DOCS / "your-data.md", *sorted((DOCS / "how-to").glob("*.md"))]
PROMISES = {
    "plan-in-a-world.md": """
for door, stop in ((20, 55), (45, 34)):  # through the door, or at the wall of x = 32
    for path in imagine((15.0, 20.0), door):
        assert (path[-1, 0] > stop) == (door == 20)
assert distance((42.0, 15.0))[0] > 1.5 * distance((22.0, 35.0))[0]
assert rows[0].success >= 0.9 > 0.3 > rows[1].success
""",
    "own-environment.md": "assert rows[0].success >= 0.8 > 0.2 > rows[1].success",
}


def test_every_tutorial_is_run() -> None:
    assert {path.name for path in TUTORIALS.glob("*.md")} == set(PROMISES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Jupyter's own
@pytest.mark.parametrize("name", PROMISES)
def test_a_tutorial_keeps_its_promises(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jupytext, nbclient = pytest.importorskip("jupytext"), pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = jupytext.read(TUTORIALS / name)
    notebook.cells.append(nbformat.v4.new_code_cell(PROMISES[name]))
    client = nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    assert any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From top to bottom; trainings are cut short, and nothing is uploaded."""
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        if "push_to_hub" not in code:
            short = "steps=3, refinement=replace(VECTOR.training.refinement, steps=2)"
            code = code.replace("steps=4000", short).replace("1_000_010", "1_000_002")
            exec(code, names)
    assert names
