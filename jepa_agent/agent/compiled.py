"""The search compiled as a whole, with plans that stay what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..device import check_compiler
from ..planners import Plan, Trace

Search = Callable[..., Plan]
"""See `JEPAAgent._plan_from_latents`."""


def compiled(search: Search, device: torch.device) -> Search:
    """The same search, faster from its third call with tensors of the same shapes on.

    On a GPU it is replayed as CUDA graphs, whose results the next replay overwrites: a plan that
    was found is copied, so that a caller may keep it.

    Args:
        search: the search.
        device: where it computes.

    Raises:
        ValueError: if this machine has no compiler.
    """
    check_compiler(device)
    mode = "reduce-overhead" if device.type == "cuda" else None
    fast = torch.compile(search, mode=mode, dynamic=False)

    def kept(*problem: Any) -> Plan:
        actions, cost, trace = fast(*problem)
        copies = (tuple(each.clone() for each in found) for found in trace)
        return Plan(actions.clone(), cost.clone(), Trace(*copies))

    return kept
