"""The renderer: against its formula, and read back."""

import weakref
from typing import Any

import numpy as np
import pytest
import torch

from jepa_agent.envs import rendering
from jepa_agent.envs.physics import Layout
from jepa_agent.envs.rendering import locate_dot, read_layout, render

ALL_LAYOUTS = np.array([(x, y, 4) for x in range(20, 45) for y in range(10, 55)], dtype=np.float32)


def random_positions(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    corners = [(a, b) for a in (4.3, 32, 59.7, 59.99999) for b in (4.00001, 4.5, 31.5, 59.7)]
    return np.concatenate([rng.uniform(4.001, 59.999, (n - 16, 2)), corners]).astype(np.float32)


def formula(position: np.ndarray) -> np.ndarray:
    line = np.arange(65.0)
    x, y = position.astype(np.float64).T[:, :, None, None]
    return np.floor(255 * np.exp(-((line - x) ** 2 + (line[:, None] - y) ** 2) / (2 * 1.3**2)))


def assert_equal_but_for_rounding(images: np.ndarray, expected: np.ndarray) -> None:
    """At most one grey level at one pixel in a million."""
    difference = abs(images.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert difference.mean() <= 1e-6


def test_dot_follows_the_formula() -> None:
    position = random_positions(1000)
    images = render(position, Layout.from_array(np.float32([32, 18, 4])))
    assert images.dtype == np.uint8
    assert_equal_but_for_rounding(images[..., 0], formula(position))


@pytest.mark.parametrize("layout", [(32, 18, 4), (20, 10, 4), (44, 54, 3), (11, 8, 4)])
def test_walls_pixel_by_pixel(layout: tuple[int, int, int]) -> None:
    wall_x, door_y, halfwidth = layout[:3]
    image = render(np.float32([50, 30]), Layout.from_array(np.float32(layout)))
    for row in range(65):
        for column in range(65):
            border = row in (4, 60) or column in (4, 60)
            wall = abs(column - wall_x) <= 1 and abs(row - door_y) > halfwidth
            assert image[row, column, 1] == 255 * (border or wall), (row, column)


def test_blue_is_empty_and_the_dot_is_red_alone() -> None:
    image = render(np.float32([40, 20]), Layout.from_array(np.float32([32, 18, 4])))
    assert not image[..., 2].any()
    assert tuple(image[20, 40]) == (255, 0, 0)


def test_batches_broadcast_and_match_single_images() -> None:
    position = random_positions(24).reshape(6, 4, 2)
    layout = ALL_LAYOUTS[:6]
    images = render(position, Layout.from_array(layout[:, None]))
    assert images.shape == (6, 4, 65, 65, 3)
    for row in range(6):
        for time in range(4):
            alone = render(position[row, time], Layout.from_array(layout[row]))
            np.testing.assert_array_equal(images[row, time], alone)


def test_torch_renders_the_same() -> None:
    position, layout = random_positions(500), ALL_LAYOUTS[:500]
    in_numpy = render(position, Layout.from_array(layout))
    in_torch = render(torch.from_numpy(position), Layout.from_array(torch.from_numpy(layout)))
    assert in_torch.dtype == torch.uint8
    assert_equal_but_for_rounding(in_torch.numpy(), in_numpy)


def test_what_dots_are_drawn_with_is_few_and_never_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded CUDA graph reads it where it is, whatever batches are drawn later."""
    kept, make = {}, rendering._patch

    def noted(*asked: Any) -> tuple[torch.Tensor, ...]:
        made = make(*asked)
        kept.update({id(each): weakref.ref(each) for each in made})
        return made

    monkeypatch.setattr(rendering, "_patch", noted)
    layout = Layout(*(torch.full((1,), each) for each in (30.0, 20.0, 8.0)))
    for count in range(130):
        positions = torch.full((count, 2), 20.5)
        images = render(positions, layout)
        assert images.shape == (count, 65, 65, 3)
        assert (images == images[:1]).all()
    assert all(each() is not None for each in kept.values())
    assert len(kept) <= 3 * 9  # three of every power of two up to 256


def test_locate_dot_inverts_render() -> None:
    position = random_positions(2000)
    images = render(position, Layout.from_array(np.float32([32, 18, 4])))
    np.testing.assert_allclose(locate_dot(images), position, atol=0.02)


def test_read_layout_is_exact_on_all_layouts() -> None:
    images = render(random_positions(len(ALL_LAYOUTS)), Layout.from_array(ALL_LAYOUTS))
    np.testing.assert_array_equal(read_layout(images), ALL_LAYOUTS)
