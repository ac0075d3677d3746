"""The commands, one file each: `jepa-agent COMMAND`, or `python -m jepa_agent COMMAND`."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from typing import Any

COMMANDS = {
    "plan": ("plan", "watch the agent plan, and poke it"),
    "play": ("play", "drive the agent yourself"),
    "collect": ("collect", "record trajectories into a file"),
    "train": ("train", "train a world model"),
    "evaluate": ("evaluate", "score an agent beside simple policies"),
    "compare sb3": ("compare_sb3", "score it beside Stable-Baselines3"),
    "compare planners": ("compare_planners", "score planners beside each other"),
    "pretrain image": ("pretrain_image", "pretrain a backbone on images"),
    "pretrain video": ("pretrain_video", "pretrain a backbone on videos"),
    "ablate": ("ablate", "train variants of a system and compare them"),
    "benchmark": ("benchmark", "measure speed"),
}
"""The module of each command, and what it does."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command; its exit status is raised as `SystemExit`.

    Args:
        argv: the command's name and its options; those of the process by default.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [each for each in arguments if each != "--debug"]
    name, options = _split(arguments)
    if name not in COMMANDS:
        asked = not arguments or arguments[0] in ("-h", "--help")
        print(_overview(), file=sys.stdout if asked else sys.stderr)
        raise SystemExit(0 if asked else f"error: there is no command {' '.join(arguments)!r}")
    from .console import errors_in_one_line, resumable

    module = importlib.import_module(f".{COMMANDS[name][0]}", __name__)
    if debug:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("jepa_agent").setLevel(logging.DEBUG)
    with errors_in_one_line(debug):
        parsed = _parse(module, name, options)
        with resumable(getattr(parsed, "out", None)):
            raise SystemExit(module.main(parsed))


def _split(arguments: list[str]) -> tuple[str, list[str]]:
    """The command's name, of one word or two, and its options."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in COMMANDS:
            return name, arguments[words:]
    return "", arguments


def _parse(module: Any, name: str, options: list[str]) -> Any:
    import tyro

    keywords = {"description": module.__doc__, "prog": f"jepa-agent {name}", "args": options}
    if hasattr(module, "PRESETS"):
        return tyro.extras.overridable_config_cli(module.PRESETS, **keywords)
    return tyro.cli(module.Args, **keywords)


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: jepa-agent COMMAND [OPTIONS]    (COMMAND --help explains its options)",
            "",
            *lines,
            "",
            "--debug shows the traceback of an error.",
        ]
    )
