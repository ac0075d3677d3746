"""One rule for the device, whatever the machine has."""

from __future__ import annotations

import importlib.util
import sys

import pytest
import torch

from jepa_agent import JEPAAgent
from jepa_agent.device import memory_kept, missing_compiler, resolve_device


def machine(patch: pytest.MonkeyPatch, gpus: int, apple: bool) -> None:
    """Pretend to have some GPUs."""
    patch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    patch.setattr(torch.cuda, "device_count", lambda: gpus)
    patch.setattr(torch.backends.mps, "is_available", lambda: apple)


@pytest.mark.parametrize(
    ("gpus", "apple", "chosen"),
    [(2, False, "cuda"), (1, True, "cuda"), (0, True, "mps"), (0, False, "cpu")],
)
def test_auto_is_the_fastest_device_there_is(
    monkeypatch: pytest.MonkeyPatch, gpus: int, apple: bool, chosen: str
) -> None:
    machine(monkeypatch, gpus, apple)
    assert resolve_device() == resolve_device("auto") == torch.device(chosen)
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")


def test_one_of_several_gpus_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 2, False)
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(ValueError, match=r"'cuda:1', 'cpu'.*no cuda:2 on this machine"):
        resolve_device("cuda:2")


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps", "toaster", ""])
def test_a_device_that_is_not_there_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    machine(monkeypatch, 0, False)
    message = rf"^device must be 'auto' or one of \['cpu'\], got '{device}': there is no"
    with pytest.raises(ValueError, match=message):
        resolve_device(device)
    with pytest.raises(ValueError, match=message):
        JEPAAgent.load(device=device)


def test_a_model_that_does_not_fit_is_no_damaged_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(torch.OutOfMemoryError):
        JEPAAgent.load()


@pytest.mark.parametrize(
    ("device", "variable", "missing"),
    [("cpu", "CXX", "the compiler nowhere"), ("cuda", "CC", "the package triton")],
)
def test_compiling_needs_a_compiler(
    monkeypatch: pytest.MonkeyPatch, device: str, variable: str, missing: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv(variable, "nowhere -m64")
    assert missing_compiler(torch.device(device)) == missing
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert missing_compiler(torch.device(device)) == "the compiler nowhere"
    monkeypatch.setenv(variable, f"{sys.executable} -m64")
    assert missing_compiler(torch.device(device)) is None


def test_an_agent_says_that_it_cannot_be_compiled(
    monkeypatch: pytest.MonkeyPatch, tiny_agent: JEPAAgent
) -> None:
    monkeypatch.setenv("CXX", "nowhere")
    with pytest.raises(ValueError, match="compiling for cpu needs the compiler nowhere, got a"):
        tiny_agent.compile()


@pytest.mark.skipif(sys.platform != "linux", reason="counts page faults of Linux with glibc")
def test_memory_of_large_tensors_is_used_again() -> None:
    import resource

    def faults(rounds: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(rounds):
            tensors = [torch.ones(2**power) for power in (20, 22, 24, 21, 23)]
            del tensors
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with memory_kept():
        faults(4)
        kept = faults(4)
    assert kept < faults(4) / 2
