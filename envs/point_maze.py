"""PointMaze-v0: a ball with a velocity in a maze, on gymnasium-robotics' physics."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from array_api_compat import device

from .arrays import namespace
from .extras import needed
from .goal_world import Measure, WorldConfig
from .oracles import MazeOracle
from .painted_world import PaintedConfig, PaintedWorld
from .pictures import Canvas, Colour
from .point_maps import FREE, WALL, BlockMap

MAZES = {"u": "U_MAZE", "medium": "MEDIUM_MAZE", "large": "LARGE_MAZE"}
"""Names of mazes here and in gymnasium-robotics."""
RADIUS, SHOWN_RADIUS = 0.1, 0.2
"""Radius of the ball in metres, as it moves and as it is shown."""
NOISE = 0.25
"""Metres from a cell's centre, on both axes, at which tasks begin and end."""
SUCCESS_RADIUS, STRICT_RADIUS = 0.5, 0.25
WALL_COLOUR: Colour = (178.0, 128.0, 76.0)
BALL_COLOUR: Colour = (76.0, 153.0, 76.0)
GOAL_COLOUR: Colour = (255.0, 0.0, 0.0)


@dataclass(frozen=True)
class PointMazeConfig(PaintedConfig):
    """Everything that `gym.make("PointMaze-v0", ...)` accepts besides `render_mode`.

    Args:
        maze: "u", "medium" or "large".
    """

    maze: Literal["u", "medium", "large"] = "u"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.maze not in MAZES:
            raise ValueError(f"maze must be one of {[*MAZES]}, got {self.maze!r}")


