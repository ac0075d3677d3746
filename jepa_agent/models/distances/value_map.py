"""Shortest paths over a map, with learned costs: distances that are computed, not remembered."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import channels_of_map, grid, mlp
from .base import DistanceHeadConfig
from .block_norm import block_norm

STEPS = [(down, right) for down in (0, 1, 2) for right in (0, 1, 2) if (down, right) != (1, 1)]
"""The neighbours of a place, as where their map begins in one with a rim."""
FAR = 1e4
"""What no way is as long as."""
DOUBT = 3.0
"""Chunks that a goal's place is farther, for each factor of e by which it is less likely."""
UNLIKELY = 1e-6
"""The least chance of the goal being at a place."""
RARE = 0.01
"""After training, no way ends where the goal is less likely, by this factor, than at its place."""
CHECKED = 8
"""Iterations after which it is looked whether anything still changes."""
OPEN = 0.6
"""Chunks that a step to a neighbouring place costs after training, where nothing is in the way."""
SHUT = 20.0
"""How many times as much as learned it costs, after training, to get through what is in the way."""
FREE = 0.8
"""Share of the places to which there is taken to be a way with nothing in it."""


@dataclass(frozen=True)
class ValueMapConfig(DistanceHeadConfig, kind="value_map"):
    """Value iteration on a latent that is a map, as in value iteration networks (1602.02867).

    A convolution reads from the map what a step between neighbouring places costs, the same both
    ways. The ways from all places to the goal's follow from these costs by dynamic programming, so
    that in a layout never seen, which is made of known pieces, they are computed as everywhere
    else. Costs are learned as any distance: ways as long as possible, where a chunk costs at most
    1. Between places of a patch or two, a metric of what is seen there counts, if it is larger.

    Args:
        rows: of the map.
        columns: of the map.
        width: channels of the convolution.
        iterations: steps between neighbouring places that ways have at most.
        blocked: chunks from which on a step counts as blocked after training, or more, where the
            passages are so narrow that most places could not be reached then. Cheaper steps cost
            all the same, and what is beyond weighs more: a wall is learned to cost 15 to 20 chunks,
            far more than a free step, but less than many ways around walls.
        near: size of the metric's embedding.
        blocks: equal parts of it.
        near_most: chunks that the metric counts at most; 0 for no bound. Without one it may explain
            all distances by itself, and nothing is learned of ways.
    """

    rows: int = 16
    columns: int = 16
    width: int = 32
    iterations: int = 64
    blocked: float = 3.0
    near: int = 32
    blocks: int = 8
    near_most: float = 2.0

    def __post_init__(self) -> None:
        sizes = self.rows, self.columns, self.width, self.iterations, self.near, self.blocks
        if min(*sizes, self.blocked) <= 0 or self.near % self.blocks:
            raise ValueError(
                "rows, columns, width, iterations, blocked, near and blocks must be positive, and "
                f"near a multiple of blocks, got {(*sizes, self.blocked)}"
            )
        if self.near_most < 0:
            raise ValueError(
                f"near_most must be positive, or 0 for no bound, got {self.near_most}; take 2"
            )

    def build(self, latent_dim: int) -> ValueMap:
        return ValueMap(self, latent_dim)


