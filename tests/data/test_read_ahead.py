"""What a generator leads to is read before it is asked for, or not at all."""

from __future__ import annotations

import threading

import pytest
import torch

from jepa_agent.data.read_ahead import ReadAhead


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(source: torch.Generator) -> torch.Tensor:
    return torch.rand(3, generator=source)


def test_it_gives_what_the_generator_would_have_drawn_and_leaves_it_alone() -> None:
    ahead, source = ReadAhead(draw), generator()
    state = source.get_state()
    ahead.begin(source)
    assert torch.equal(source.get_state(), state)
    read = ahead.take(state)
    assert read is not None
    assert torch.equal(read, draw(source))
    assert ahead.take(state) is None, "it is given once"
    ahead.close()


def test_another_state_gets_nothing() -> None:
    ahead = ReadAhead(draw)
    assert ahead.take(generator().get_state()) is None
    ahead.begin(generator(0))
    assert ahead.take(generator(1).get_state()) is None
    assert ahead.take(generator(0).get_state()) is None, "what was begun is gone"
    ahead.close()


def test_it_reads_in_another_thread_which_ends() -> None:
    readers: list[threading.Thread] = []

    def read(source: torch.Generator) -> torch.Tensor:
        readers.append(threading.current_thread())
        return draw(source)

    ahead = ReadAhead(read)
    for _ in range(2):  # it begins anew after it was closed
        ahead.begin(generator())
        ahead.take(generator().get_state())
        assert readers[-1] is not threading.current_thread()
        ahead.close()
        assert not readers[-1].is_alive()


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    def read(_: torch.Generator) -> torch.Tensor:
        raise OSError("the disk is gone")

    ahead = ReadAhead(read)
    ahead.begin(generator())
    with pytest.raises(OSError, match="the disk is gone"):
        ahead.take(generator().get_state())
    ahead.close()
