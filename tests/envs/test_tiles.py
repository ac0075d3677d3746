"""Walls of tiles: the same physics and pictures as Two Rooms', and brute force in random ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jepa_agent.envs.physics import HIGH, LOW, MARGIN, Layout, is_free, step
from jepa_agent.envs.rendering import render
from jepa_agent.envs.tiles import (
    LAYOUT_SIZE,
    TILES,
    TileWalls,
    maximal_boxes,
    pack,
    unpack,
    wall_pixels,
)

CONTEXTS = [(32, 18, 4), (20, 54, 4), (44, 10, 3)]
"""Two Rooms whose rooms are larger than the strip of the door."""
AROUND = np.float32([(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]) * np.float32(1.5 * MARGIN)


def two_rooms(wall_x: int, door_y: int, halfwidth: int) -> np.ndarray:
    """Two Rooms' wall as solid tiles."""
    solid = np.zeros((TILES, TILES), dtype=bool)
    left, top = wall_x - 1 - int(LOW), door_y - halfwidth - int(LOW)
    solid[:, left : left + 2] = True
    solid[top : top + 2 * halfwidth, left : left + 2] = False
    return solid


def blocks(rng: np.random.Generator, share: float = 0.25, size: int = 2) -> np.ndarray:
    """Random solid blocks of tiles, many of which touch at corners only."""
    drawn = rng.random((TILES // size, TILES // size)) < share
    return drawn.repeat(size, axis=0).repeat(size, axis=1)


def moves(
    rng: np.random.Generator, solid: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Free points, displacements of all lengths, some along an axis, and bounces, (n, 2) each."""
    position = rng.uniform(LOW, HIGH, (8 * n, 2)).astype(np.float32)
    on_lines = rng.random(position.shape) < 0.1
    position = np.where(on_lines, np.clip(np.rint(position), LOW, HIGH - 1), position)
    position = position[TileWalls.from_array(pack(solid)).is_free(position)][:n]
    length = np.exp(rng.uniform(np.log(1e-3), np.log(80), (len(position), 1)))
    displacement = (length * rng.normal(size=position.shape)).astype(np.float32)
    displacement[rng.random(displacement.shape) < 0.1] = 0
    return position, displacement, rng.normal(0, 0.5, position.shape).astype(np.float32)


def read_tiles(walls: np.ndarray) -> np.ndarray:
    """The layout (..., 168) of pictures' `wall_pixels`, where passages are two tiles wide."""
    rows = walls[..., 1:, :] & walls[..., :-1, :]
    return pack(rows[..., 1:] & rows[..., :-1])


@pytest.mark.parametrize("context", CONTEXTS)
def test_two_rooms_as_tiles_moves_as_two_rooms(context: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(context))
    solid = two_rooms(*context)
    walls = TileWalls.from_array(pack(solid))
    position, displacement, bounce = moves(rng, solid, 20_000)
    layout = Layout(*(np.full(len(position), value, np.float32) for value in context))
    inside = is_free(position, layout)
    closed_form = step(position, displacement, layout, bounce)[inside]
    by_tiles = step(position, displacement, walls, bounce)[inside]
    on_an_edge = (abs(position - np.rint(position)) < 1e-6).any(axis=-1)[inside]
    np.testing.assert_allclose(by_tiles[~on_an_edge], closed_form[~on_an_edge], atol=1e-3)
    assert (by_tiles != (position + displacement)[inside]).any(axis=-1).mean() > 0.1


def test_two_rooms_as_tiles_looks_as_two_rooms_but_for_the_doors_edges() -> None:
    """Between the borders, which the wall of Two Rooms is drawn across."""
    context, place = (32, 18, 4), np.float32([20, 30])
    between = np.s_[4:61]
    expected = render(place, Layout(*np.float32(context)))[between]
    image = render(place, pack(two_rooms(*context)))[between]
    rows, columns = np.nonzero((image != expected).any(axis=-1))
    assert set(rows + 4) == {14, 22}
    assert set(columns) == {31, 32, 33}


@pytest.mark.parametrize("seed", range(3))
def test_no_move_passes_a_wall_or_slips_between_two_corners(seed: int) -> None:
    rng = np.random.default_rng(seed)
    solid = blocks(rng)
    walls = TileWalls.from_array(pack(solid))
    position, displacement, bounce = moves(rng, solid, 4_000)
    end = step(position, displacement, walls, bounce)
    assert walls.is_free(end).all()
    still = step(position, displacement, walls, np.zeros_like(bounce))
    # without a bounce, the way is a straight line until MARGIN from where it ends
    for share in np.linspace(0, 1, 50)[:, None]:
        passed = (position.astype(np.float64) + share * (still - position)).astype(np.float32)
        near = [walls.is_free(passed + nudge) for nudge in AROUND]
        assert np.any(near, axis=0).all()
    free = (still == position + displacement).all(axis=-1)
    for share in np.linspace(0, 1, 50)[:, None]:
        passed = (position.astype(np.float64) + share * displacement).astype(np.float32)
        wrong = free & ~walls.is_free(passed)
        inside = np.minimum(passed % 1, 1 - passed % 1).min(axis=-1) > 1e-4
        assert not (wrong & inside).any()


def test_components_that_touch_at_corners_stay_apart() -> None:
    solid = np.zeros((TILES, TILES), dtype=bool)
    solid[:28, :28] = solid[28:, 28:] = True  # two rooms that touch at the middle alone
    walls = TileWalls.from_array(pack(solid))
    rng = np.random.default_rng(0)
    angle = rng.uniform(-0.01, 0.01, 1000) + np.pi / 4 * 3
    start = np.broadcast_to(np.float32([33, 31]), (1000, 2))  # the upper right one
    move = (10 * np.stack([np.cos(angle), np.sin(angle)], axis=-1)).astype(np.float32)
    end = step(start, move, walls, np.zeros_like(start))
    assert ((end[:, 0] > 32) & (end[:, 1] < 32)).all()


def test_torch_moves_and_draws_as_numpy() -> None:
    rng = np.random.default_rng(1)
    layouts = pack(np.stack([blocks(rng, size=4) for _ in range(3)]))
    position = rng.uniform(LOW + 1, HIGH - 1, (4, 3, 2)).astype(np.float32)
    move = rng.normal(0, 4, position.shape).astype(np.float32)
    bounce = rng.normal(0, 1, position.shape).astype(np.float32)
    walls = TileWalls.from_array(layouts)
    there = TileWalls.from_array(torch.as_tensor(layouts))
    place = [torch.as_tensor(each) for each in (position, move, bounce)]
    free = walls.is_free(position)
    np.testing.assert_array_equal(there.is_free(place[0]).numpy(), free)
    moved = step(position, move, walls, bounce)
    np.testing.assert_array_equal(step(*place[:2], there, place[2]).numpy()[free], moved[free])
    image = render(place[0], torch.as_tensor(layouts)).numpy()
    np.testing.assert_array_equal(image, render(position, layouts))
    np.testing.assert_array_equal(image[0, 1], render(position[0, 1], layouts[1]))


def test_layouts_are_exact_in_numbers_and_in_pictures() -> None:
    solid = np.stack([blocks(np.random.default_rng(seed), size=2) for seed in range(5)])
    layouts = pack(solid)
    assert layouts.shape == (5, LAYOUT_SIZE)
    np.testing.assert_array_equal(unpack(layouts), solid)
    np.testing.assert_array_equal(unpack(torch.as_tensor(layouts)).numpy(), solid)
    np.testing.assert_array_equal(read_tiles(wall_pixels(layouts)), layouts)
    single = np.zeros((TILES, TILES), dtype=bool)
    single[10, 20] = True
    rows, columns = np.nonzero(wall_pixels(pack(single))[1:-1, 1:-1])
    assert (set(rows + 5), set(columns + 5)) == ({14, 15}, {24, 25})  # its four corners


def test_boxes_are_free_hold_their_tile_and_cannot_grow() -> None:
    marked = ~blocks(np.random.default_rng(4), size=4)
    boxes = maximal_boxes(marked)
    for row, column in np.argwhere(marked):
        left, top, right, bottom = boxes[row, column]
        assert left <= column < right
        assert top <= row < bottom
        assert marked[top:bottom, left:right].all()
        for edge in (slice(top - 1, top) if top else slice(0), slice(bottom, bottom + 1)):
            assert not marked[edge, left:right].all() or not marked[edge, left:right].size
