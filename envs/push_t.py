"""PushT-v0: push a T with a disc, on gym-pusht's physics."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .extras import needed
from .goal_world import Measure
from .painted_world import PaintedWorld
from .pictures import Canvas, Colour

SIZE = 512.0
"""Width and height of the world in pixels."""
REACH = 100.0
"""Pixels that an action of 1 aims beside the agent along an axis."""
AGENT_RADIUS = 15.0
BAR, STEM = (-60.0, 60.0, 0.0, 30.0), (-15.0, 15.0, 0.0, 120.0)
MIDDLE = 46.0
"""Down the stem, about the same distance from all the block's farthest corners."""
"""The block's rectangles (left, right, top, bottom) in its own frame; the stem ends in the bar."""
EDGES = (5.0, 506.0)
"""The borders, on both axes."""
SUCCESS_DISTANCE, SUCCESS_ANGLE = 20.0, np.pi / 9
STRICT_DISTANCE, STRICT_ANGLE = 10.0, np.pi / 18
BEYOND = 100.0
"""Pixels that the block's centre may lie over the border, where the agent can push it."""
AGENT_COLOUR: Colour = (65.0, 105.0, 225.0)
BLOCK_COLOUR: Colour = (119.0, 136.0, 153.0)
GOAL_COLOUR: Colour = (144.0, 238.0, 144.0)
EDGE_COLOUR: Colour = (211.0, 211.0, 211.0)
TRIES = 1000


