"""TwoRoom224-v0: two rooms of 224 x 224 pixels, with the geometry of stable-worldmodel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from . import sweeping
from .arrays import namespace
from .goal_world import Measure, WorldConfig
from .oracles import RoomOracle
from .painted_world import PaintedConfig, PaintedWorld
from .pictures import Canvas, Colour
from .sweeping import DOOR_HALF_HEIGHT, HIGH, LEFT, LOW, RADIUS, RIGHT

SIZE = 224.0
"""Pixels of the world, whatever the size of its images."""
LINE = 4.0
"""Pixels that the border walls are wide, outwards."""
SUCCESS_RADIUS, STRICT_RADIUS = 16.0, 8.0
AGENT_COLOUR: Colour = (255.0, 0.0, 0.0)
GOAL_COLOUR: Colour = (0.0, 160.0, 0.0)
DOOR_LOW, DOOR_HIGH = LOW + DOOR_HALF_HEIGHT, HIGH - DOOR_HALF_HEIGHT


@dataclass(frozen=True)
class TwoRoom224Config(PaintedConfig):
    """Everything that `gym.make("TwoRoom224-v0", ...)` accepts besides `render_mode`.

    Args:
        image_size: rows and columns; the world has 224 pixels whatever it is.
        door_y: where the door's centre is, in [28, 196]; None draws a whole number of these for
            every episode.
        step_length: pixels that an action of 1 moves the agent along an axis.
    """

    image_size: int = 224
    door_y: float | None = 49.0
    step_length: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.door_y is not None:
            check_door(self.door_y)
        if not 0 < self.step_length <= SIZE:
            raise ValueError(f"step_length must be in (0, {SIZE:g}], got {self.step_length}")


class TwoRoom224Env(PaintedWorld):
    """A disc, a wall with one door, and a place to reach in the other room.

    ## Description
    The TwoRoom task of stable-worldmodel in its 224 pixels: a wall of width 10 about x = 112, the
    door 28 high about y = 49, borders at 14 and 210, an agent of radius 7. Collisions are swept:
    the whole disc is followed along its move, so that no move passes a wall, and slides along it.

    ## Action space
    `Box(-1, 1, (2,), float32)`: a displacement, 5 pixels for 1.

    ## Observation space
    A dict of `observation`, `achieved_goal` and `desired_goal`. With `obs_type="pixels"` each is a
    uint8 image: walls black on white, the agent a red dot of deviation 7; at 224 pixels the lines
    are those of stable-worldmodel. With `obs_type="state"` each is (x, y).

    ## Starting state
    Start and goal are anywhere in opposite rooms. `reset(options={"state", "goal", "door_y"})`, any
    subset, sets a task exactly.

    ## Success
    Within 16 pixels of the goal; strictly, within 8.
    """

    config_class: ClassVar[type[WorldConfig]] = TwoRoom224Config
    config: TwoRoom224Config
    state_names = ("x", "y")
    layout_names = ("door_y",)
    unit = "px"
    state_low = np.full(2, LOW + RADIUS)
    state_high = np.full(2, HIGH - RADIUS)
    frame_size = int(SIZE)

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:
        super().__init__(render_mode, **config)
        self._place = np.zeros((1, 2))
        self._door_y = np.full(1, sweeping.LOW)

    @property
    def state(self) -> np.ndarray:
        """The agent's place (2,) in pixels."""
        return self._place[0].astype(np.float32)

    @property
    def layout(self) -> np.ndarray:
        """The layout of the episode (1,): where the door's centre is."""
        return self._door_y.astype(np.float32)

    @property
    def step_length(self) -> float:
        """Pixels that an action of 1 moves the agent along an axis."""
        return self.config.step_length

    def measure(self, states: np.ndarray, goals: np.ndarray) -> Measure:
        """Straight distances (...) of states from goals (..., 2) in pixels."""
        distance = np.linalg.norm(states - goals, axis=-1)
        return Measure(distance, distance < SUCCESS_RADIUS, distance < STRICT_RADIUS)

    @staticmethod
    def is_free(states: Any, layout: Any) -> Any:
        """Whether a disc about states (..., 2) touches nothing in layouts (..., 1), batched."""
        return sweeping.clearance(states, layout[..., 0]) >= -sweeping.TOUCH

    def _set_layout(self, options: dict[str, Any]) -> None:
        door_y = options.pop("door_y", None)
        if door_y is None:
            drawn = int(self.np_random.integers(int(DOOR_LOW), int(DOOR_HIGH) + 1))
            door_y = drawn if self.config.door_y is None else self.config.door_y
        self._door_y = np.array([check_door(door_y)])

    def oracle_policy(self) -> Any:
        """Who plays with full knowledge; see `RoomOracle`."""
        return RoomOracle(self.step_length)

    def _draw_task(self) -> tuple[np.ndarray, np.ndarray]:
        left, right = LEFT - RADIUS, RIGHT + RADIUS
        low, high = self.state_low[0], self.state_high[0]
        starts_left = self.np_random.random() < 0.5
        share = self.np_random.random((2, 2))
        in_left, in_right = low + share[:, 0] * (left - low), right + share[:, 0] * (high - right)
        y = low + share[:, 1] * (high - low)
        x = (in_left[0], in_right[1]) if starts_left else (in_right[0], in_left[1])
        return np.array([x[0], y[0]]), np.array([x[1], y[1]])

    def _check_state(self, name: str, state: np.ndarray) -> None:
        if sweeping.clearance(state.astype(np.float64), self._door_y[0]) < -1e-3:
            raise ValueError(
                f"{name} must keep the agent's {RADIUS:g} pixels from the wall, got "
                f"{state.tolist()} beside a door at {self._door_y[0]:g}; move it into a room"
            )

    def _put(self, state: np.ndarray) -> None:
        self._place = state[None].astype(np.float64)

    def _act(self, action: np.ndarray) -> None:
        move = action[None] * self.config.step_length
        self._place = sweeping.sweep(self._place, move, self._door_y)

    def _background(self, states: Any, layout: Any, size: int) -> Canvas:
        canvas = Canvas(states, size, corner=(-0.5, -0.5), extent=SIZE)
        door_y, half = layout[..., 0], 0.5  # whole pixels
        wall = canvas.columns(LEFT - half, RIGHT + half)
        door = canvas.rows(door_y - DOOR_HALF_HEIGHT - half, door_y + DOOR_HALF_HEIGHT + half)
        lines = ((LOW - LINE - half, LOW - half), (HIGH - half, HIGH + LINE - half))
        across = sum(canvas.columns(*line) for line in lines)
        down = sum(canvas.rows(*line) for line in lines)
        floor = (1 - wall * (1 - door)) * (1 - across) * (1 - down)
        canvas.blend(1 - floor, (0.0, 0.0, 0.0))
        return canvas

    def _paint(self, canvas: Canvas, states: Any, is_goal: bool = False) -> None:
        """Paint a Gaussian dot of deviation 7."""
        xp = namespace(states)
        x, y = canvas.x - states[..., 0, None], canvas.y[:, 0] - states[..., 1, None]
        across, down = xp.exp(x * x / (-2 * RADIUS**2)), xp.exp(y * y / (-2 * RADIUS**2))
        dot = down[..., :, None] * across[..., None, :]
        canvas.blend(dot, GOAL_COLOUR if is_goal else AGENT_COLOUR)


def check_door(door_y: Any) -> float:
    """The door's place, or raise."""
    try:
        place = float(np.asarray(door_y, dtype=np.float64).item())
    except (TypeError, ValueError):
        place = float("nan")
    if not DOOR_LOW <= place <= DOOR_HIGH:
        raise ValueError(
            f"door_y must be in [{DOOR_LOW:g}, {DOOR_HIGH:g}], or None for any when the world is "
            f"made, got {door_y!r}; move it"
        )
    return place
