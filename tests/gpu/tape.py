"""A stand-in for CUDA graphs: it records operators and the tensors they read and write.

As in a real graph, nothing that Python does is kept: replaying runs the same operators on the same
tensors, results are written where they were, and random numbers come from generators that are
registered. What was recorded has not happened: tensors and generators are put back. What CUDA
refuses while it records raises: waits of the host, and copies from or to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

WAITS = {
    "_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal",
    "unique_consecutive", "bincount", "linalg_svdvals", "_linalg_svd", "_linalg_eigh",
    "_linalg_solve_ex", "histc", "is_nonzero",
}  # fmt: skip
"""Operators whose result's size or value the host needs."""
INDEXING = {"index", "index_put", "index_put_", "_unsafe_index", "_index_put_impl_"}
Uncounted = Callable[[], AbstractContextManager[Any]]


def masks(name: str, args: tuple[Any, ...]) -> bool:
    """Whether an operator picks by a mask, so that the host must know how many."""
    return name in INDEXING and any(
        each is not None and each.dtype in (torch.bool, torch.uint8) for each in args[1]
    )


def held(tensor: torch.Tensor) -> torch.Tensor:
    """Where a tensor's numbers are."""
    return getattr(tensor, "held", tensor)


def storage(tensor: torch.Tensor) -> int:
    """What tensors that are views of each other have in common."""
    return held(tensor).untyped_storage()._cdata


@contextmanager
def on_numbers() -> Iterator[None]:
    """Run operators as they are, on the tensors that are held: nobody counts or checks them."""
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        yield


class Graph:
    """Stands for `torch.cuda.CUDAGraph`.

    Args:
        device: of the tensors whose operators are recorded.
        uncounted: a context in which launches are not counted.
    """

    def __init__(self, device: str = "cuda", uncounted: Uncounted = nullcontext) -> None:
        self.device, self.uncounted = device, uncounted
        self.generators: list[torch.Generator] = []
        self.calls: list[tuple[Any, tuple, dict, list[torch.Tensor]]] = []
        self.replays = 0

    def register_generator_state(self, generator: torch.Generator) -> None:
        """Let random numbers come from a generator."""
        self.generators.append(generator)

    def replay(self) -> None:
        """Run what was recorded."""
        self.replays += 1
        with self.uncounted(), on_numbers(), torch._C._AutoDispatchBelowAutograd():
            for func, args, kwargs, places in self.calls:
                made = func(*args, **kwargs)
                for place, new in zip(places, tensors_of(made), strict=True):
                    if storage(place) != storage(new):
                        place.copy_(new)

    def keep(self, func: Any, args: Any, kwargs: Any, made: list[torch.Tensor]) -> None:
        """Add an operator, with the numbers that it reads and writes."""
        kwargs = with_tensors(kwargs, held)
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        self.calls.append((func, with_tensors(args, held), kwargs, [held(each) for each in made]))


def tensors_of(values: Any) -> list[torch.Tensor]:
    """The tensors among values, and in lists of them."""
    if isinstance(values, torch.Tensor):
        return [values]
    if isinstance(values, dict):
        values = values.values()
    elif not isinstance(values, list | tuple):
        return []
    return [tensor for each in values for tensor in tensors_of(each)]


def with_tensors(values: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """Values, or lists of them, with every tensor changed (torch's own trees take three times as
    long, half the time of all checks)."""
    if isinstance(values, torch.Tensor):
        return change(values)
    if isinstance(values, dict):
        return {name: with_tensors(each, change) for name, each in values.items()}
    if isinstance(values, list | tuple):
        made = [with_tensors(each, change) for each in values]
        return made if isinstance(values, list) else tuple(made)
    return values


class Recording(TorchDispatchMode):
    """Stands for `torch.cuda.graph`."""

    active = 0
    """Recordings in progress."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, and the wrapper against it takes time at every operator."""
        return False

    def __init__(self, graph: Graph, capture_error_mode: str = "global") -> None:
        super().__init__()
        assert capture_error_mode == "thread_local", "other threads would disturb a recording"
        self.graph = graph
        self.made: set[int] = set()
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __enter__(self) -> Recording:
        self.states = [each.get_state() for each in self.graph.generators]
        Recording.active += 1
        self.counting = self.graph.uncounted()
        self.counting.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *failure: Any) -> None:
        super().__exit__(*failure)
        Recording.active -= 1
        with on_numbers():
            for memory, copy in self.before.values():
                memory.copy_(copy)
        for generator, state in zip(self.graph.generators, self.states, strict=True):
            generator.set_state(state)
        self.counting.__exit__(*failure)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name, inputs = func._schema.name.partition("::")[2], tensors_of((args, kwargs))
        here = [each for each in inputs if each.device.type == self.graph.device]
        if here and (name in WAITS or masks(name, args)):
            raise RuntimeError(f"operation not permitted when stream is capturing: {name} waits")
        if kwargs.get("generator") is not None:  # another object for the same generator
            registered = {each._cdata: each for each in self.graph.generators}
            if kwargs["generator"]._cdata not in registered:
                raise RuntimeError("Attempt to use an unregistered generator while recording")
            kwargs = {**kwargs, "generator": registered[kwargs["generator"]._cdata]}
        self.keep(func, args, kwargs)
        result = func(*args, **kwargs)
        outputs = tensors_of(result)
        there = [each for each in (*inputs, *outputs) if each.device.type != self.graph.device]
        copies = name in ("copy_", "_to_copy")
        if copies and there and (here or len(there) < len(inputs) + len(outputs)):
            raise RuntimeError(f"operation not permitted when stream is capturing: {name}")
        if not here and not any(each.device.type == self.graph.device for each in outputs):
            return result
        known = {storage(each) for each in inputs}
        is_view = all(storage(each) in known for each in outputs) and not func._schema.is_mutable
        if not (is_view and outputs):
            self.graph.keep(func, args, kwargs, outputs)
        self.made |= {storage(each) for each in outputs if storage(each) not in known}
        return result

    def keep(self, func: Any, args: tuple, kwargs: dict) -> None:
        """Note the numbers of tensors from before the recording that an operator overwrites."""
        for index, wanted in enumerate(func._schema.arguments):
            if wanted.alias_info is None or not wanted.alias_info.is_write:
                continue
            value = args[index] if index < len(args) else kwargs.get(wanted.name)
            for each in tensors_of(value):
                place = storage(each)
                if place not in self.made and place not in self.before:
                    with on_numbers():
                        memory = held(each).untyped_storage()
                        self.before[place] = (memory, memory.clone())
