"""The transition function: properties of many moves, analytic impacts, brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jepa_agent.envs.physics import HIGH, LOW, MARGIN, Layout, is_free, step

CONTEXTS = [(32, 18, 4), (11, 8, 4), (53, 56, 4), (20, 54, 4), (44, 10, 3), (32, 33, 3)]
BOUNCE_STDS = [0.0, 0.5, 50.0]
ROUNDING = 1e-4
"""Pixels by which float32 may misplace a crossing."""


def layout_of(context: tuple[int, int, int], shape: tuple[int, ...] = ()) -> Layout:
    return Layout(*(np.full(shape, value, dtype=np.float32) for value in context))


def around(values: list[float]) -> np.ndarray:
    """The values, their neighbours in float32, and points a hair and a margin away."""
    exact = np.array(values, dtype=np.float32)
    nudged = [exact + offset for offset in (-MARGIN, -1e-3, 1e-3, MARGIN)]
    neighbours = [np.nextafter(exact, np.float32(side)) for side in (-np.inf, np.inf)]
    return np.concatenate([exact, *nudged, *neighbours])


def awkward_points(rng: np.random.Generator, context: tuple[int, int, int], n: int) -> np.ndarray:
    """Points (n, 2), free or not: a coordinate is uniform, or on or beside a wall or an edge."""
    wall_x, door_y, halfwidth = context
    lines_x = around([LOW, HIGH, wall_x - 1, wall_x, wall_x + 1])
    lines_y = around([LOW, HIGH, door_y - halfwidth, door_y, door_y + halfwidth])
    special = np.stack([rng.choice(lines_x, n), rng.choice(lines_y, n)], axis=-1)
    uniform = rng.uniform(LOW, HIGH, (n, 2)).astype(np.float32)
    near_door = np.float32([wall_x, door_y]) + rng.uniform(-6, 6, (n, 2)).astype(np.float32)
    point = np.where(rng.random((n, 1)) < 0.5, uniform, near_door)
    return np.where(rng.random((n, 2)) < 0.3, special, point)


def draw_moves(
    rng: np.random.Generator, context: tuple[int, int, int], n: int
) -> tuple[np.ndarray, np.ndarray, Layout]:
    """Free positions, displacements of all kinds, and the layout, n of each."""
    position = awkward_points(rng, context, n)
    position = position[is_free(position, layout_of(context))]
    position = position[rng.integers(len(position), size=n)]
    angle = rng.uniform(-np.pi, np.pi, n)
    length = np.exp(rng.uniform(np.log(1e-6), np.log(100.0), n))
    anywhere = length[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    axis_aligned = anywhere * np.eye(2)[rng.integers(2, size=n)]
    onto_a_line = awkward_points(rng, context, n) - position
    kinds = np.stack([anywhere, axis_aligned, onto_a_line, np.zeros_like(anywhere)])
    kind = rng.choice(4, size=n, p=[0.5, 0.2, 0.29, 0.01])
    return position, kinds[kind, np.arange(n)].astype(np.float32), layout_of(context, (n,))


def height_at(position: np.ndarray, displacement: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Where, in float64, the line of a move crosses a vertical line."""
    position, displacement = position.astype(np.float64), displacement.astype(np.float64)
    return position[:, 1] + (x - position[:, 0]) / displacement[:, 0] * displacement[:, 1]


@pytest.mark.parametrize("bounce_std", BOUNCE_STDS)
@pytest.mark.parametrize("context", CONTEXTS)
def test_every_move_ends_free_and_only_the_door_leads_through_the_wall(
    context: tuple[int, int, int], bounce_std: float
) -> None:
    rng = np.random.default_rng(sum(context))
    n = 100_000
    position, displacement, layout = draw_moves(rng, context, n)
    bounce = (bounce_std * rng.standard_normal((n, 2))).astype(np.float32)

    result = step(position, displacement, layout, bounce)

    assert np.isfinite(result).all()
    stuck = ~is_free(result, layout)
    assert not stuck.any(), (position[stuck][:3], displacement[stuck][:3], result[stuck][:3])

    left, right = layout.wall_x - 1, layout.wall_x + 1
    rightward = (position[:, 0] < left) & (result[:, 0] > right)
    leftward = (position[:, 0] > right) & (result[:, 0] < left)
    crossed = rightward | leftward
    assert crossed.sum() > 100
    near_face, far_face = np.where(rightward, (left, right), (right, left))[:, crossed]
    move = position[crossed], displacement[crossed]
    _, door_y, halfwidth = context
    assert (abs(height_at(*move, near_face) - door_y) <= halfwidth + ROUNDING).all()
    if bounce_std == 0:
        assert (abs(height_at(*move, far_face) - door_y) <= halfwidth + ROUNDING).all()
    else:  # a bounce off the door's edge may carry on through the door, but only along its strip
        straight = abs(height_at(*move, far_face) - door_y) <= halfwidth + ROUNDING
        assert (abs(result[crossed][:, 1] - door_y)[~straight] < halfwidth).all()


