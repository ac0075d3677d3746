"""Maps of blocks for point mazes: seeded generators, their train and test split, ways in them."""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass

import numpy as np

FREE, WALL = 0, 1
TEST_SHARE = 3
"""One in so many maps is a test map; its blocks alone decide."""
BLOCKED = (0.25, 0.45)
"""Least and largest share of cells that are blocks; fewer, where more would part the others."""


@dataclass(frozen=True, eq=False)
class BlockMap:
    """Cells of 1 m that are free or blocks; the middle of the map is at 0, and y points up.

    Args:
        maze: integers (rows, columns): 1 is a block, 0 is free; rows count down.
    """

    maze: np.ndarray

    def centre_of(self, cell: np.ndarray) -> np.ndarray:
        """The places (..., 2) of the centres of cells (..., 2), a row and a column each."""
        cell = np.asarray(cell)
        rows, columns = self.maze.shape
        return np.stack([cell[..., 1] + 0.5 - columns / 2, rows / 2 - cell[..., 0] - 0.5], axis=-1)

    def cell_of(self, places: np.ndarray) -> np.ndarray:
        """The cells (..., 2), a row and a column, of places (..., 2)."""
        rows, columns = self.maze.shape
        cells = np.stack([rows / 2 - places[..., 1], places[..., 0] + columns / 2], axis=-1)
        return np.floor(cells).astype(np.int64)

    @functools.cached_property
    def hops(self) -> np.ndarray:
        """(F, F): cells that the way between free cells enters, in the order of `np.argwhere`."""
        free = np.argwhere(self.maze == FREE)
        beside = np.abs(free[:, None] - free).sum(axis=-1) == 1  # (F, F)
        beside = beside.astype(np.float32)  # whose products are fast
        reached = np.eye(len(free), dtype=np.float32)
        hops = np.where(reached > 0, 0.0, np.inf)
        for steps in range(1, len(free)):
            reached = reached @ beside
            new = (reached > 0) & np.isinf(hops)
            if not new.any():
                break
            hops[new] = steps
            reached = new.astype(np.float32)
        return hops

    @property
    def is_whole(self) -> bool:
        """Whether there is a way between any two free cells."""
        free = self.maze == FREE
        reached = np.zeros_like(free)
        reached[tuple(np.argwhere(free)[0])] = True
        while True:
            grown = reached.copy()
            grown[1:] |= reached[:-1]
            grown[:-1] |= reached[1:]
            grown[:, 1:] |= reached[:, :-1]
            grown[:, :-1] |= reached[:, 1:]
            grown &= free
            if (grown == reached).all():
                return bool((reached == free).all())
            reached = grown


@functools.lru_cache(maxsize=1000)
def block_map(split: str, side: int, number: int) -> BlockMap:
    """One of a split's maps of side x side cells in a rim; the same number is always the same map.

    Train and test maps are told apart by their blocks alone, so that none is in both.
    """
    rng = np.random.default_rng((side, split == "test", number))
    while True:
        maze = np.full((side + 2, side + 2), WALL)
        maze[1:-1, 1:-1] = FREE
        wanted = round(rng.uniform(*BLOCKED) * side**2)
        for cell in 1 + rng.permutation(np.argwhere(maze[1:-1, 1:-1] == FREE)):
            maze[tuple(cell)] = WALL
            if not BlockMap(maze).is_whole:
                maze[tuple(cell)] = FREE
            if (maze[1:-1, 1:-1] == WALL).sum() == wanted:
                break
        is_test = zlib.crc32(np.packbits(maze == WALL).tobytes()) % TEST_SHARE == 0
        if is_test == (split == "test"):
            return BlockMap(maze)
