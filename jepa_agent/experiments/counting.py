"""What operators of torch compute, read, write and keep: counted, not timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry


class Counted(TorchDispatchMode):
    """Counts what is done within: `with Counted() as counted: ...`."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[torch.dtype] = Counter()
        """Floating-point operations by the type of their numbers: 2 for a multiplication with an
        addition."""
        self.moved = 0
        """Bytes that all operators read and write, each on its own, as if nothing were cached."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        values = tree_leaves((args, kwargs, result))
        tensors = [each for each in values if isinstance(each, Tensor)]
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.operations[tensors[0].dtype] += count(*args, **kwargs, out_val=result)
        if not func.is_view:
            self.moved += sum(each.numel() * each.element_size() for each in tensors)
        return result


@contextmanager
def kept_for_gradients() -> Iterator[Callable[[], int]]:
    """How many bytes the forward passes within keep for backward ones, parameters left out."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not (tensor.is_leaf and tensor.requires_grad):
            memory = tensor.untyped_storage()
            kept[memory._cdata] = memory.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield lambda: sum(kept.values())
