"""One rule for the device, whatever the machine has."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch

from jepa_agent import JEPAAgent, load_backbone
from jepa_agent.device import missing_compiler, resolve_device
from jepa_agent.io import checkpoint
from jepa_agent.io.serialisation import to_dict
from jepa_agent.memory import lack_of_memory
from jepa_agent.models.backbones import Backbone, BackboneConfig, ResNetConfig
from jepa_agent.pretraining.video import VideoConfig, VideoModel, load_video_model


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


CPU_IS_FULL = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 400000000000000 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError(CPU_IS_FULL)]
)
@pytest.mark.parametrize(
    ("load", "where"),
    [
        (JEPAAgent.load, "to"),
        *product(
            [JEPAAgent.load, load_backbone, load_video_model],
            ["register_parameter", "load_state_dict"],
        ),
    ],
)
def test_a_model_that_does_not_fit_is_no_damaged_checkpoint(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny_agent: JEPAAgent,
    load: Callable[[Path], object],
    where: str,
    error: Exception,
) -> None:
    """While it is built, while it is loaded, on its way to a device."""
    network = BackboneConfig((64, 64, 1), ResNetConfig(2, (8,), (1,), 4))
    if load == JEPAAgent.load:
        tiny_agent.save(tmp_path)
    elif load is load_backbone:
        Backbone(network).save(tmp_path)
    else:
        config = VideoConfig(network)
        tensors = VideoModel(config).state_dict()
        checkpoint.save(tmp_path / "model", tensors, {"video": to_dict(config)})

    def full(*_: object) -> None:
        raise error

    load(tmp_path)
    monkeypatch.setattr(torch.nn.Module, where, full)
    with pytest.raises(type(error)) as caught:
        load(tmp_path)
    assert caught.value is error


def test_the_cpus_lack_of_memory_is_known() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**14)
    says = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 400000000000000 bytes"
    assert lack_of_memory(caught.value) == says


def test_a_lack_of_memory_is_told_from_other_errors() -> None:
    assert lack_of_memory(MemoryError()) == "no more"
    assert lack_of_memory(RuntimeError("MPS backend out of memory")) == "MPS backend out of memory"
    assert lack_of_memory(RuntimeError("a bug")) is None
    assert lack_of_memory(ValueError("out of memory")) is None


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


FAULTS = """
import resource, torch
from jepa_agent.device import memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        tensors = [torch.ones(2**power) for power in (20, 22, 24, 21, 23)]
        del tensors
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with memory_kept():
    faults()
    kept = faults()
print(kept, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts page faults of Linux with glibc")
def test_memory_of_large_tensors_is_used_again() -> None:
    """In a process of its own, since what others have allocated lies in the way."""
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    kept, not_kept = map(int, done.stdout.split())
    assert kept < not_kept / 2
