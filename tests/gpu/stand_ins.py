"""What stands for parts of torch on a pretended GPU: its compiler; and caches."""

from __future__ import annotations

import functools
import sys
import types
from typing import Any


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
