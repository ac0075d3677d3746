"""Behaviour for offline data: walkers that wander, cross the door, push walls and seek goals.

Every policy is a mixture of walkers; an episode is one walker. The `reference` policy is that of
PLDM's Two Rooms (arXiv 2502.14819): von Mises heading increments, truncated normal step lengths,
and 35 % of the trajectories forced through the door.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from .physics import HIGH, LOW, Layout
from .policies import next_waypoint, uniform_disc
from .tasks import TASK_MARGIN, point_in_room

STEP_LENGTH = 2.45
"""Pixels moved by an action of norm 1."""
HOLD = 5
"""Steps for which a holding walker keeps its action: the length of a planner's chunk."""
BUMP_STEPS = 30
"""Steps for which a bumping walker heads into the wall before it wanders on."""


LOSE_COURSE = 0.05
"""Chance per step that a varied walker turns anywhere."""
CLOSE_TO_WALLS = 0.3
"""Pixels from the walls at which varied walkers may start and seek goals."""


class Walker(IntEnum):
    """A walker's behaviour, one per episode."""

    WANDER = 0
    """A persistent random walk."""
    CROSS = 1
    """Walks to the door and through it, then wanders."""
    BUMP = 2
    """Starts near the inner wall and heads into it, then wanders."""
    SEEK = 3
    """Follows shortest paths to random goals, one after the other."""
    JITTER = 4
    """Independent uniform actions."""


@dataclass(frozen=True)
class Mixture:
    """A behaviour policy: shares of walkers, and how they step.

    Args:
        shares: probability of each `Walker`, in order.
        varied: step lengths from 0 to the full 2.45 pixels, evenly, and headings that persist
            from one to many steps; otherwise the reference's (truncated normal of mean 1 and std
            0.4 on [0.2, 1.8] pixels, concentration 5).
    """

    shares: tuple[float, float, float, float, float]
    varied: bool


POLICIES = {
    "reference": Mixture((0.65, 0.35, 0.0, 0.0, 0.0), varied=False),
    "bump": Mixture((0.0, 0.0, 1.0, 0.0, 0.0), varied=True),
    "door": Mixture((0.0, 1.0, 0.0, 0.0, 0.0), varied=True),
    "uniform": Mixture((0.0, 0.0, 0.0, 0.0, 1.0), varied=True),
    "oracle": Mixture((0.0, 0.0, 0.0, 1.0, 0.0), varied=True),
    "mixed": Mixture((0.20, 0.20, 0.30, 0.25, 0.05), varied=True),
}


class Behaviour:
    """A batch of walkers.

    Args:
        mixture: the policy.
        layout: fields (B,).
        rng: the generator of all their choices.
        beside_wall: pixels from the inner wall's faces in which no walker starts or seeks goals.
    """

    def __init__(
        self,
        mixture: Mixture,
        layout: Layout,
        rng: np.random.Generator,
        beside_wall: float = 0.0,
    ) -> None:
        self._beside_wall = beside_wall
        self.layout, self.rng, self._mixture = layout, rng, mixture
        count = len(layout.wall_x)
        self._walker = rng.choice(len(Walker), size=count, p=mixture.shares)
        self._heading = rng.uniform(-np.pi, np.pi, count).astype(np.float32)
        self._length = np.zeros(count, dtype=np.float32)
        self._concentration = np.full(count, 5.0)
        self._hold = np.ones(count, dtype=np.int64)
        if mixture.varied:
            self._concentration = np.exp(rng.uniform(np.log(2.0), np.log(100.0), count))
            self._hold = np.where(rng.random(count) < 0.5, HOLD, 1)
        self._starts_left = rng.random(count) < 0.5
        self._target = self._random_point(~self._starts_left)
        self._clock = 0

    def start(self) -> np.ndarray:
        """Initial positions (B, 2)."""
        position = self._random_point(self._starts_left)
        near = self._walker == Walker.BUMP
        gap = self.rng.uniform(0.5, 8.0, len(near)) + self.layout.half_thickness + self._beside_wall
        beside = self.layout.wall_x + np.where(self._starts_left, -gap, gap)
        beside = np.clip(beside, LOW + 0.5, HIGH - 0.5)
        position[:, 0] = np.where(near, beside, position[:, 0])
        return position

    def act(self, position: np.ndarray) -> np.ndarray:
        """Actions (B, 2) in the unit disc for positions (B, 2)."""
        rng, count = self.rng, len(position)
        turning = self._clock % self._hold == 0
        noise = rng.vonmises(0.0, self._concentration).astype(np.float32)
        if self._mixture.varied:  # a straight walker must not lean on one wall for ever
            lost = rng.random(count) < LOSE_COURSE
            noise = np.where(lost, rng.uniform(-np.pi, np.pi, count), noise).astype(np.float32)
        steered, course = self._course(position)
        heading = np.where(steered, course, self._heading) + noise
        self._heading = np.where(turning, heading, self._heading)
        self._length = np.where(turning, self._lengths(count), self._length)
        self._clock += 1
        direction = np.stack([np.cos(self._heading), np.sin(self._heading)], axis=-1)
        actions = (direction * self._length[:, None]).astype(np.float32)
        jitter = self._walker == Walker.JITTER
        if jitter.any():
            actions[jitter] = uniform_disc(rng, int(jitter.sum()))
        return actions

    def _course(self, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which walkers are steered (B,), and where to: headings (B,)."""
        walker, layout = self._walker, self.layout
        course = np.zeros(len(position), dtype=np.float32)
        is_left = position[:, 0] < layout.wall_x
        bumping = (walker == Walker.BUMP) & (self._clock < BUMP_STEPS)
        course[bumping] = np.where(self._starts_left, 0.0, np.pi)[bumping]
        arrived = np.linalg.norm(self._target - position, axis=-1) < STEP_LENGTH
        renew = (walker == Walker.SEEK) & arrived
        if renew.any():
            anywhere = self._random_point(self.rng.random(len(position)) < 0.5)
            self._target = np.where(renew[:, None], anywhere, self._target)
        self._walker = np.where(
            (walker == Walker.CROSS) & (is_left != self._starts_left), Walker.WANDER, walker
        )
        walking = np.flatnonzero((self._walker == Walker.CROSS) | (self._walker == Walker.SEEK))
        if len(walking):
            rows = layout.rows((len(position),), walking)
            here, goal = position[walking], self._target[walking]
            offset = next_waypoint(here, goal, rows, STEP_LENGTH) - here
            course[walking] = np.arctan2(offset[:, 1], offset[:, 0])
        steered = bumping
        steered[walking] = True
        return steered, course

    def _lengths(self, count: int) -> np.ndarray:
        """Fresh step lengths (B,) as shares of a full step."""
        rng = self.rng
        if self._mixture.varied:
            return np.minimum(rng.random(count, dtype=np.float32) * 1.25, 1.0)
        length = rng.normal(1.0, 0.4, count)
        outside = np.flatnonzero((length < 0.2) | (length > 1.8))
        while len(outside):
            length[outside] = rng.normal(1.0, 0.4, len(outside))
            outside = outside[(length[outside] < 0.2) | (length[outside] > 1.8)]
        return (length / STEP_LENGTH).astype(np.float32)

    def _random_point(self, in_left: np.ndarray) -> np.ndarray:
        margin = CLOSE_TO_WALLS if self._mixture.varied else TASK_MARGIN
        uniforms = self.rng.random((len(in_left), 2))
        return point_in_room(uniforms, self.layout, in_left, margin, self._beside_wall)
