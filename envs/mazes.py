"""Mazes-v0: reach a goal among walls, in a maze that differs between episodes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import device, to_device

from . import drawing
from .arrays import namespace
from .episodes import Bounces, displacements
from .geodesics import shortest_paths, wall_boxes, way_to
from .goal_world import GoalWorld, Measure, WorldConfig
from .handles import NEAR, drawn, free_grid, nearest_free
from .maze_layouts import KINDS, SPLITS, Family, Maze, from_text, from_tiles, generate
from .oracles import MazesOracle
from .physics import HIGH, LOW, step
from .rendering import IMAGE_SIZE, render
from .rewards import dense_reward, fewest_steps, infos_of, norm
from .tiles import LAYOUT_SIZE, TileWalls, pack, unpack

THINNEST = 2.0
"""Pixels of the thinnest wall: a larger success radius would reach through it."""
MARGIN = 2.6
"""Pixels that tasks keep from the sides of their cells, but at most a quarter of the cell."""

PATHS = (28.0, 56.0, 112.0)
"""Pixels that part near pairs of places from far ones: half a side, a side and two of them."""


@dataclass(frozen=True)
class MazesConfig(WorldConfig):
    """Everything that `gym.make("Mazes-v0", ...)` accepts besides `render_mode`.

    Args:
        kind: "grid" (mazes of cells) or "rooms" (rooms with doors).
        layout: "random", "train", "test" or "ood", or a map: rows of characters between newlines,
            "#" for walls.
        layouts: how many mazes of the split there are.
        cells: fewest and most cells along a side of a grid, 2 to 8.
        rooms: fewest and most rooms, 2 to 9.
        loops: chance that a wall beyond a spanning tree has a passage too.
        path: fewest and most cells that the way from start to goal enters.
        reward_type: "sparse" (-1, and 0 at the goal) or "dense" (minus the shortest path to the
            goal, in diagonals between the borders: 79.2 pixels).
        success_radius: pixels, at most 2: no wall is thinner.
        step_length: pixels moved by an action of norm 1.
        bounce_noise: standard deviation in pixels of the bounce off a wall; 0 is deterministic.
    """

    kind: Literal["grid", "rooms"] = "grid"
    layout: str = "random"
    layouts: int = 1000
    cells: tuple[int, int] = (4, 8)
    rooms: tuple[int, int] = (2, 9)
    loops: float = 0.1
    path: tuple[int, int] = (1, 100)
    reward_type: Literal["sparse", "dense"] = "sparse"
    success_radius: float = THINNEST
    step_length: float = 2.45
    bounce_noise: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}; name one")
        if "\n" in str(self.layout):
            from_text(self.layout)  # raises on what is no map
        elif self.layout not in SPLITS:
            raise ValueError(
                f"layout must be one of {SPLITS} or a map, got {self.layout!r}; name one"
            )
        if self.reward_type not in ("sparse", "dense"):
            raise ValueError(
                f"reward_type must be 'sparse' or 'dense', got {self.reward_type!r}; name one"
            )
        limits = {"cells": (2, 8), "rooms": (2, 9), "path": (1, 100)}
        for name, (least, most) in limits.items():
            pair = getattr(self, name)
            is_pair = isinstance(pair, list | tuple) and len(pair) == 2
            if not (is_pair and least <= pair[0] <= pair[1] <= most):
                raise ValueError(
                    f"{name} must be two numbers in order, {least} to {most}, as in [{least}, "
                    f"{most}], got {pair!r}"
                )
        ranges = {
            "layouts": (1, 1_000_000),
            "loops": (0, 1),
            "success_radius": (1e-3, THINNEST),
            "step_length": (1e-3, HIGH),
            "bounce_noise": (0, HIGH),
        }
        for name, (smallest, largest) in ranges.items():
            if not smallest <= getattr(self, name) <= largest:
                raise ValueError(
                    f"{name} must be in [{smallest:g}, {largest:g}], got {getattr(self, name)!r}"
                )

    def maze(self, number: int) -> Maze:
        """The maze of a number below `layouts`."""
        if "\n" in self.layout:
            return from_text(self.layout)
        cells, rooms = ((low, high) for low, high in (self.cells, self.rooms))  # JSON has lists
        return generate(Family(self.kind, cells, rooms, self.loops), self.layout, number)


class MazesEnv(GoalWorld):
    """A point agent reaches a goal among walls, which differ between episodes.

    ## Description
    Two Rooms' physics and pictures with any arrangement of walls: grids of 4 x 4 to 8 x 8 cells,
    rooms with doors, or a map. x points right, y down; the border lines are at 4 and 60.

    ## Action space
    `Box(-1, 1, (2,), float32)`: a displacement, 2.45 pixels for a norm of 1; longer actions are
    projected onto the unit disc. Walls stop and bounce as in Two Rooms.

    ## Observation space
    A dict of `observation`, `achieved_goal` and `desired_goal`. With `obs_type="pixels"` each is a
    uint8 image 65 x 65 x 3, the dot in red and walls in green; with `obs_type="state"` it is
    (x, y), which does not tell the walls.

    ## Rewards
    `sparse`: 0 at the goal, else -1. `dense`: minus the length of the shortest path to the goal, in
    diagonals between the borders; it knows the map, and infos have the `layout` then.

    ## Starting state
    Start and goal are in two cells that `path` allows. `reset(options={"state", "goal",
    "layout"})`, any subset, sets a task exactly; a layout is an array (168,) or a map.

    ## Layouts
    "train" and "test" mazes are told apart by their walls: none is in both. "ood" are, by turns,
    larger mazes (9 or 10 cells a side, 10 or 11 rooms) and ones with thinner passages.

    ## Success
    Within 2 pixels of the goal; strictly, within 1.41.
    """

    config_class: ClassVar[type[WorldConfig]] = MazesConfig
    config: MazesConfig
    action_norm = 1.0
    state_names = ("x", "y")
    layout_names = tuple(f"tiles {index}" for index in range(LAYOUT_SIZE))
    unit = "px"
    handles = ("agent", "wall", "passage")
    state_low = np.full(2, LOW)
    state_high = np.full(2, HIGH)
    strict_radius = 1.41
    image_size = IMAGE_SIZE

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:
        super().__init__(render_mode, **config)
        self._place = np.zeros((1, 2), dtype=np.float32)
        self._bounces = Bounces(self.config.bounce_noise, num=1)
        self._use(self.config.maze(0))

    @property
    def state(self) -> np.ndarray:
        """The agent's place (2,) in pixels."""
        return self._place[0].copy()

    @property
    def layout(self) -> np.ndarray:
        """The layout of the episode (168,): see `tiles.pack`."""
        return self._maze.layout.copy()

    @property
    def step_length(self) -> float:
        """Pixels that an action of norm 1 moves the agent."""
        return self.config.step_length

    def measure(self, states: np.ndarray, goals: np.ndarray) -> Measure:
        """Straight distances (...) of states from goals (..., 2) in pixels."""
        distance = norm(states - goals)
        return Measure(
            distance, distance <= self.config.success_radius, distance <= self.strict_radius
        )

    def render_states(self, states: Any, layout: Any) -> Any:
        """Images (..., 65, 65, 3) of states (..., 2) in layouts (..., 168), batched."""
        return render(states, layout)

    def scene(self, size: int = drawing.PICTURE_SIZE, floor: np.ndarray | None = None) -> Any:
        """The picture as a pygame surface of any size, on a floor of one's own; see `drawing`."""
        walls, radius = wall_boxes(self._maze.solid), self.config.success_radius
        return drawing.scene(self.state, self.goal, walls, radius, size, floor)

    @staticmethod
    def state_to_screen(states: Any, size: int = drawing.PICTURE_SIZE) -> Any:
        """Pixel coordinates in a picture of a size, by default `render()`'s, of states (..., 2)."""
        return drawing.to_screen(states, size)

    @staticmethod
    def screen_to_state(points: Any, size: int = drawing.PICTURE_SIZE) -> Any:
        """The inverse of `state_to_screen`."""
        return drawing.from_screen(points, size)

    def handle_at(self, state: np.ndarray) -> str:
        """The agent near a point (2,), else what dragging draws: a wall where none is, or a gap."""
        if norm(state - self.state) <= NEAR:
            return "agent"
        return "wall" if self.is_free(state, self.layout) else "passage"

    def moved(self, name: str, state: np.ndarray) -> dict[str, Any]:
        """Reset options with the agent, the goal, a bit of wall or a passage at a point (2,)."""
        task = {"state": self.state, "goal": self.goal, "layout": self.layout}
        if name in ("wall", "passage"):
            spared = np.stack([self.state, self.goal])
            solid = drawn(self._maze.solid, state, name == "wall", spared)
            return task | {"layout": pack(solid)}
        free = nearest_free(state, lambda places: self.is_free(places, self.layout))
        return task | {"state" if name == "agent" else "goal": free}

    @staticmethod
    def is_free(states: Any, layout: Any) -> Any:
        """Whether states (..., 2) are outside of walls in layouts (..., 168), batched."""
        return TileWalls.from_array(layout).is_free(states)

    @staticmethod
    def shortest_path(states: Any, goals: Any, layout: Any) -> Any:
        """Pixels (...) from states to goals (..., 2) around all walls, in layouts (..., 168)."""
        found = shortest_paths(
            *(np.asarray(to_device(each, "cpu")) for each in (states, goals, layout))
        )
        xp = namespace(states)
        return xp.asarray(found, dtype=xp.float32, device=device(states))

    @staticmethod
    def free_states(side: int, layout: np.ndarray) -> np.ndarray:
        """Free states (side, side, 2) that cover the picture evenly; others are moved beside."""
        return free_grid(side, lambda places: MazesEnv.is_free(places, layout))

    @staticmethod
    def pair_groups(states: Any, goals: Any, layout: Any) -> dict[str, Any]:
        """Which pairs of states (..., 2) are near, and which far, by the shortest path."""
        length = MazesEnv.shortest_path(states, goals, layout)
        ends = (0.0, *PATHS, np.inf)
        return {
            f"paths of {low:g} to {high:g} px": (length >= low) & (length < high)
            for low, high in itertools.pairwise(ends)
        }

    def fewest_steps(self) -> int:
        """Fewest steps from where the agent is to the goal."""
        path = float(self.shortest_path(self.state, self.goal, self.layout))
        return fewest_steps(path, self.config.success_radius, self.config.step_length)

    def way_to(self, place: np.ndarray) -> np.ndarray:
        """The action (2,) along the shortest path to a place (2,), half a pixel from corners."""
        return way_to(self._place[0], place, self._maze.layout, self.config.step_length)

    def oracle_policy(self) -> Any:
        """Who plays with full knowledge; see `MazesOracle`."""
        return MazesOracle(self.config.step_length)

    def draw(self, rng: np.random.Generator, options: Any) -> tuple[Maze, np.ndarray, np.ndarray]:
        """A maze, a start and a goal (2,), as `reset` draws them from a generator and options."""
        self.np_random = rng
        start = self._new_task(options)
        return self._maze, start, self.goal

    def compute_reward(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any
    ) -> float | np.ndarray:
        """See `GoalWorld`; the dense reward takes the `layout` of the infos."""
        if self.config.reward_type == "sparse":
            return super().compute_reward(achieved_goal, desired_goal, info)
        achieved, desired = self._states_of(achieved_goal), self._states_of(desired_goal)
        layouts = np.stack([each["layout"] for each in infos_of(info)])
        reward = dense_reward(
            self.shortest_path(achieved, desired, layouts.reshape(*achieved.shape[:-1], -1))
        )
        return float(reward) if reward.ndim == 0 else reward

    def any_place(self, rng: np.random.Generator) -> np.ndarray:
        """A place (2,) anywhere in a random cell."""
        low_x, low_y, high_x, high_y = LOW + self._maze.cells[rng.integers(len(self._maze.cells))]
        return rng.uniform((low_x + 0.5, low_y + 0.5), (high_x - 0.5, high_y - 0.5))

    def reset_options(
        self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray
    ) -> dict[str, Any]:
        """Options for `reset` of the task from a state (2,) to a goal (2,) in a layout (168,)."""
        return {"state": state, "goal": goal, "layout": layout}

    def _frame(self) -> np.ndarray:
        return drawing.to_array(self.scene())

    def _use(self, maze: Maze) -> None:
        self._maze = maze
        self._walls = TileWalls(maze.boxes, np.zeros(1, dtype=np.int64))

    def _pairs(self, maze: Maze) -> np.ndarray:
        """Pairs (P, 2) of cells between which the way is as long as tasks have it."""
        fewest, most = self.config.path
        return np.argwhere((maze.hops >= fewest) & (maze.hops <= most))

    def _set_layout(self, options: dict[str, Any]) -> None:
        given = options.pop("layout", None)
        if isinstance(given, str):
            self._use(from_text(given))
        elif given is not None:
            array = np.asarray(given, dtype=np.float32)
            if array.shape != (LAYOUT_SIZE,):
                raise ValueError(
                    f"layout must be a map or {LAYOUT_SIZE} numbers, got shape {array.shape}; take "
                    "the world's `layout`"
                )
            if not np.array_equal(array, self._maze.layout):
                self._use(from_tiles(unpack(array)))
        else:
            first, count = int(self.np_random.integers(self.config.layouts)), self.config.layouts
            mazes = (self.config.maze((first + tried) % count) for tried in range(count))
            suitable = (maze for maze in mazes if len(self._pairs(maze)))
            self._use(next(suitable, self.config.maze(first)))  # if none is, no task is drawn

    def _draw_task(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = self._pairs(self._maze)
        if not len(pairs):
            raise ValueError(
                f"path must be a number of cells that a maze has, got {self.config.path}; "
                "widen it, or take larger mazes"
            )
        pair = pairs[self.np_random.integers(len(pairs))]
        boxes = LOW + self._maze.cells[pair]
        margin = np.minimum(MARGIN, (boxes[:, 2:] - boxes[:, :2]) / 4)
        low, high = boxes[:, :2] + margin, boxes[:, 2:] - margin
        start, goal = low + self.np_random.random((2, 2)) * (high - low)
        return start, goal

    def _check_state(self, name: str, state: np.ndarray) -> None:
        if not self._walls.is_free(state[None])[0]:
            raise ValueError(
                f"{name} must be outside of walls, got {state.tolist()}; move it into a free place"
            )

    def _put(self, state: np.ndarray) -> None:
        self._place = state[None].astype(np.float32)
        self._bounces.draw(np.zeros(1, dtype=np.int64), [self.np_random])

    def _act(self, action: np.ndarray) -> None:
        def bounce(rows: np.ndarray) -> np.ndarray:
            return self._bounces.take(rows, [self.np_random])

        move = displacements(action[None], self.config.step_length)
        self._place = step(self._place, move, self._walls, bounce)

    def _info(self) -> dict[str, Any]:
        known = {"layout": self.layout} if self.config.reward_type == "dense" else {}
        return {**super()._info(), **known}

    def _reward(self, info: dict[str, Any]) -> float:
        if self.config.reward_type == "sparse":
            return super()._reward(info)
        return float(dense_reward(self.shortest_path(info["state"], info["goal"], info["layout"])))
