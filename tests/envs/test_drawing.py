"""Surfaces, arrays and windows, without a display."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from jepa_agent.envs.drawing import Window, from_array, has_display, to_array


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine on which no window can be opened."""
    import pygame

    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "no such driver")
    yield
    pygame.display.quit()


def test_an_array_becomes_a_surface_and_an_array_again() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    surface = from_array(frame)
    assert surface.get_size() == (7, 5)
    assert tuple(surface.get_at((6, 2)))[:3] == tuple(frame[2, 6])
    np.testing.assert_array_equal(to_array(surface), frame)


def test_a_dummy_display_is_none() -> None:
    assert not has_display()


def test_without_a_display_windows_are_refused_with_a_way_out(no_display: None) -> None:
    assert not has_display()
    with pytest.raises(RuntimeError, match=r"needs a display, got .*SDL_VIDEODRIVER=dummy"):
        Window("title", 30)
