"""What stands for parts of torch on a pretended GPU: a fused kernel, the compiler; and caches."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

import torch


def _gru(gates: Any, hidden_gates: Any, hidden: Any, bias: Any = None, hidden_bias: Any = None):
    """What CUDA fuses and the CPU has no kernel for."""
    if bias is not None:
        gates, hidden_gates = gates + bias, hidden_gates + hidden_bias
    (ri, zi, ni), (rh, zh, nh) = gates.chunk(3, 1), hidden_gates.chunk(3, 1)
    r, z = (ri + rh).sigmoid(), (zi + zh).sigmoid()
    n = (ni + r * nh).tanh()
    return (hidden - n) * z + n, torch.cat([r, z, n, hidden, nh], dim=1)


def _gru_backward(grad: Any, workspace: Any, has_bias: bool):
    r, z, n, hidden, nh = workspace.chunk(5, 1)
    dn = grad * (1 - z) * (1 - n * n)
    dz, dr = grad * (hidden - n) * z * (1 - z), dn * nh * r * (1 - r)
    into, onto = torch.cat([dr, dz, dn], dim=1), torch.cat([dr, dz, dn * r], dim=1)
    biases = (into.sum(0), onto.sum(0)) if has_bias else (None, None)
    return into, onto, grad * z, *biases


GRU_CELLS = {"_thnn_fused_gru_cell": _gru, "_thnn_fused_gru_cell_backward": _gru_backward}


def without_compiler() -> None:
    """Give optimisers what they ask of torch's compiler, whose import takes a second."""
    module: Any = types.ModuleType("torch._dynamo")
    module.disable = lambda function, *_, **__: function
    module.graph_break = lambda: None
    sys.modules.setdefault(module.__name__, module)


def no_rule(*_: Any) -> None:
    """What torch is told at every operator: nothing here has rules of its own."""


def clear_caches() -> None:
    """Forget tensors that caches of functions hold."""
    for name in list(sys.modules):
        if name.startswith("jepa_agent"):
            for each in _caches(name):
                each.cache_clear()


@functools.cache
def _caches(module: str) -> list[functools._lru_cache_wrapper]:
    values = vars(sys.modules[module]).values()
    return [each for each in values if isinstance(each, functools._lru_cache_wrapper)]
