"""Distance heads: what they can represent, and what they learn of a directed graph."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor

from jepa_agent.models.distances import BlockNormConfig, DistanceHeadConfig, QuasimetricConfig
from jepa_agent.training.losses import shortest_path_lengths

LATENT, NODES = 8, 9
EDGES = [(node, (node + 1) % NODES) for node in range(NODES)] + [(1, 0), (2, 1), (5, 4)]
"""A ring of one-way streets, three of which are two-way."""


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def path_lengths() -> Tensor:
    """(NODES, NODES), by Floyd and Warshall."""
    length = torch.full((NODES, NODES), float("inf"))
    length.fill_diagonal_(0.0)
    for a, b in EDGES:
        length[a, b] = 1.0
    for via in range(NODES):
        length = torch.minimum(length, length[:, via, None] + length[None, via])
    return length


def test_a_quasimetric_differs_by_direction_and_obeys_the_triangle_inequality() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = QuasimetricConfig(width=16).build(LATENT).double()
    a, b, c = (head(random(50, LATENT, seed=seed)) for seed in range(3))
    assert (head.distance(a, a) == 0.0).all()
    assert (head.distance(a, b) > 0.0).all()
    assert (head.distance(a, b) != head.distance(b, a)).all()
    longer = head.distance(a, b) + head.distance(b, c)
    assert (head.distance(a, c) <= longer + 1e-12).all()


def test_a_quasimetric_is_the_sum_of_the_blocks_largest_increases() -> None:
    head = QuasimetricConfig(dim=6, blocks=2).build(LATENT)
    a, b = random(4, 6), random(4, 6, seed=1)
    for start, end, found in zip(a, b, head.distance(a, b), strict=True):
        rise = [max(0.0, y - x) for x, y in zip(start.tolist(), end.tolist(), strict=True)]
        assert found.item() == pytest.approx(max(rise[:3]) + max(rise[3:]))


def test_a_quasimetric_can_be_any_path_length() -> None:
    """With the distance from each node as a coordinate."""
    length = path_lengths()
    head = QuasimetricConfig(dim=NODES, blocks=1).build(LATENT)
    embedding = length.T
    assert torch.equal(head.distance(embedding[:, None], embedding[None]), length)


def learned(config: DistanceHeadConfig) -> Tensor:
    """Distances (NODES, NODES) after training a head on the edges alone."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        head = config.build(NODES)
    nodes, edges = torch.eye(NODES), torch.tensor(EDGES).T
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 300)
        embedding = head(nodes)
        apart = head.distance(embedding[:, None], embedding[None])
        loss = shortest_path_lengths(apart[edges[0], edges[1]], apart, constraint_weight=100.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return apart.detach()


def test_a_quasimetric_learns_directed_path_lengths() -> None:
    true, found = path_lengths(), learned(QuasimetricConfig(width=64, depth=1))
    assert (found - true).abs().mean() < 0.4
    assert found[0, 8] > 6.5
    assert found[8, 0] < 1.1


@pytest.mark.parametrize("config", [BlockNormConfig(), QuasimetricConfig()])
def test_settings_of_heads(config: DistanceHeadConfig) -> None:
    for name in ("width", "depth", "dim", "blocks"):
        with pytest.raises(ValueError, match="width, depth, dim and blocks must be positive"):
            dataclasses.replace(config, **{name: 0})
    with pytest.raises(ValueError, match="dim must be a multiple of blocks, got 64 and 5"):
        dataclasses.replace(config, blocks=5)


def test_every_setting_of_a_quasimetric_changes_it() -> None:
    config = QuasimetricConfig()
    for name, value in {"width": 17, "depth": 1, "dim": 32}.items():
        shapes = [
            {key: each.shape for key, each in head.build(LATENT).state_dict().items()}
            for head in (config, dataclasses.replace(config, **{name: value}))
        ]
        assert shapes[0] != shapes[1], name
    a, b = random(64), random(64, seed=1)
    found = {blocks: QuasimetricConfig(blocks=blocks).build(LATENT).distance(a, b).item()
             for blocks in (1, 2, 4)}  # fmt: skip
    assert all(x != y for x, y in itertools.combinations(found.values(), 2))
