"""PointMazes-v0: point mazes whose map differs between episodes, as in PLDM and HWM."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import numpy as np

from .arrays import namespace
from .goal_world import WorldConfig
from .painted_world import PaintedConfig
from .point_maps import FREE, BlockMap, block_map
from .point_maze import NOISE, PointMazeEnv

SPLITS = ("train", "test")


@dataclass(frozen=True)
class PointMazesConfig(PaintedConfig):
    """Everything that `gym.make("PointMazes-v0", ...)` accepts besides `render_mode`.

    Args:
        layout: "train" or "test".
        layouts: how many maps of the split there are; published are 25 train and 20 test maps.
        cells: cells along a side, 4 to 8. Published are 4, 6 and 8; paths of 13 to 16 cells need 8.
        path: fewest and most cells that the way from start to goal enters.
    """

    layout: str = "train"
    layouts: int = 25
    cells: int = 8
    path: tuple[int, int] = (1, 100)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout not in SPLITS:
            raise ValueError(f"layout must be one of {SPLITS}, got {self.layout!r}; name one")
        for name, low, high in (("layouts", 1, 1000), ("cells", 4, 8)):
            value = getattr(self, name)
            if not isinstance(value, Integral) or not low <= int(value) <= high:
                raise ValueError(
                    f"{name} must be a whole number from {low} to {high}, got {value!r}"
                )
        fewest, most = self.path
        if not 1 <= fewest <= most:
            raise ValueError(f"path must be two numbers in order, 1 and more, got {self.path}")


class PointMazesEnv(PointMazeEnv):
    """PointMaze-v0's ball in one of many maps, of blocks drawn at random (see `block_map`).

    As PointMaze-v0, but for what follows. The setting is that of PLDM (arXiv 2502.14819) and HWM
    (arXiv 2604.03208), whose maps cannot be had: 25 maps to learn from and 20 others, tasks with
    ways of 5 to 8, 9 to 12 and 13 to 16 cells. Theirs have 98 pixels a side, and play every action
    for 4 steps.

    ## Starting state
    At rest in a random cell of a random map, the goal in another that `path` allows.
    `reset(options={"state", "goal", "layout"})`, any subset, sets a task exactly.

    ## Layout
    The map's cells row by row, the rim included: 1 is a block, 0 is free.
    """

    config_class: ClassVar[type[WorldConfig]] = PointMazesConfig
    config: PointMazesConfig

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:
        super().__init__(render_mode, **config)
        cells = np.ndindex(*self.maze.shape)
        self.layout_names = tuple(f"row {row}, column {column}" for row, column in cells)

    @property
    def layout(self) -> np.ndarray:
        """The cells of the map, row by row: (100,) for 8 cells a side."""
        return self.maze.reshape(-1).astype(np.float32)

    def reset_options(
        self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray
    ) -> dict[str, Any]:
        """Options for `reset` of the task from a state (4,) to a goal (4,) in a layout."""
        return {"state": state, "goal": goal, "layout": layout}

    def is_free(self, states: np.ndarray, layout: Any = None) -> np.ndarray:
        """Whether a ball at states (..., 4 or 2) touches no wall of the episode's map."""
        return super().is_free(states)

    def _first_map(self, config: PointMazesConfig, maps: Any) -> BlockMap:
        return block_map(config.layout, config.cells, 0)

    def _pairs(self, each: BlockMap) -> np.ndarray:
        """Pairs (P, 2) of free cells between which the way is as long as tasks have it."""
        fewest, most = self.config.path
        return np.argwhere((each.hops >= fewest) & (each.hops <= most))

    def _set_layout(self, options: dict[str, Any]) -> None:
        config, given = self.config, options.pop("layout", None)
        if given is not None:
            cells = np.asarray(given)
            if cells.shape != (self.maze.size,) or not np.isin(cells, (0, 1)).all():
                raise ValueError(
                    f"layout must be {self.maze.size} numbers, 0 or 1, got {given!r}; take the "
                    "world's `layout`"
                )
            self._take(BlockMap(cells.astype(int).reshape(self.maze.shape)))
            return
        first = int(self.np_random.integers(config.layouts))
        numbers = [(first + tried) % config.layouts for tried in range(config.layouts)]
        maps = (block_map(config.layout, config.cells, number) for number in numbers)
        suitable = next((each for each in maps if len(self._pairs(each))), None)
        if suitable is None:
            raise ValueError(
                f"path must be a number of cells that a map has, got {config.path}; widen it, or "
                "take larger maps"
            )
        self._take(suitable)

    def _take(self, block_map: BlockMap) -> None:
        if not np.array_equal(block_map.maze, self.maze):
            self._use(block_map)

    def _draw_task(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = self._pairs(self._map)
        if not len(pairs):
            raise ValueError(
                f"path must be a number of cells that this map has, got {self.config.path}; widen "
                "it, or give state and goal too"
            )
        pair = pairs[self.np_random.integers(len(pairs))]
        places = self.centre_of(np.argwhere(self.maze == FREE)[pair])
        places = places + self.np_random.uniform(-NOISE, NOISE, (2, 2))
        start, goal = np.concatenate([places, np.zeros((2, 2))], axis=1)
        return start, goal

    def _blocks(self, states: Any, layout: Any) -> Any:
        xp = namespace(states)
        cells = self.layout if layout is None else layout
        cells = xp.asarray(cells, dtype=states.dtype)
        return cells.reshape(*cells.shape[:-1], *self.maze.shape)