class PointMazeEnv(PaintedWorld):
    """A ball that is pushed by a force reaches a place in a maze.

    ## Description
    gymnasium-robotics' point mazes: cells of 1 m, steps of 0.01 s, a ball whose velocity stays
    below 5 m/s on each axis and is a part of the state. x points right, y up, 0 is the middle.

    ## Action space
    `Box(-1, 1, (2,), float32)`: the force; an action of 1 adds about 0.24 m/s in a step.

    ## Observation space
    A dict of `observation`, `achieved_goal` and `desired_goal`. With `obs_type="pixels"` each is a
    uint8 image, the maze seen from above. One image shows no velocity: take two, by `--history 2`.
    With `obs_type="state"` each is the state: x, y and the velocity.

    ## Starting state
    At rest in a random cell, up to 0.25 m from its centre on each axis; the goal in another.
    `reset(options={"state", "goal"})`, any subset, sets a task exactly.

    ## Success
    The place within 0.5 m of the goal's; strictly, which is a rule of ours, within 0.25 m.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 50,
    }
    config_class: ClassVar[type[WorldConfig]] = PointMazeConfig
    state_names = ("x", "y", "speed x", "speed y")
    unit = "m"

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:
        mazes = needed("gymnasium_robotics.envs.maze", "PointMaze-v0")
        needed("mujoco", "PointMaze-v0")
        self._physics: Any = mazes.point_maze.PointMazeEnv
        self._use(self._first_map(self.config_class.from_kwargs(config), mazes.maps))
        half = np.array([self.maze.shape[1], self.maze.shape[0]]) / 2
        self.state_low = np.array([*(RADIUS - half), -6, -6])
        self.state_high = np.array([*(half - RADIUS), 6, 6])
        super().__init__(render_mode, **config)

    @property
    def maze(self) -> np.ndarray:
        """(rows, columns): 1 is a wall, 0 is free; rows count down."""
        return self._map.maze

    def _first_map(self, config: Any, maps: Any) -> BlockMap:
        """The map to begin with, given gymnasium-robotics' maps."""
        return BlockMap(np.array(getattr(maps, MAZES[config.maze])))

    def _use(self, block_map: BlockMap) -> None:
        """Take a map, and build its physics."""
        self._map = block_map
        self._world = self._physics(maze_map=block_map.maze.tolist())
        os.remove(self._world.tmp_xml_file_path)  # it has been read, and nobody else removes it

    @property
    def state(self) -> np.ndarray:
        """The state (4,): the place in metres, and the velocity in metres a second."""
        data = self._world.data
        return np.concatenate([data.qpos, data.qvel]).astype(np.float32)

    def measure(self, states: np.ndarray, goals: np.ndarray) -> Measure:
        """Straight distances (...) of states from goals (..., 4) in metres."""
        distance = np.linalg.norm(states[..., :2] - goals[..., :2], axis=-1)
        return Measure(distance, distance <= SUCCESS_RADIUS, distance <= STRICT_RADIUS)

    def centre_of(self, cell: Any) -> np.ndarray:
        """The places (..., 2) of the centres of cells (..., 2), a row and a column each."""
        return self._map.centre_of(cell)

    def cell_of(self, places: np.ndarray) -> np.ndarray:
        """The cells (..., 2), a row and a column, of places (..., 2)."""
        return self._map.cell_of(places)

    def is_free(self, states: np.ndarray, layout: Any = None) -> np.ndarray:
        """Whether a ball at states (..., 4 or 2) touches no wall, up to a thousandth of a metre."""
        walls = self.centre_of(np.argwhere(self.maze == WALL))  # (W, 2)
        apart = np.maximum(np.abs(states[..., None, :2] - walls) - 0.5, 0.0)
        return np.linalg.norm(apart, axis=-1).min(axis=-1) > RADIUS - 1e-3

    def oracle_policy(self) -> Any:
        """Who plays with full knowledge; see `MazeOracle`."""
        return MazeOracle(self)

    def _draw_task(self) -> tuple[np.ndarray, np.ndarray]:
        cells = np.argwhere(self.maze == FREE)
        chosen = self.np_random.choice(len(cells), 2, replace=False)
        places = self.centre_of(cells[chosen]) + self.np_random.uniform(-NOISE, NOISE, (2, 2))
        start, goal = np.concatenate([places, np.zeros((2, 2))], axis=1)
        return start, goal

    def _check_state(self, name: str, state: np.ndarray) -> None:
        if not self.is_free(state.astype(np.float64)):
            raise ValueError(
                f"{name} must keep the ball's {RADIUS:g} m from the walls, got "
                f"{state[:2].tolist()}; move it into a corridor"
            )

    def _put(self, state: np.ndarray) -> None:
        point = self._world.point_env
        point.reset()  # also what the solver remembers
        point.set_state(state[:2].astype(np.float64), state[2:].astype(np.float64))
        self._world.goal = self.goal[:2].astype(np.float64)

    def _act(self, action: np.ndarray) -> None:
        self._world.step(action)

    def _background(self, states: Any, layout: Any, size: int) -> Canvas:
        rows, columns = self.maze.shape
        extent = float(max(rows, columns))
        canvas = Canvas(states, size, corner=(-extent / 2, extent / 2), extent=extent, up=True)
        xp, place = namespace(states), device(states)
        left = xp.arange(columns, dtype=states.dtype, device=place) - columns / 2  # (columns,)
        bottom = rows / 2 - 1 - xp.arange(rows, dtype=states.dtype, device=place)  # (rows,)
        across = canvas.columns(left, left + 1)[:, 0]  # (columns, W), shares of pixels
        down = canvas.rows(bottom, bottom + 1)[..., 0]  # (rows, H)
        canvas.blend(down.T @ self._blocks(states, layout) @ across, WALL_COLOUR)
        return canvas

    def _blocks(self, states: Any, layout: Any) -> Any:
        """Which cells (..., rows, columns) are walls, 1 or 0, as numbers like states."""
        return namespace(states).asarray(self.maze, dtype=states.dtype, device=device(states))

    def _paint(self, canvas: Canvas, states: Any, is_goal: bool = False) -> None:
        place = states[..., 0], states[..., 1]
        piece = canvas.around(*place, reach=SHOWN_RADIUS)
        piece.paint(piece.disc(*place, SHOWN_RADIUS), GOAL_COLOUR if is_goal else BALL_COLOUR)
