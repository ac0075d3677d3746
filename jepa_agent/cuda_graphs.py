"""Work on a CUDA GPU as one graph: one launch instead of a thousand."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

WARM_UP = 3
"""Times that work is launched kernel by kernel first; they make or compile what it needs."""


@contextmanager
def on_another_stream() -> Iterator[None]:
    """Launch on another stream than the default one, which cannot be recorded."""
    stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        yield
    current.wait_stream(stream)


def recorded(
    work: Callable[[], None], what: str, generator: torch.Generator | None = None
) -> torch.cuda.CUDAGraph | None:
    """Record the kernels of some work, without running them.

    Args:
        work: launches kernels, and never waits for them. Tensors that it reads must stay where
            they are: caches that hold some let none go.
        what: its name in the warning, a plural.
        generator: what it draws from, on the GPU.

    Returns:
        A graph to replay; None, with a warning that says why, where the work cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    try:
        if generator is not None:
            graph.register_generator_state(generator)
        # other threads may use the GPU meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            work()
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        warnings.warn(
            f"{what} are launched kernel by kernel, which is slower: they could not be recorded "
            f"as a CUDA graph ({reason})",
            stacklevel=3,
        )
        return None
    return graph
