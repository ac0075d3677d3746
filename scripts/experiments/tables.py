"""Write the tables of README and docs/ from the figures in docs/experiments/*.json.

python scripts/experiments/tables.py

A page holds a pair of comments; what stands between them is replaced:

    <!-- table: base.test | agent, pooled | random -->     rows of docs/experiments/base.json
    <!-- run: base.test -->                                the commands, all rows, and a caption
    <!-- end -->
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "experiments"
BLOCK = re.compile(r"<!-- (table|run): ([\w-]+)\.([\w-]+)(.*?) -->\n.*?<!-- end -->", re.DOTALL)


def main() -> None:
    for page in pages():
        old = page.read_text()
        new = filled(old)
        if new != old:
            page.write_text(new)
            print(f"wrote {page.relative_to(ROOT)}")


def pages() -> list[Path]:
    """README and all pages of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def filled(text: str) -> str:
    """A page's text with its tables as the figures have them."""
    return BLOCK.sub(_block, text)


def markdown(table: dict[str, Any], only: tuple[str, ...] = ()) -> str:
    """A table of figures, its columns formatted as it says; rows chosen by their first cell."""
    forms = table["columns"]
    lines = [list(forms)]
    rows = [[_cell(form, row) for form in forms.values()] for row in table["rows"]]
    unknown = set(only) - {row[0] for row in rows}
    if unknown:
        raise ValueError(f"rows must be among {[row[0] for row in rows]}, got {sorted(unknown)}")
    for cells, row in zip(rows, table["rows"], strict=True):
        if not only or cells[0] in only:
            bold = row.get("bold", False)
            lines.append([f"**{cell}**" if bold and cell else cell for cell in cells])
    head, *body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(forms), *body])


def _cell(form: str, row: dict[str, Any]) -> str:
    """A value that is a string, such as a remark in the place of a number, stands as it is."""
    key = re.findall(r"\{(\w+)", form)[0]
    value = row.get(key, "")
    return value if isinstance(value, str) else form.format(**row)


def _block(match: re.Match[str]) -> str:
    kind, file, name, only = match.groups()
    table = json.loads((FIGURES / f"{file}.json").read_text())["tables"][name]
    parts = [markdown(table, tuple(filter(None, map(str.strip, only.split("|")))))]
    if kind == "run":
        if "commands" in table:
            parts.insert(0, "\n".join(["```bash", *table["commands"], "```"]))
        labels = {"commit": "Commit: ", "seeds": "Seeds: ", "conditions": "Conditions: "}
        caption = [f"{label}{table[key]}." for key, label in labels.items() if key in table]
        parts += [f"*{' '.join(caption)}*"] if caption else []
    opening = match.group(0).partition("\n")[0]
    return "\n\n".join([opening, *parts, "<!-- end -->"])


if __name__ == "__main__":
    main()
