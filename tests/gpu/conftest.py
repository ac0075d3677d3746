"""CUDA graphs of operators on the CPU."""

from __future__ import annotations

import contextlib

import pytest
import torch

from .tape import Graph, Recording


class Stream:
    """All is done at once."""

    def wait_stream(self, stream: Stream) -> None:
        pass


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """All graphs made, of operators on the CPU."""
    made: list[Graph] = []

    def new() -> Graph:
        made.append(Graph("cpu"))
        return made[-1]

    monkeypatch.setattr(torch.cuda, "CUDAGraph", new)
    monkeypatch.setattr(torch.cuda, "graph", Recording)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    return made
