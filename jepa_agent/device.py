"""Choosing the device to compute on."""

from __future__ import annotations

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
            f"device must be 'auto' or one of {found} on this machine, got {name!r}; use 'auto'"
        )
    return torch.device(name)