class ValueMap(nn.Module):
    """See `ValueMapConfig`. An embedding is the map, where the agent is in it, and what is there.

    Raises:
        ValueError: if the latent's size is no multiple of the number of places.
    """

    is_metric = False
    """Costs are read from a picture of the goal, and might depend on it."""
    places: Tensor
    moves: Tensor
    lengths: Tensor

    def __init__(self, config: ValueMapConfig, latent_dim: int) -> None:
        super().__init__()
        self.config, self.count = config, config.rows * config.columns
        self.channels = channels_of_map(latent_dim, config.rows, config.columns)
        self.sizes = [latent_dim, self.count, config.near]
        """Numbers in an embedding: the map, how likely the agent is where, and what is there."""
        self.dim = sum(self.sizes)
        self.here = mlp(self.channels, config.width, 1, 1)
        self.pose = mlp(self.channels + 2, config.width, 1, config.near)
        self.look = nn.Conv2d(self.channels, config.width, 3, padding=1)
        self.costs = nn.Conv2d(config.width, len(STEPS) // 2, 1)
        self.register_buffer("places", grid(config.rows, config.columns), persistent=False)
        lengths = [math.hypot(down - 1, right - 1) for down, right in STEPS]
        self.register_buffer("lengths", torch.tensor(lengths)[:, None, None], persistent=False)
        moves = [(down - 1) * config.columns + right - 1 for down, right in STEPS]
        self.register_buffer("moves", torch.tensor(moves), persistent=False)

    def forward(self, latents: Tensor) -> Tensor:
        """Embeddings (..., E) of latents (..., D)."""
        maps = latents.unflatten(-1, (self.count, self.channels))
        here = self.here(maps)[..., 0].softmax(dim=-1)  # (..., P)
        places = self.places.to(maps.dtype).expand(*maps.shape[:-2], -1, -1)
        seen = (here[..., None, :] @ torch.cat([maps, places], dim=-1))[..., 0, :]
        return torch.cat([latents, here, self.pose(seen)], dim=-1)

    def distance(self, start: Tensor, end: Tensor) -> Tensor:
        """Distances (...) from embeddings (..., E) to others."""
        return self.towards(end)(start)

    def towards(self, end: Tensor) -> Callable[[Tensor], Tensor]:
        """The distance to embeddings (..., E), whose ways are computed once."""
        maps, here, _ = end.split(self.sizes, dim=-1)
        values = self.values(maps, here)

        def distance(start: Tensor) -> Tensor:
            way = (start.split(self.sizes, dim=-1)[1] * values).sum(dim=-1)
            near = self.near(start, end)
            return torch.maximum(way, near.clamp_max(self.config.near_most or FAR))

        return distance

    def near(self, start: Tensor, end: Tensor) -> Tensor:
        """Distances (...) within a patch or two, by what is seen there alone."""
        first = self.dim - self.config.near
        return block_norm(start[..., first:] - end[..., first:], self.config.blocks)

    @torch.no_grad()
    def way(self, start: Tensor, end: Tensor) -> Tensor:
        """The shortest way from an embedding (E,) to another, place by place.

        Returns:
            (N, 2): where the middles of its places are, as shares of the picture's width and height
            from the left and the top.
        """
        maps, here, _ = end.split(self.sizes, dim=-1)
        size = (self.config.rows, self.config.columns)
        values = F.pad(self.values(maps, here).reshape(size), (1, 1, 1, 1), value=FAR)
        costs = self.step_costs(maps, here.reshape(-1, *size))[0]
        at = int(start.split(self.sizes, dim=-1)[1].argmax())
        row, column = divmod(at, size[1])
        places = [(row, column)]
        while len(places) < self.count:
            after = costs[:, row, column] + torch.stack(
                [values[row + down, column + right] for down, right in STEPS]
            )
            step = int(after.argmin())
            if after[step] > values[row + 1, column + 1] + 1e-3:
                break  # the way ends here
            row, column = row + STEPS[step][0] - 1, column + STEPS[step][1] - 1
            places.append((row, column))
        middles = torch.tensor(places).flip(-1) + 0.5
        return middles / torch.tensor(size[::-1])

    def step_costs(self, maps: Tensor, goal: Tensor) -> Tensor:
        """Chunks that steps from every place cost: (N, 8, rows, columns).

        Args:
            maps: (..., D), of N problems in all.
            goal: (N, rows, columns): how likely it is where.
        """
        config = self.config
        seen = maps.reshape(-1, config.rows, config.columns, self.channels).permute(0, 3, 1, 2)
        costs = both_ways(F.softplus(self.costs(F.relu(self.look(seen)))).float())
        if not self.training:
            here = torch.where(goal < goal.amax(dim=(1, 2), keepdim=True), FAR, 0.0)
            worst = spread(here, costs, torch.maximum, config.iterations)
            passable = worst[:, 1:-1, 1:-1].flatten(1).quantile(FREE, dim=1)
            blocked = passable.clamp_min(config.blocked)[:, None, None, None]
            costs = OPEN + SHUT * (costs - blocked).clamp_min(0)
        return self.lengths * costs

    def values(self, maps: Tensor, here: Tensor) -> Tensor:
        """Chunks from every place (..., P) of maps (..., D) to where the goal is, (..., P)."""
        config, lead = self.config, here.shape[:-1]
        goal = here.reshape(-1, config.rows, config.columns).float()
        ends = -DOUBT * goal.clamp_min(UNLIKELY).log()
        if not self.training:
            rare = goal < RARE * goal.amax(dim=(1, 2), keepdim=True)
            ends = torch.where(rare, FAR, ends)
        costs = self.step_costs(maps, goal)
        value = ShortestWays.apply(costs, ends, self.moves, config.iterations)
        value = value - (value * goal).sum(dim=(1, 2), keepdim=True)
        return value.reshape(*lead, self.count)


def both_ways(costs: Tensor) -> Tensor:
    """Costs (N, 8, rows, columns) of all `STEPS`, given those (N, 4, rows, columns) of the last 4.

    A step back costs what the step there does, which begins at the neighbour. At the borders, those
    that are rolled in from the other side lead to the rim, where no way goes.
    """
    back = [
        costs[:, number].roll((down - 1, right - 1), dims=(1, 2))
        for number, (down, right) in enumerate(STEPS[4:])
    ]
    return torch.cat([torch.stack(back[::-1], dim=1), costs], dim=1)


@torch.no_grad()
def spread(ends: Tensor, costs: Tensor, join: Callable[..., Tensor], iterations: int) -> Tensor:
    """The least of what it is to end at a place, and of a step's cost joined to the next's value.

    Args:
        ends: (N, rows, columns), of ending at a place.
        costs: (N, 8, rows, columns), of steps.
        join: adds a step's cost to what comes after it, or takes the larger one.
        iterations: steps that ways have at most.

    Returns:
        (N, rows + 2, columns + 2): values with a rim that no way leads to.
    """
    rim = F.pad(ends, (1, 1, 1, 1), value=FAR)
    value, views = rim[:, 1:-1, 1:-1], neighbours(rim)
    reached, known = torch.empty_like(ends), torch.full_like(ends, FAR)
    for count in range(iterations):
        if count % CHECKED == 0 and not rim.is_cuda:
            if torch.equal(value, known):
                break
            known.copy_(value)
        for cost, there in zip(costs.unbind(1), views, strict=True):
            join(there, cost, out=reached)
            torch.minimum(value, reached, out=value)
    return rim


def neighbours(rim: Tensor) -> list[Tensor]:
    """Where each of `STEPS` leads from every place of a map with a rim: (N, rows, columns) each."""
    rows, columns = rim.shape[1] - 2, rim.shape[2] - 2
    return [rim[:, down : down + rows, right : right + columns] for down, right in STEPS]


class ShortestWays(torch.autograd.Function):
    """Dynamic programming on a grid, differentiated along the shortest ways that it found.

    A place's value is the least of what it is to end there and of a step's cost and the next
    place's value. A gradient with respect to it flows to the costs of the steps on its way and to
    the place where that ends, which is the exact one.
    """

    @staticmethod
    def forward(ctx: Any, costs: Tensor, ends: Tensor, moves: Tensor, iterations: int) -> Tensor:
        """Values (N, rows, columns) of the costs (N, 8, rows, columns) of steps and of ending.

        Steps change a place's number by `moves` (8,).
        """
        rim = spread(ends, costs, torch.add, iterations)
        ways = torch.stack(neighbours(rim), dim=1) + costs
        best, step = ways.min(dim=1)
        ctx.save_for_backward(step, best < ends, moves)
        ctx.doublings = ends[0].numel().bit_length()
        return rim[:, 1:-1, 1:-1].clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Gradients of the costs and of ending."""
        step, goes_on, moves = ctx.saved_tensors
        end = step[0].numel()  # where ways end is a place beyond all others
        onward = moves[step.flatten(1)] + torch.arange(end, device=step.device)
        onward = F.pad(torch.where(goes_on.flatten(1), onward, end), (0, 1), value=end)
        flow = F.pad(gradients[0].flatten(1), (0, 1))
        for _ in range(ctx.doublings):  # by ways of 1 step, of 2, of 4 and so on
            flow = flow.scatter_add(1, onward, flow)
            onward = onward.gather(1, onward)
        passed = flow[:, :-1].view_as(gradients[0])
        costs = passed.new_zeros(len(passed), len(STEPS), *passed.shape[1:])
        costs.scatter_(1, step[:, None], (passed * goes_on)[:, None])
        return costs, passed * ~goes_on, None, None
