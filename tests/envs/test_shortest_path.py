"""The shortest path: against a dense grid over the crossing heights, and where it is known."""

import numpy as np
import pytest
import torch

from jepa_agent.envs.physics import Layout, is_free, path_through_door, shortest_path

CONTEXTS = [(32, 18, 4), (11, 8, 4), (53, 56, 4), (44, 10, 3)]
GRID_STEP = 0.02


def free_points(rng: np.random.Generator, layout: tuple[int, int, int], n: int) -> np.ndarray:
    """Points (n, 2): a third near the wall and its door, a third in the gap, a third anywhere."""
    wall_x, door_y, halfwidth = layout[:3]
    points = np.concatenate(
        [
            rng.uniform(4, 60, (9 * n, 2)),
            rng.uniform([wall_x - 3, door_y - 8], [wall_x + 3, door_y + 8], (9 * n, 2)),
            rng.uniform([wall_x - 1, door_y - halfwidth], [wall_x + 1, door_y + halfwidth], (n, 2)),
        ]
    ).astype(np.float32)
    return rng.permutation(points[is_free(points, layout_of(layout))])[:n]


def layout_of(layout: tuple[int, int, int]) -> Layout:
    return Layout.from_array(np.float32(layout))


def grid_path(start: np.ndarray, goal: np.ndarray, layout: tuple[int, int, int]) -> float:
    """The shortest path whose crossings of the wall's faces lie on a dense grid, in float64."""
    wall_x, door_y, halfwidth = layout[:3]
    heights = door_y + np.linspace(-halfwidth, halfwidth, round(2 * halfwidth / GRID_STEP) + 1)
    faces = [x for x in (wall_x - 1, wall_x + 1) if min(start[0], goal[0]) < x]
    faces = [x for x in faces if x < max(start[0], goal[0])]
    points, cost = start[None].astype(np.float64), np.zeros(1)
    for x in faces if start[0] < goal[0] else faces[::-1]:
        crossings = np.stack([np.full_like(heights, x), heights], axis=-1)
        legs = np.linalg.norm(crossings[:, None] - points, axis=-1)
        points, cost = crossings, (legs + cost).min(axis=1)
    return (np.linalg.norm(goal - points, axis=-1) + cost).min()


@pytest.mark.parametrize("layout", CONTEXTS)
def test_matches_a_dense_grid(layout: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(layout))
    start, goal = free_points(rng, layout, 150), free_points(rng, layout, 150)
    grid = np.array([grid_path(a, b, layout) for a, b in zip(start, goal, strict=True)])
    exact = shortest_path(start, goal, layout_of(layout))
    assert (exact <= grid + 1e-4).all()
    assert (exact >= grid - GRID_STEP).all()
    assert (exact > np.linalg.norm(goal - start, axis=-1) + 1).sum() > 10


@pytest.mark.parametrize("layout", CONTEXTS)
def test_is_a_metric_at_least_euclidean(layout: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(layout))
    layout = layout_of(layout)
    a, b, c = (free_points(rng, layout, 20_000) for _ in range(3))
    ab = shortest_path(a, b, layout)
    euclidean = np.linalg.norm(b - a, axis=-1)

    np.testing.assert_allclose(shortest_path(b, a, layout), ab, atol=1e-4)
    np.testing.assert_allclose(shortest_path(a, a, layout), 0, atol=1e-12)
    assert (ab >= euclidean - 1e-4).all()
    assert (ab <= shortest_path(a, c, layout) + shortest_path(c, b, layout) + 1e-4).all()

    wall_x, door_y, halfwidth = layout[:3]
    same_room = (abs(np.sign(a - wall_x) + np.sign(b - wall_x))[:, 0] == 2) & (
        np.minimum(abs(a - wall_x), abs(b - wall_x))[:, 0] > 1
    )
    in_strip = (np.maximum(abs(a - door_y), abs(b - door_y)) <= halfwidth)[:, 1]
    for straight in (same_room, in_strip):
        assert straight.sum() > 100
        np.testing.assert_allclose(ab[straight], euclidean[straight], atol=1e-4)


@pytest.mark.parametrize(
    ("start", "goal", "length"),
    [
        ((10, 18), (50, 18), 40),  # straight through the door
        ((30, 16), (34, 20), 32**0.5),  # visible across the gap
        ((31, 30), (33, 30), 2 * 8 + 2),  # from face to face, around the lower edge
        ((28, 26), (36, 26), 2 * 5 + 2),  # two 3-4-5 triangles and the gap
        ((32, 20), (26, 34), 5**0.5 + 13),  # from the gap, around one corner
        ((32, 15), (32, 21), 6),  # inside the gap
        ((28, 10), (28, 40), 30),  # in one room
    ],
)
def test_known_lengths(
    start: tuple[float, float], goal: tuple[float, float], length: float
) -> None:
    layout = layout_of((32, 18, 4))
    assert shortest_path(np.float32(start), np.float32(goal), layout) == pytest.approx(length)


@pytest.mark.parametrize("margin", [0.0, 1.0])
def test_bends_lie_on_the_path_and_keep_the_margin(margin: float) -> None:
    rng = np.random.default_rng(0)
    layout = (32, 18, 4)
    layout = layout_of(layout)
    start, goal = free_points(rng, layout, 20_000), free_points(rng, layout, 20_000)
    bends, length = path_through_door(start, goal, layout, margin)
    legs = np.diff(np.stack([start, bends[:, 0], bends[:, 1], goal], axis=1), axis=1)
    np.testing.assert_allclose(np.linalg.norm(legs, axis=-1).sum(axis=-1), length, atol=1e-4)
    crossing = (abs(start[:, 0] - 32) > 1 + margin) & (abs(goal[:, 0] - 32) > 1 + margin)
    crossing &= (start[:, 0] < 32) != (goal[:, 0] < 32)
    assert (abs(bends[crossing][..., 1] - 18) <= 4 - margin).all()
    np.testing.assert_array_equal(abs(bends[crossing][..., 0] - 32), 1 + margin)


def test_shapes_broadcast_and_torch_agrees() -> None:
    rng = np.random.default_rng(0)
    start, goal = (free_points(rng, (32, 18, 4), 50) for _ in range(2))
    layout = layout_of((32, 18, 4))
    pairs = shortest_path(start[:, None], goal, layout)
    assert pairs.shape == (50, 50)
    assert pairs[3, 7] == shortest_path(start[3], goal[7], layout)
    tensors = torch.from_numpy(start)[:, None], torch.from_numpy(goal)
    in_torch = shortest_path(*tensors, Layout(*torch.tensor([32.0, 18.0, 4.0])))
    np.testing.assert_allclose(in_torch.numpy(), pairs, atol=1e-5)


def test_the_gradient_is_finite_everywhere_and_points_away_from_the_goal() -> None:
    """Also at the goal, in the gap and on the line of a face, where a path has zero legs."""
    layout = torch.tensor([32.0, 18.0, 4.0])
    points = [(10.0, 40.0), (31.0, 18.0), (32.0, 18.0), (33.0, 20.0), (50.0, 40.0), (50.0, 18.0)]
    start = torch.tensor(points, requires_grad=True)
    goal = torch.tensor([50.0, 40.0])
    shortest_path(start, goal.expand_as(start), Layout.from_array(layout)).sum().backward()
    assert start.grad is not None
    assert start.grad.isfinite().all()
    norms = start.grad.norm(dim=-1)
    torch.testing.assert_close(norms[[0, 2, 3, 5]], torch.ones(4), atol=1e-4, rtol=0)
    assert start.grad[0, 1] > 0  # back towards the door
    assert norms[4] == 0
