"""Who plays to collect data, one for each world: scripted, without demonstrations.

`jepa-agent collect --env jepa_agent:TwoRoom224-v0 --policy jepa_agent.envs.generators:Rover`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .reacher import angles_of, turns
from .sweeping import LEFT, RADIUS, RIGHT, WALL_X

DOOR_AIM = 4.0
"""Pixels from the door's centre line at which a disc fits through."""
CLEAR = 2.0
"""Pixels beside the wall at which rovers line up with the door."""
TORQUE = 200.0
"""Radians a second squared that an action of 1 adds to a joint of ReacherPose-v0."""
STEERING = 0.7
"""Metres a second off the wanted velocity for which a ball is pushed with full force."""
LOST = 0.015
"""Chance a step that one changes its mind and goes somewhere else."""


class Traveller:
    """Goes from place to place; a script for a world subclasses it.

    Courses are changed now and then, so that they begin and end anywhere.

    Args:
        seed: of the episode, and the script's own number.
        speeds: lowest and highest, of which an episode has one.
        noises: lowest and highest deviation of the noise, of which an episode has one.
    """

    def __init__(
        self, seed: tuple[int, int], speeds: tuple[float, float], noises: tuple[float, float]
    ) -> None:
        rng = np.random.default_rng(seed)
        self._speed = rng.uniform(*speeds)
        self._noise = rng.uniform(*noises)
        self._target: np.ndarray | None = None

    def _destination(
        self,
        place: np.ndarray,
        near: float,
        draw: Callable[[], np.ndarray],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Where to go (2,): another place wherever the last one is near along both axes."""
        arrived = self._target is not None and np.abs(self._target - place).max() < near
        if self._target is None or arrived or rng.random() < LOST:
            self._target = draw()
        return self._target

    def _walk(self, way: np.ndarray, step_length: float, rng: np.random.Generator) -> np.ndarray:
        """The action (2,) that goes a way (2,), in about its direction, and stops at its end."""
        x, y = way
        heading = np.arctan2(y, x) + self._noise * rng.standard_normal()
        speed = min(self._speed, np.hypot(x, y) / step_length)
        return np.array([speed * np.cos(heading), speed * np.sin(heading)], dtype=np.float32)


class Rover(Traveller):
    """Walks from place to place in TwoRoom224-v0, through its door where that is needed.

    Headings are noisy; speeds and noise differ between episodes, and courses are changed now and
    then, also towards walls.

    Args:
        seed: of the episode.
    """

    def __init__(self, seed: int) -> None:
        super().__init__((seed, 0), speeds=(0.4, 1.0), noises=(0.05, 0.6))

    def __call__(self, env: Any, rng: np.random.Generator) -> np.ndarray:
        world = env.unwrapped
        place = world.state.astype(np.float64)
        target = self._destination(
            place, 5, lambda: rng.uniform(world.state_low, world.state_high), rng
        )
        way = waypoint(place, target, float(world.layout[0])) - place
        return self._walk(way, world.step_length, rng)


class MazeRover(Traveller):
    """Walks along shortest paths from place to place in Mazes-v0, also into walls.

    Headings are noisy; speeds and noise differ between episodes, and courses are changed now and
    then.

    Args:
        seed: of the episode.
    """

    def __init__(self, seed: int) -> None:
        super().__init__((seed, 4), speeds=(0.3, 1.0), noises=(0.05, 0.8))

    def __call__(self, env: Any, rng: np.random.Generator) -> np.ndarray:
        world = env.unwrapped
        target = self._destination(world.state, 2, lambda: world.any_place(rng), rng)
        return self._walk(world.way_to(target), 1.0, rng)  # which is an action


class MazeWalker(Traveller):
    """Rolls from cell to cell of PointMaze-v0, to random places, at different speeds.

    Args:
        seed: of the episode.
    """

    def __init__(self, seed: int) -> None:
        super().__init__((seed, 2), speeds=(2.0, 7.0), noises=(0.0, 0.5))

    def __call__(self, env: Any, rng: np.random.Generator) -> np.ndarray:
        world = env.unwrapped
        state = world.state.astype(np.float64)
        place, velocity = state[:2], state[2:]

        def draw() -> np.ndarray:
            cells = np.argwhere(world.maze == 0)
            cell = cells[rng.integers(len(cells))]
            return world.centre_of(cell) + rng.uniform(-0.35, 0.35, 2)

        way = next_cell(world, place, self._destination(place, 0.3, draw, rng)) - place
        force = steer(way, velocity, self._speed) + self._noise * rng.standard_normal(2)
        return np.clip(force, -1, 1).astype(np.float32)


class ArmMover:
    """Moves ReacherPose-v0's arm from pose to pose, fast or slowly, or turns it by random torques.

    Args:
        seed: of the episode.
    """

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng((seed, 3))
        self._rate = rng.uniform(4.0, 14.0)
        self._torque = rng.uniform(0.0, 0.02)
        self._left, self._target = 0, np.zeros(2)

    def __call__(self, env: Any, rng: np.random.Generator) -> np.ndarray:
        state = env.unwrapped.state.astype(np.float64)
        if self._left <= 0:
            self._left = int(rng.integers(10, 40))
            self._target = rng.uniform([-np.pi, -2.8], [np.pi, 2.8])
        self._left -= 1
        way = turns(angles_of(state), self._target)
        torque = pull(way, state[4:], self._rate) + self._torque * rng.standard_normal(2)
        return np.clip(torque, -1, 1).astype(np.float32)


def steer(way: np.ndarray, velocity: np.ndarray, speed: float) -> np.ndarray:
    """The force (2,) for a ball to go a way (2,) in metres at a speed, slower near its end."""
    length = float(np.linalg.norm(way))
    wanted = way / max(length, 1e-6) * min(speed, 8 * length)
    return (wanted - velocity) / STEERING


def pull(way: np.ndarray, speeds: np.ndarray, rate: float) -> np.ndarray:
    """Torques (2,) for joints to turn by (2,) radians at a rate in 1 / s, without overshooting."""
    return (rate**2 * way - (2 * rate - 1) * speeds) / TORQUE


def next_cell(world: Any, place: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where to go straight, to get from a place to a target in a maze: a place, or a cell's."""
    here, there = (tuple(world.cell_of(each).tolist()) for each in (place, target))
    steps = {there: there}
    queue = [there]
    for cell in queue:  # breadth first, from the target
        if cell == here:
            break
        for row, column in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            near = (cell[0] + row, cell[1] + column)
            if world.maze[near] == 0 and near not in steps:
                steps[near] = cell
                queue.append(near)
    following = steps.get(here, here)
    return target if following == there else world.centre_of(following)


def waypoint(place: np.ndarray, target: np.ndarray, door_y: float) -> np.ndarray:
    """Where to go straight, to get from a place to a target in the two rooms of 224 pixels."""
    left, right = LEFT - RADIUS - CLEAR, RIGHT + RADIUS + CLEAR
    goes_right = target[0] > WALL_X
    is_there = place[0] >= right if goes_right else place[0] <= left
    if is_there:
        return target
    ahead, before = (right + 1, left) if goes_right else (left - 1, right)
    if abs(place[1] - door_y) < DOOR_AIM:
        return np.array([ahead, door_y])
    return np.array([before, door_y])
