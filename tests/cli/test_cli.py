from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import pytest
import torch

import jepa_agent
from jepa_agent import cli
from jepa_agent.cli import errors
from jepa_agent.planners import CEMConfig

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself_in_80_columns(
    exit_of: Callable, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, said = exit_of(*command.split(), "--help")
    assert code == 0
    assert f"usage: jepa-agent {command}" in said
    module = importlib.import_module(f"jepa_agent.cli.{cli.COMMANDS[command][0]}")
    examples = [line for line in module.__doc__.splitlines() if line.startswith("$ jepa-agent")]
    assert examples
    for example in examples:
        name = "compare" if command == "compare sb3" else command
        assert example.startswith(f"$ jepa-agent {name}")
        assert len(example) <= 80
        assert example in said.splitlines()


def test_without_a_command_all_are_shown(exit_of: Callable) -> None:
    for arguments in ((), ("--help",), ("-h",)):
        code, said = exit_of(*arguments)
        assert code == 0
        for command, (_, what) in cli.COMMANDS.items():
            assert f"  {command} " in said
            assert what in said
        assert "--tyro-write-completion bash" in said


def test_an_unknown_command_is_an_error(exit_of: Callable) -> None:
    for command in ("dance", "pretrain"):
        code, said = exit_of(command)
        assert code == 2
        assert f"there is no command '{command}'" in said


def test_the_version_is_printed(exit_of: Callable) -> None:
    code, said = exit_of("--version")
    assert code == 0
    assert f"jepa-agent {jepa_agent.__version__}" in said


@pytest.mark.parametrize("before", [True, False])
def test_debug_shows_the_traceback(exit_of: Callable, before: bool) -> None:
    command = ("evaluate", "--checkpoint", "nowhere")
    assert "run with --debug" in exit_of(*command)[1]
    with pytest.raises(ValueError, match="nowhere"):
        exit_of(*(("--debug", *command) if before else (*command, "--debug")))


def test_only_errors_that_users_can_mend_lose_their_traceback() -> None:
    with pytest.raises(SystemExit, match="error: No such package"), errors.errors_in_one_line():
        raise ImportError("No such package")
    with pytest.raises(SystemExit, match="Nowhere"), errors.errors_in_one_line():
        gym.make("Nowhere-v0")
    with pytest.raises(SystemExit, match="num_samples"), errors.errors_in_one_line():
        CEMConfig(num_samples=-1)
    with pytest.raises(ValueError, match="not of this library"), errors.errors_in_one_line():
        raise ValueError("not of this library")
    with pytest.raises(KeyError), errors.errors_in_one_line():
        _ = {}["a bug"]
    with pytest.raises(RuntimeError, match="a bug"), errors.errors_in_one_line():
        raise RuntimeError("a bug")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("err == 0. DefaultCPUAllocator: can't allocate memory. Error code 12"),
        MemoryError(),
    ],
)
def test_a_lack_of_memory_ends_in_a_line_that_says_what_helps(error: Exception) -> None:
    says = r"memory must .*layouts-per-batch.*--parallel"
    with pytest.raises(SystemExit, match=says) as caught, errors.errors_in_one_line():
        raise error
    assert not {"Tried", "err", "Error"} & set(str(caught.value).split())
    with pytest.raises(type(error)), errors.errors_in_one_line(debug=True):
        raise error


def test_bash_completes_commands_and_options(exit_of: Callable, tmp_path: Path) -> None:
    code, _ = exit_of("--tyro-write-completion", "bash", "jepa-agent.bash")
    assert code == 0

    def completed(*words: str) -> set[str]:
        quoted = " ".join(f"'{word}'" for word in words)
        script = (
            "source jepa-agent.bash; "
            f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; "
            "_tyro_jepa_agent; echo ${COMPREPLY[@]}"
        )
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    first = {command.split()[0] for command in cli.COMMANDS}
    assert completed("jepa-agent", "") >= first
    assert completed("jepa-agent", "pretrain", "") >= {"image", "video"}
    assert completed("jepa-agent", "plan", "--see") == {"--seed"}
    assert "--training.steps" in completed("jepa-agent", "train", "quick", "--training.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_a_command(exit_of: Callable, shell: str) -> None:
    code, said = exit_of("plan", "--tyro-print-completion", shell)
    assert code == 0
    assert "--checkpoint" in said


def test_scripts_call_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []
    monkeypatch.setattr(cli, "main", lambda *words: called.append(" ".join(words)))
    scripts = sorted(SCRIPTS.glob("*.py"))
    assert len(scripts) == 8
    for script in scripts:
        exec(compile(script.read_text(), script, "exec"), {"__name__": "__main__"})
        assert f"`jepa-agent {called[-1]}`" in script.read_text()
        assert script.stem.startswith(called[-1].replace(" ", "_"))
    assert len(set(called)) == 8


@pytest.mark.parametrize("script", ["figures", "pendulum"])
def test_experiments_explain_themselves(run_script: Callable, script: str) -> None:
    assert f"scripts/experiments/{script}.py" in run_script(f"experiments/{script}.py", "--help")


@pytest.mark.slow
def test_the_pictures_of_how_it_works_are_drawn(run_script: Callable, tmp_path: Path) -> None:
    run_script("experiments/figures.py", "--out", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"energy.png", "imagination.png"}