class PushTEnv(PaintedWorld):
    """A disc pushes a T-shaped block to a pose.

    ## Description
    Push-T on the physics of gym-pusht: 512 x 512 pixels, x right and y down, control at 10 Hz. The
    agent follows a place that an action names, and pushes what is in its way; the block stops as
    soon as it is not pushed. The goal is a pose of both, as in DINO-WM.

    ## Action space
    `Box(-1, 1, (2,), float32)`: the place to follow, beside the agent, 100 pixels for 1, clipped to
    the world.

    ## Observation space
    A dict of `observation`, `achieved_goal` and `desired_goal`. With `obs_type="pixels"` each is a
    uint8 image of the agent and the block, without the goal. With `obs_type="state"` each is the
    state: the agent's x and y, the block's x and y, the cosine and sine of its angle, and the
    agent's velocity in pixels a second.

    ## Starting state
    Agent and block are anywhere, apart from each other, for the start and for the goal.
    `reset(options={"state", "goal"})`, any subset, sets a task exactly; see `pose`.

    ## Success
    The four places together within 20 pixels of the goal's, and the angle within 20 degrees;
    strictly, the block alone within 10 pixels and 10 degrees, for 3 steps in a row.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 10,
    }
    state_names = (
        "agent x", "agent y", "block x", "block y", "block cos", "block sin", "speed x", "speed y",
    )  # fmt: skip
    unit = "px"
    state_low = np.array([0.0, 0, -BEYOND, -BEYOND, -1, -1, -1000, -1000])
    state_high = np.array([SIZE, SIZE, SIZE + BEYOND, SIZE + BEYOND, 1, 1, 1000, 1000])
    strict_steps = 3

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:
        super().__init__(render_mode, **config)
        pusht = needed("gym_pusht.envs.pusht", "PushT-v0")
        self._world = pusht.PushTEnv(obs_type="state")
        self._world.reset(seed=0)

    @staticmethod
    def pose(agent: Any, block: Any, angle: float, velocity: Any = (0.0, 0.0)) -> np.ndarray:
        """The state (8,) of an agent at (x, y) and a block at (x, y), turned by an angle."""
        numbers = [*agent, *block, np.cos(angle), np.sin(angle), *velocity]
        return np.array(numbers, dtype=np.float32)

    @property
    def state(self) -> np.ndarray:
        """The state (8,)."""
        agent, block = self._world.agent, self._world.block
        return self.pose(agent.position, block.position, block.angle, agent.velocity)

    def measure(self, states: np.ndarray, goals: np.ndarray) -> Measure:
        """Distances (...) of all four places together in pixels, and whether the rules are met."""
        apart = np.asarray(states[..., :4], dtype=np.float64) - goals[..., :4]
        distance = np.linalg.norm(apart, axis=-1)
        turn = turned_by(states, goals)
        block = np.linalg.norm(apart[..., 2:], axis=-1)
        success = (distance < SUCCESS_DISTANCE) & (turn < SUCCESS_ANGLE)
        return Measure(distance, success, (block < STRICT_DISTANCE) & (turn < STRICT_ANGLE))

    def oracle_policy(self) -> Any:
        """Who plays with full knowledge; see `PushOracle`."""
        from .push_oracle import PushOracle  # which needs this module

        return PushOracle()

    def _draw_task(self) -> tuple[np.ndarray, np.ndarray]:
        start, goal = (self._draw_pose() for _ in range(2))
        return start, goal

    def _draw_pose(self) -> np.ndarray:
        rng = self.np_random
        for _ in range(TRIES):
            place, angle = rng.uniform(100, 400, 2), rng.uniform(-np.pi, np.pi)
            state = self.pose(rng.uniform(50, 450, 2), place, angle)
            if clearance(state) > 1 and is_inside(state):
                return state
        raise RuntimeError(f"a free pose must be found in {TRIES} tries, got none")

    def _check_state(self, name: str, state: np.ndarray) -> None:
        if not 0.5 < np.hypot(state[4], state[5]) < 1.5:
            raise ValueError(
                f"{name}'s cosine and sine must be those of an angle, got {state[4:6].tolist()}; "
                "use PushTEnv.pose(agent, block, angle)"
            )

    def _put(self, state: np.ndarray) -> None:
        numbers = [float(each) for each in state]
        self._world._setup()  # what gym-pusht's own reset does; its `_set_state` also moves
        agent, block = self._world.agent, self._world.block
        block.angle = float(np.arctan2(numbers[5], numbers[4]))
        block.position = tuple(numbers[2:4])  # after the angle, which turns about another point
        agent.position, agent.velocity = tuple(numbers[:2]), tuple(numbers[6:])
        self._world.space.reindex_shapes_for_body(agent)
        self._world.space.reindex_shapes_for_body(block)

    def _act(self, action: np.ndarray) -> None:
        place = np.array(self._world.agent.position)
        self._world.step(np.clip(place + REACH * action.astype(np.float64), 0.0, SIZE))

    def _background(self, states: Any, layout: Any, size: int) -> Canvas:
        canvas = Canvas(states, size, corner=(0.0, 0.0), extent=SIZE)
        low, high = EDGES
        lines = [canvas.columns(each - 2, each + 2) for each in EDGES]
        lines += [canvas.rows(each - 2, each + 2) for each in EDGES]
        inside = canvas.columns(low - 2, high + 2) * canvas.rows(low - 2, high + 2)
        for line in lines:
            canvas.blend(line * inside, EDGE_COLOUR)
        return canvas

    def _paint(self, canvas: Canvas, states: Any, is_goal: bool = False) -> None:
        """Paint the block and, before it, the agent."""
        columns = [states[..., index] for index in range(6)]
        x, y, block_x, block_y, cosine, sine = columns
        middle = block_x - MIDDLE * sine, block_y + MIDDLE * cosine
        piece = canvas.around(*middle, reach=float(np.hypot(BAR[1], MIDDLE)))
        frame = piece.turned(block_x, block_y, cosine, sine)
        bar, stem = piece.box_in(frame, BAR), piece.box_in(frame, STEM)
        piece.paint(piece.nearest(bar, stem), GOAL_COLOUR if is_goal else BLOCK_COLOUR)
        piece = canvas.around(x, y, reach=AGENT_RADIUS)
        piece.paint(piece.disc(x, y, AGENT_RADIUS), GOAL_COLOUR if is_goal else AGENT_COLOUR)


def turned_by(states: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """Radians (...) in [0, pi] between the blocks of states and of goals (..., 8)."""
    cosine, sine, goal_cosine, goal_sine = (
        np.asarray(each[..., column], dtype=np.float64)
        for each in (states, goals)
        for column in (4, 5)
    )
    across = sine * goal_cosine - cosine * goal_sine
    return np.abs(np.arctan2(across, cosine * goal_cosine + sine * goal_sine))


def clearance(states: np.ndarray) -> np.ndarray:
    """Pixels (...) between the agent and the block in states (..., 8); negative if they overlap."""
    across, down = states[..., 0] - states[..., 2], states[..., 1] - states[..., 3]
    cosine, sine = states[..., 4], states[..., 5]
    x, y = across * cosine + down * sine, down * cosine - across * sine
    gaps = []
    for left, right, top, bottom in (BAR, STEM):
        beside = np.maximum.reduce([left - x, x - right])
        beyond = np.maximum.reduce([top - y, y - bottom])
        outside = np.hypot(np.maximum(beside, 0), np.maximum(beyond, 0))
        gaps.append(outside + np.minimum(np.maximum(beside, beyond), 0))
    return np.minimum(*gaps) - AGENT_RADIUS


def is_inside(states: np.ndarray) -> np.ndarray:
    """Whether the blocks of states (..., 8) lie within the borders (...)."""
    cosine, sine = states[..., 4], states[..., 5]
    low, high = EDGES[0] + 2, EDGES[1] - 2  # the borders are 4 pixels thick
    inside = np.ones(states.shape[:-1], dtype=bool)
    for left, right, top, bottom in (BAR, STEM):
        for across, down in ((left, top), (left, bottom), (right, top), (right, bottom)):
            x = states[..., 2] + across * cosine - down * sine
            y = states[..., 3] + across * sine + down * cosine
            inside &= (low < x) & (x < high) & (low < y) & (y < high)
    return inside
