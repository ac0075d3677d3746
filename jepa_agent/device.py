"""The device to compute on, whether code can be compiled for it, and memory of the CPU."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Iterator

import torch


def resolve_device(device: torch.device | str = "auto") -> torch.device:
    """Find a device: "auto" is a CUDA GPU if there is one, else an Apple GPU, else the CPU.

    Args:
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        ValueError: if there is no such device.
    """
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.insert(0, "mps")
    if torch.cuda.is_available():
        found[:0] = ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    name = found[0] if str(device) == "auto" else str(device)
    if name not in found:
        raise ValueError(
            f"device must be 'auto' or one of {found}, got {name!r}: there is no {name} on this "
            "machine; use 'auto'"
        )
    return torch.device(name)


def missing_compiler(device: torch.device) -> str | None:
    """What `torch.compile` needs for a device and this machine lacks; None if nothing."""
    if device.type == "cuda":  # Triton, which builds its launchers with a C compiler
        if importlib.util.find_spec("triton") is None:
            return "the package triton"
        variable, names = "CC", ["gcc", "clang"]
    else:
        variable, names = "CXX", ["clang++" if sys.platform == "darwin" else "g++"]
    if variable in os.environ:
        names = shlex.split(os.environ[variable])[:1]
    found = any(shutil.which(name) for name in names)
    return None if found else f"the compiler {' or '.join(names)}"


def check_compiler(device: torch.device) -> None:
    """Check that `torch.compile` can be used.

    Raises:
        ValueError: naming what is missing.
    """
    missing = missing_compiler(device)
    if missing:
        raise ValueError(
            f"compiling for {device.type} needs {missing}, got a machine without; install it, or "
            "do not compile"
        )


@contextlib.contextmanager
def memory_kept() -> Iterator[None]:
    """Keep memory that tensors on the CPU free for the next ones, instead of giving it back.

    By default, glibc asks the system for every large tensor, which clears its pages anew: about
    a quarter of a training step with images. Elsewhere, nothing changes. At the end, memory goes
    back to the system.
    """
    trim_threshold, mmap_max = -1, -4
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    if libc is None or not hasattr(libc, "malloc_trim"):
        yield
        return
    libc.mallopt(trim_threshold, 2**31 - 1)
    libc.mallopt(mmap_max, 0)
    try:
        yield
    finally:
        libc.mallopt(trim_threshold, 128 * 1024)  # the defaults
        libc.mallopt(mmap_max, 65536)
        libc.malloc_trim(0)
