"""Pictures painted piece by piece are those painted as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from jepa_agent.envs.pictures import Canvas

RADIUS = 7.5
BLUE, RED = (0.0, 0.0, 255.0), (200.0, 30.0, 10.0)


def painted(x: Any, y: Any, up: bool, pieces: bool) -> Any:
    """A small disc about each point, and a larger one at the same height in the middle."""
    canvas = Canvas(x, 64, corner=(-50.0, 50.0 if up else -50.0), extent=100.0, up=up)
    canvas.blend(canvas.columns(0.0, 20.0), RED)
    for place, radius, colour in (((x, y), RADIUS, BLUE), ((0 * x, y), 2 * RADIUS, RED)):
        part = canvas.around(*place, reach=radius) if pieces else canvas
        part.paint(part.disc(*place, radius), colour)
    return canvas.image()


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_a_shape_is_painted_in_the_piece_about_it_as_it_is_everywhere(kind: Any, up: bool) -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-70, 70, (4, 25, 2)).astype(np.float32)  # some lie outside
    x, y = kind(places[..., 0]), kind(places[..., 1])
    whole, piecewise = painted(x, y, up, pieces=False), painted(x, y, up, pieces=True)
    assert piecewise.shape == (4, 25, 64, 64, 3)
    assert (piecewise == whole).all()
    single = painted(x[0, 0], y[0, 0], up, pieces=True)
    assert (single == whole[0, 0]).all()


def test_a_piece_as_large_as_the_picture_is_the_picture() -> None:
    x = torch.tensor([3.0, -40.0])
    canvas = Canvas(x, 16, corner=(0.0, 0.0), extent=16.0)
    assert canvas.around(x, x, reach=100.0).x.shape == (2, 1, 16)
