"""Check an environment: what it offers, what will work, and how to add what is missing.

$ jepa-agent check Pendulum-v1
$ jepa-agent check mypkg:Maze-v0 --env-kwargs size=9
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tyro
from rich.console import Console
from rich.table import Table

from ..worlds.check import Finding, check
from .environments import reference


@dataclass(frozen=True)
class Args:
    """What to check."""

    env: tyro.conf.Positional[str]
    """Any registered Gymnasium environment; "module:Name-v0" imports the module first."""
    env_kwargs: tuple[str, ...] = ()
    """Arguments of the environment, key=value with JSON values, or one JSON object."""
    wrapper: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A wrapper, "package.module:Name key=value ...", called with the environment."""
    pixels: bool = False
    """Show rendered frames as observations."""
    size: int = 0
    """Height and width of these frames; 0 for those that the environment renders."""
    history: int = 1
    """Frames per observation."""


def main(args: Args) -> int:
    ref = reference(args.env, args.env_kwargs, args.wrapper, args.pixels, args.size, args.history)
    report, console = check(ref), Console()
    console.print(table("required", report.required))
    if report.is_usable:
        console.print(table("what it offers besides", report.offers, "how to add it: what for"))
        console.print(table("what will work", report.works, "how"))
    return 0 if report.is_usable else 1


def table(title: str, findings: Sequence[Finding], advice: str = "how to mend it") -> Table:
    """Findings, with advice for those that are missing, or for all on `how`."""
    shown = Table(title=title, title_justify="left")
    for column in ("", "found", advice):
        shown.add_column(column, overflow="fold")
    for each in findings:
        style = "" if each.is_there else "yellow"
        how = "" if each.is_there and advice != "how" else each.advice
        shown.add_row(each.what, each.found, how, style=style)
    return shown
