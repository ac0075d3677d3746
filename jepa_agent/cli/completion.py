"""Completion of commands and options in a shell."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Annotated, Any, Union

import tyro

from . import COMMANDS


def complete(options: Sequence[str]) -> None:
    """Print, or write into a file, the completion of all commands.

    Args:
        options: `--tyro-print-completion SHELL` or `--tyro-write-completion SHELL FILE`.
    """
    tyro.cli(_choice(COMMANDS), prog="jepa-agent", args=options)  # exits


def _choice(modules: dict[str, tuple[str, str]]) -> Any:
    """A union of commands by name; two words make a union in a union."""
    kinds: dict[str, Any] = {}
    for name, (module, what) in modules.items():
        first, _, second = name.partition(" ")
        group = {key.split()[-1]: m for key, m in modules.items() if key.split()[0] == first}
        kind = _choice(group) if second else _arguments(module)
        kinds[first] = Annotated[kind, tyro.conf.subcommand(first, description=what)]
    return Union[tuple(kinds.values())]  # noqa: UP007


def _arguments(name: str) -> Any:
    module: Any = importlib.import_module(f".{name}", __package__)
    if not hasattr(module, "PRESETS"):
        return module.Args
    defaults = {key: default for key, (_, default) in module.PRESETS.items()}
    return tyro.extras.subcommand_type_from_defaults(defaults)
