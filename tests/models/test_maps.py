"""Latents that are maps: encoder, predictor, and distances computed over them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from jepa_agent.models.distances import ValueMapConfig
from jepa_agent.models.distances.value_map import OPEN, STEPS, ShortestWays, both_ways
from jepa_agent.models.encoders import PatchMapConfig
from jepa_agent.models.predictors import MapCNNConfig
from jepa_agent.models.world_model import WorldModel, WorldModelConfig

ROWS, COLUMNS = 4, 5
MOVES = torch.tensor([(down - 1) * COLUMNS + right - 1 for down, right in STEPS])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def ways(costs: Tensor, goal: int) -> np.ndarray:
    """The least cost from every place to a goal, by Dijkstra."""
    edges = []
    for row in range(ROWS):
        for column in range(COLUMNS):
            for cost, (down, right) in zip(costs[:, row, column], STEPS, strict=True):
                to = row + down - 1, column + right - 1
                if 0 <= to[0] < ROWS and 0 <= to[1] < COLUMNS:
                    edges.append((float(cost), row * COLUMNS + column, to[0] * COLUMNS + to[1]))
    cost, start, end = map(np.array, zip(*edges, strict=True))
    places = ROWS * COLUMNS
    graph = coo_array((cost, (start.astype(int), end.astype(int))), shape=(places, places))
    return dijkstra(graph.tocsr().T, indices=goal)


def test_ways_over_a_map_are_the_shortest_ones() -> None:
    costs = 0.1 + random(3, len(STEPS), ROWS, COLUMNS)
    ends = torch.full((3, ROWS, COLUMNS), 1e3, dtype=torch.float64)
    ends[:, 1, 2] = 0.0
    found = ShortestWays.apply(costs, ends, MOVES, 40)
    for one, cost in zip(found, costs, strict=True):
        assert one.flatten().numpy() == pytest.approx(ways(cost, COLUMNS + 2))


def test_gradients_flow_along_the_shortest_ways() -> None:
    costs = (0.1 + random(2, len(STEPS), ROWS, COLUMNS)).requires_grad_()
    ends = (5 * random(2, ROWS, COLUMNS, seed=1)).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda *given: ShortestWays.apply(*given, MOVES, 30), (costs, ends)
    )


def test_a_step_back_costs_what_the_step_there_does() -> None:
    costs = both_ways(random(2, 4, ROWS, COLUMNS))
    assert costs.shape == (2, len(STEPS), ROWS, COLUMNS)
    for number, (down, right) in enumerate(STEPS):
        there = costs[:, len(STEPS) - 1 - number].roll((1 - down, 1 - right), dims=(1, 2))
        assert torch.equal(costs[:, number], there)


def test_after_training_what_blocks_a_way_weighs_more_and_all_else_the_same() -> None:
    head = ValueMapConfig(rows=ROWS, columns=COLUMNS, width=8, near=8, blocks=2).build(60)
    maps, here = torch.zeros(1, 60), torch.zeros(1, ROWS * COLUMNS)
    here[0, 0] = 1.0  # the goal is in a corner
    learned = torch.full((1, 4, ROWS, COLUMNS), 0.3)
    across = {2: 2, 0: 3}  # columns from which steps to the right and to the left cross a wall
    for number, (_, right) in enumerate(STEPS[4:]):
        if right in across:
            learned[:, number, :-1, across[right]] = 7.0  # but for a door in the last row
    head.costs = Costs(learned)
    head.train()
    assert head.values(maps, here)[0, 1].item() == pytest.approx(0.3, rel=1e-4)
    head.eval()
    found = head.values(maps, here).view(ROWS, COLUMNS)
    assert found[0, 1].item() == pytest.approx(OPEN, rel=1e-4)
    assert found[1, 1].item() == pytest.approx(2**0.5 * OPEN, rel=1e-4)
    assert found[0, 3].item() == pytest.approx((5 + 2 * 2**0.5) * OPEN, rel=1e-4), "by the door"
    learned[:, :, -1, 2:4] = learned[:, :, 0, 2:4]
    shut = head.values(maps, here).view(ROWS, COLUMNS)
    assert shut[0, 3].item() == pytest.approx(3 * OPEN, rel=1e-4), "a place is not cut off"


class Costs(torch.nn.Module):
    """Costs in place of learned ones."""

    def __init__(self, costs: Tensor) -> None:
        super().__init__()
        self.given = costs

    def forward(self, _: Tensor) -> Tensor:
        return self.given.expm1().log()  # the inverse of softplus


def test_a_model_of_maps_imagines_and_measures() -> None:
    """On maps of 5 x 4 places, of which an image of 45 x 36 has so many."""
    places = {"rows": 5, "columns": 4}
    model = WorldModel(
        WorldModelConfig(
            observation_shape=(45, 36, 3),
            latent_dim=60,
            encoder=PatchMapConfig(patch=9, width=8, depth=1),
            predictor=MapCNNConfig(**places, width=8, depth=2),
            distance_head=ValueMapConfig(**places, width=8, near=8, blocks=2),
        )
    )
    images = torch.randint(0, 256, (2, 3, 45, 36, 3), dtype=torch.uint8)
    latents = model.encode(images)
    assert latents.shape == (2, 3, 60)
    actions = torch.zeros(2, 3, 4, 10)
    assert model.rollout(latents, actions).shape == (2, 3, 4, 60)
    assert model.distance(latents, latents).abs().max() < 1e-4
    apart = model.distance(latents[:, :1], latents[:, 1:])
    assert apart.shape == (2, 2)
    assert (apart > 0).all()
    start, end = map(model.distance_embedding, (latents[:, :1], latents[:, 1:]))
    assert (model.near_distance(start, end) <= model.embedding_distance(start, end)).all()


def test_a_map_is_predicted_alike_everywhere() -> None:
    """What is shifted by a place, away from the borders, is predicted shifted."""
    predictor = MapCNNConfig(rows=8, columns=8, width=8, depth=1).build(8 * 8 * 3, 2, 5)
    maps = torch.zeros(1, 8, 8, 3)
    maps[:, 3, 3] = torch.tensor([1.0, -2.0, 3.0])
    action = torch.randn(1, 10)

    def predicted(given: Tensor) -> Tensor:
        return predictor(given.flatten(1), action).view(1, 8, 8, 3)[:, 2:6, 2:6]

    moved = predictor(maps.roll(1, dims=2).flatten(1), action).view(1, 8, 8, 3)
    assert torch.allclose(moved[:, 2:6, 3:7], predicted(maps), atol=1e-6)


@pytest.mark.parametrize(
    ("build", "fix"),
    [
        (lambda: PatchMapConfig(patch=9).build((45, 36, 3), 50), "take 160"),
        (lambda: MapCNNConfig(rows=5, columns=4).build(50, 2, 5), "rows and columns"),
        (lambda: ValueMapConfig(rows=5, columns=4).build(50), "rows and columns"),
        (lambda: PatchMapConfig(patch=0), "positive"),
        (lambda: MapCNNConfig(depth=0), "positive"),
        (lambda: ValueMapConfig(near=30), "multiple"),
        (lambda: ValueMapConfig(near_most=-1.0), "take 2"),
    ],
)
def test_what_does_not_fit_is_named(build, fix) -> None:
    with pytest.raises(ValueError, match=fix):
        build()


def test_the_way_that_is_shown_is_a_shortest_one() -> None:
    torch.manual_seed(0)
    head = ValueMapConfig(rows=ROWS, columns=COLUMNS, width=4, near=8).build(2 * ROWS * COLUMNS)
    head = head.eval()
    latents = torch.randn(2, 2 * ROWS * COLUMNS)
    here = torch.full((2, ROWS * COLUMNS), -30.0)
    here[0, 0], here[1, -1] = 30.0, 30.0  # from one corner to the other
    end_place = here[1:].softmax(dim=-1).reshape(1, ROWS, COLUMNS)
    start, end = torch.cat([latents, here.softmax(dim=-1), torch.zeros(2, 8)], dim=-1)
    way = (head.way(start, end) * torch.tensor([COLUMNS, ROWS]) - 0.5).round().long()
    assert way[0].tolist() == [0, 0]
    assert way[-1].tolist() == [COLUMNS - 1, ROWS - 1]
    costs, total = head.step_costs(latents[1], end_place)[0].detach(), 0.0
    for (column, row), (right, down) in zip(
        way[:-1].tolist(), way.diff(dim=0).tolist(), strict=True
    ):
        total += float(costs[STEPS.index((down + 1, right + 1)), row, column])
    assert total == pytest.approx(ways(costs, ROWS * COLUMNS - 1)[0], rel=1e-5)