@pytest.mark.parametrize("context", CONTEXTS)
def test_a_move_that_touches_nothing_is_exact(context: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(context))
    position, displacement, layout = draw_moves(rng, context, 100_000)
    end = position + displacement

    result = step(position, displacement, layout, np.full_like(position, 7.0))

    # Convex free regions: the rooms and the strip of the door.
    inside = ((end > LOW) & (end < HIGH)).all(axis=-1)
    x, end_x = position[:, 0], end[:, 0]
    in_left = np.maximum(x, end_x) < layout.wall_x - 1
    in_right = np.minimum(x, end_x) > layout.wall_x + 1
    in_strip = (abs(np.stack([position, end])[..., 1] - layout.door_y) < layout.door_halfwidth).all(
        axis=0
    )
    for region in (in_left, in_right, in_strip):
        touches_nothing = region & inside
        assert touches_nothing.sum() > 100
        np.testing.assert_array_equal(result[touches_nothing], end[touches_nothing])


coordinate = st.floats(LOW, HIGH, width=32)
component = st.one_of(
    st.floats(-100, 100, width=32), st.sampled_from([0.0, -0.0, 1e-38, -1e-38, 2.45, -2.45])
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    context=st.sampled_from(CONTEXTS),
    position=st.tuples(coordinate, coordinate),
    moves=st.lists(st.tuples(component, component, component, component), min_size=1, max_size=8),
)
def test_no_sequence_of_moves_leaves_the_rooms(
    context: tuple[int, int, int],
    position: tuple[float, float],
    moves: list[tuple[float, float, float, float]],
) -> None:
    layout = layout_of(context)
    here = np.float32(position)
    if not is_free(here, layout):
        here = np.float32([context[0], context[1]])
    for move in np.float32(moves):
        here = step(here, move[:2], layout, move[2:])
        assert is_free(here, layout)


