"""The commands, one file each: `jepa-agent COMMAND`, or `python -m jepa_agent COMMAND`."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

COMMANDS = {
    "plan": ("plan", "watch an agent plan, and poke it"),
    "play": ("play", "drive the agent yourself"),
    "check": ("check", "see what an environment offers, and what is missing"),
    "collect": ("collect", "record trajectories into a file"),
    "import": ("import_data", "write data of other programs as such a file"),
    "train": ("train", "train a world model and save it as an agent"),
    "distil": ("distil", "teach an agent to propose what its planner decides"),
    "evaluate": ("evaluate", "score an agent beside simple policies"),
    "calibrate": ("calibrate", "learn when an agent fails, for it to say so"),
    "export": ("export", "write an agent as a file for ONNX or torch.export"),
    "rank": ("rank", "rank checkpoints without planning, on held-out data"),
    "compare sb3": ("compare_sb3", "score it beside Stable-Baselines3; `compare` for short"),
    "compare planners": ("compare_planners", "score planners beside each other"),
    "pretrain image": ("pretrain_image", "pretrain a backbone on images"),
    "pretrain video": ("pretrain_video", "pretrain a backbone on videos"),
    "ablate": ("ablate", "train variants of a system and compare them"),
    "benchmark": ("benchmark", "measure speed"),
}
"""Each command's module and description."""

NOTES = """
--version            the version
--debug              with a command: the traceback of an error
--tyro-write-completion bash ~/.local/share/bash-completion/completions/jepa-agent
                     complete commands and options by TAB; also zsh, fish, tcsh"""


def main(*words: str, argv: Sequence[str] | None = None) -> None:
    """Run a command; its exit status is raised as `SystemExit`.

    Args:
        words: of the command's name, before the arguments.
        argv: the arguments; those of the process by default.
    """
    arguments = [*words, *(sys.argv[1:] if argv is None else argv)]
    debug = "--debug" in arguments
    arguments = [_expand(each) for each in arguments if each != "--debug"]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        raise SystemExit(0)
    if arguments[0] == "--version":
        from .. import __version__

        print(f"jepa-agent {__version__}")
        raise SystemExit(0)
    from .errors import errors_in_one_line

    if debug:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("jepa_agent").setLevel(logging.DEBUG)
    with errors_in_one_line(debug):
        for index, word in enumerate(arguments):
            if word.startswith("--tyro-"):
                from .completion import complete

                complete(arguments[index:])
        raise SystemExit(_run(*_split(arguments)))


def _expand(argument: str) -> str:
    """An option with its home folder named, which shells leave out of `--out=~/run`."""
    flag, equals, value = argument.partition("=")
    return flag + equals + os.path.expanduser(value)


def _split(arguments: list[str]) -> tuple[str, list[str]]:
    """A command's name, of one word or two, and its options."""
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name in COMMANDS:
            return name, arguments[words:]
    if arguments[0] == "compare":
        return "compare sb3", arguments[1:]
    print(f"{_overview()}\n\nerror: there is no command {arguments[0]!r}", file=sys.stderr)
    raise SystemExit(2)


def _run(name: str, options: list[str]) -> int | None:
    import tyro

    from .console import resumable

    module: Any = importlib.import_module(f".{COMMANDS[name][0]}", __name__)
    about = {"description": module.__doc__, "prog": f"jepa-agent {name}", "args": options}
    if hasattr(module, "PRESETS"):
        choices = module.choices(options) if hasattr(module, "choices") else module.PRESETS
        parsed = tyro.extras.overridable_config_cli(choices, **about)
    else:
        parsed = tyro.cli(module.Args, **about)
    with resumable(getattr(parsed, "out", None)):
        return module.main(parsed)


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}} {what}" for name, (_, what) in COMMANDS.items()]
    usage = "usage: jepa-agent COMMAND [OPTIONS]    (COMMAND --help explains its options)"
    return "\n".join([usage, "", *lines, NOTES])
