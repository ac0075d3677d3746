"""What MkDocs does beside its plugins: find the packages, and turn formulas into MathML."""

from __future__ import annotations

import html
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.plugins import event_priority

ROOT = Path(__file__).parent.parent
FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', flags=re.DOTALL)


@event_priority(50)  # before mkdocstrings reads its own
def on_config(config: Any) -> None:
    """Lay the packages out as they install, so that the reference is read without importing."""
    sources = Path(tempfile.gettempdir()) / f"jepa-agent-docs-{ROOT.stat().st_ino}"
    shutil.rmtree(sources, ignore_errors=True)
    for package in ("jepa_agent", "envs", "planners"):
        inside = "" if package == "jepa_agent" else "jepa_agent"
        shutil.copytree(
            ROOT / package,
            sources / inside / package,
            ignore=shutil.ignore_patterns("checkpoints", "__pycache__"),
        )
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [str(sources)]


def on_page_content(content: str, **_: Any) -> str:
    """Browsers draw MathML themselves; no script is needed."""
    return FORMULA.sub(_mathml, content)


def _mathml(found: re.Match[str]) -> str:
    kind, formula = found[1], html.unescape(found[2]).strip()
    return convert(formula[2:-2].strip(), display="block" if kind == "div" else "inline")