def brute_force(
    position: np.ndarray, displacement: np.ndarray, context: tuple[int, int, int], substep: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """March along moves in tiny steps: the last free points, whether blocked, near a corner."""
    wall_x, door_y, halfwidth = context
    position, displacement = position.astype(np.float64), displacement.astype(np.float64)

    def free(time: np.ndarray) -> np.ndarray:
        x, y = (position + time[:, None] * displacement).T
        in_wall = (abs(x - wall_x) <= 1) & (abs(y - door_y) > halfwidth)
        return (np.minimum(x, y) > 4) & (np.maximum(x, y) < 60) & ~in_wall

    count = int(np.linalg.norm(displacement, axis=-1).max() / substep) + 1
    before, after = np.zeros(len(position)), np.full(len(position), 2.0)
    for time in np.linspace(0, 1, count + 1)[1:]:
        going = after > 1
        now_free = free(np.full(len(position), time))
        after = np.where(going & ~now_free, time, after)
        before = np.where(going & now_free, time, before)
    blocked = after <= 1
    for _ in range(40):
        middle = (before + np.minimum(after, 1)) / 2
        before, after = np.where(free(middle), (middle, after), (before, middle))

    corners = np.array([(wall_x + i, door_y + j * halfwidth) for i in (-1, 1) for j in (-1, 1)])
    along = np.einsum("nka,na->nk", corners - position[:, None], displacement)
    share = np.clip(along / (displacement**2).sum(-1, keepdims=True), 0, 1)
    nearest = position[:, None] + share[..., None] * displacement[:, None]
    grazes = (np.linalg.norm(nearest - corners, axis=-1) < 2 * substep).any(axis=-1)
    return position + before[:, None] * displacement, blocked, grazes


@pytest.mark.parametrize(("length", "n", "substep"), [(2.45, 4000, 0.004), (100.0, 1000, 0.05)])
@pytest.mark.parametrize("context", CONTEXTS)
def test_deterministic_moves_match_brute_force(
    context: tuple[int, int, int], length: float, n: int, substep: float
) -> None:
    rng = np.random.default_rng(sum(context))
    wall_x, door_y, halfwidth = context
    position = np.concatenate(
        [
            rng.uniform(LOW, HIGH, (n, 2)),
            rng.uniform([wall_x - 3, door_y - 6], [wall_x + 3, door_y + 6], (n, 2)),
        ]
    ).astype(np.float32)
    position = position[is_free(position, layout_of(context))]
    angle = rng.uniform(-np.pi, np.pi, len(position))
    displacement = length * np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)
    impact, blocked, grazes = brute_force(position, displacement, context, substep)

    layout = layout_of(context, (len(position),))
    result = step(position, displacement, layout, np.zeros_like(position))

    x = impact[:, 0]
    in_gap = abs(x - wall_x) < 1
    low = np.stack([np.where(x > wall_x, wall_x + 1, LOW), np.full_like(x, LOW)], axis=-1)
    high = np.stack([np.where(x > wall_x, HIGH, wall_x - 1), np.full_like(x, HIGH)], axis=-1)
    low[in_gap], high[in_gap] = (LOW, door_y - halfwidth), (HIGH, door_y + halfwidth)
    expected = np.where(
        blocked[:, None], np.clip(impact, low + MARGIN, high - MARGIN), position + displacement
    )
    assert (blocked & in_gap & ~grazes).any()
    assert (~grazes).mean() > 0.9
    np.testing.assert_allclose(result[~grazes], expected[~grazes], atol=ROUNDING)


# Layout (32, 18, 4): position, displacement, where they meet a wall, away from that wall.
IMPACTS = {
    "left border": ((6, 30), (-4, 2), (4, 31), (1, 0)),
    "right border": ((58, 30), (4, -2), (60, 29), (-1, 0)),
    "upper border": ((10, 6), (1, -4), (10.5, 4), (0, 1)),
    "lower border": ((10, 58), (0, 4), (10, 60), (0, -1)),
    "left face": ((30, 40), (2, 1), (31, 40.5), (-1, 0)),
    "right face": ((35, 40), (-4, -2), (33, 39), (1, 0)),
    "upper door edge": ((32, 15), (0, -2), (32, 14), (0, 1)),
    "lower door edge": ((30, 19), (4, 6), (32, 22), (0, -1)),
    "the wall before the border": ((30, 59), (2, 2), (31, 60), None),
    "the corner of two borders": ((59, 59), (3, 3), (60, 60), None),
    "the border, long before the wall": ((5, 6), (100, -20), (15, 4), (0, 1)),
}


@pytest.mark.parametrize("name", IMPACTS)
def test_without_bounce_a_blocked_move_ends_at_the_intersection(name: str) -> None:
    position, displacement, impact, away = IMPACTS[name]
    result = step(
        np.float32(position), np.float32(displacement), layout_of((32, 18, 4)), np.zeros(2, "f4")
    )
    if away is None:  # in a corner, both coordinates are clipped
        away = -np.sign(displacement)
    np.testing.assert_allclose(result, impact + MARGIN * np.array(away), atol=1e-5)


@pytest.mark.parametrize("name", [name for name, impact in IMPACTS.items() if impact[3]])
@pytest.mark.parametrize("bounce", [(0.5, 0.4), (-0.5, 0.4), (0.5, -0.4), (-0.5, -0.4)])
def test_a_bounce_is_folded_away_from_the_wall(name: str, bounce: tuple[float, float]) -> None:
    position, displacement, impact, away = IMPACTS[name]
    result = step(
        np.float32(position), np.float32(displacement), layout_of((32, 18, 4)), np.float32(bounce)
    )
    expected = np.where(np.array(away) != 0, np.abs(bounce) * np.array(away), bounce)
    np.testing.assert_allclose(result - impact, expected, atol=1e-5)


def test_an_exact_pass_along_the_door_edge_is_free() -> None:
    layout = layout_of((32, 18, 4))
    for edge in (14.0, 22.0):
        for position, displacement in [((30.5, edge), (2.0, 0.0)), ((33.5, edge), (-3.0, 0.0))]:
            move = np.float32(position), np.float32(displacement)
            np.testing.assert_array_equal(
                step(*move, layout, np.full(2, 9, "f4")), move[0] + move[1]
            )


@pytest.mark.parametrize("face", [31.0, 33.0])
@pytest.mark.parametrize("dx", [0.0, 1e-9, -1e-9])
@pytest.mark.parametrize(("dy", "edge"), [(2.0, 22.0), (-2.0, 14.0)])
def test_a_vertical_move_on_the_line_of_a_face_stops_at_the_door_edge(
    face: float, dx: float, dy: float, edge: float
) -> None:
    position = np.float32([face, edge - dy / 2])
    result = step(position, np.float32([dx, dy]), layout_of((32, 18, 4)), np.zeros(2, "f4"))
    np.testing.assert_allclose(result, [face, edge - np.sign(dy) * MARGIN], atol=1e-5)


@pytest.mark.parametrize("displacement", [(1e-38, 2.0), (2.0, 1e-38), (1e-45, -1e-45)])
@pytest.mark.parametrize("position", [(20.0, 59.0), (30.5, 40.0), (32.0, 21.0)])
def test_vanishing_components_raise_no_warning(
    position: tuple[float, float], displacement: tuple[float, float]
) -> None:
    layout = layout_of((32, 18, 4))
    result = step(np.float32(position), np.float32(displacement), layout, np.zeros(2, "f4"))
    assert is_free(result, layout)


def test_batch_shapes_agree_and_inputs_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    position, displacement, layout = draw_moves(rng, (32, 18, 4), 60)
    bounce = rng.standard_normal((60, 2)).astype(np.float32)
    copies = position.copy(), displacement.copy(), bounce.copy()

    flat = step(position, displacement, layout, bounce)
    grid = step(
        *(array.reshape(12, 5, 2) for array in (position, displacement)),
        Layout(*(field.reshape(12, 5) for field in layout[:3])),
        bounce.reshape(12, 5, 2),
    )
    single = [
        step(position[i], displacement[i], Layout(*(field[i] for field in layout[:3])), bounce[i])
        for i in range(60)
    ]

    np.testing.assert_array_equal(grid.reshape(60, 2), flat)
    np.testing.assert_array_equal(np.stack(single), flat)
    for array, copy in zip((position, displacement, bounce), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("context", CONTEXTS)
def test_numpy_and_torch_agree(context: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(context))
    position, displacement, layout = draw_moves(rng, context, 20_000)
    bounce = rng.standard_normal(position.shape).astype(np.float32)
    in_numpy = step(position, displacement, layout, bounce)

    torch_layout = Layout(*(torch.from_numpy(field) for field in layout[:3]))
    tensors = [torch.from_numpy(array) for array in (position, displacement, bounce)]
    in_torch = step(tensors[0], tensors[1], torch_layout, tensors[2])

    assert in_torch.dtype == torch.float32
    assert in_numpy.dtype == np.float32
    assert is_free(in_torch, torch_layout).all()
    differs = (abs(in_torch.numpy() - in_numpy) > 1e-5).any(axis=-1)
    assert differs.mean() <= 2e-4  # rounding decides which of two walls a move into a corner meets


@pytest.mark.parametrize(
    ("point", "free"),
    [
        ((4, 30), False),
        ((60, 30), False),
        ((30, 4), False),
        ((30, 60), False),
        ((4.001, 59.999), True),
        ((31, 30), False),
        ((33, 30), False),
        ((32, 30), False),
        ((30.999, 30), True),
        ((33.001, 30), True),
        ((32, 14), True),
        ((32, 22), True),
        ((31, 18), True),
        ((32, 13.999), False),
        ((32, 22.001), False),
    ],
)
def test_is_free(point: tuple[float, float], free: bool) -> None:
    assert is_free(np.float32(point), layout_of((32, 18, 4))) == free
