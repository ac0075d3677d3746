"""A batch of Two Rooms episodes, shared by the single and the vector environment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from . import physics, rewards
from .hazards import draw_slips, in_strip, slipped
from .physics import Layout, Walls
from .rendering import IMAGE_SIZE, draw_dot, draw_walls
from .tasks import (
    UNIFORMS_PER_TASK,
    LayoutGroups,
    ResetOptions,
    TwoRoomsConfig,
    sample_tasks,
)

BOUNCES_PER_DRAW = 32
"""Bounces are drawn many at a time, the first at an episode's reset: most steps call no generator.
"""

Observation = dict[str, np.ndarray]


class DotEpisodes(ABC):
    """What `num` episodes of a dot have in common, whatever the walls: moves and pictures.

    Args:
        config: the task; it has a step_length, a bounce_noise and an obs_type.
        num: how many episodes run side by side.
    """

    walls: Walls
    """Those of every episode."""

    def __init__(self, config: Any, num: int) -> None:
        self.config, self.num = config, num
        self.position = np.zeros((num, 2), dtype=np.float32)
        self.goal = np.zeros((num, 2), dtype=np.float32)
        self._bounces = Bounces(config.bounce_noise, num)
        self._is_pixels = config.obs_type == "pixels"
        if self._is_pixels:  # drawn once an episode
            self._images = np.zeros((num, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
            self._goal_images = np.zeros_like(self._images)

    def advance(
        self,
        actions: np.ndarray,
        rngs: Sequence[np.random.Generator],
        frozen: np.ndarray | None = None,
    ) -> None:
        """Move every agent by its action.

        Args:
            actions: float32 (num, 2).
            rngs: the episodes' generators, for bounces beyond those drawn at their beginning.
            frozen: boolean (num,), agents that stay where they are.
        """
        displacement = self._displacements(actions)
        if frozen is not None:
            displacement[frozen] = 0.0
        displacement = self._disturbed(displacement, rngs)

        def bounce(rows: np.ndarray) -> np.ndarray:
            return self._bounces.take(rows, rngs)

        self.position = physics.step(self.position, displacement, self.walls, bounce)
        self._measure()

    def observe(self) -> Observation:
        """The goal-conditioned observation of every episode, in fresh arrays.

        Of pixels, `observation` and `achieved_goal` are one array: the image shows both.
        """
        if not self._is_pixels:
            seen = {"observation": self._state(), "achieved_goal": self.position.copy()}
            return {**seen, "desired_goal": self.goal.copy()}
        image = self._images.copy()
        draw_dot(image, self.position)
        goals = self._goal_images.copy()
        return {"observation": image, "achieved_goal": image, "desired_goal": goals}

    def _draw(self, rows: np.ndarray, layout: Any) -> None:
        """Draw the walls and the goals of rows (n,), whose layout it is."""
        if self._is_pixels:
            walls = draw_walls(layout, self.goal)
            self._images[rows] = walls
            draw_dot(walls, self.goal[rows])
            self._goal_images[rows] = walls

    def _displacements(self, actions: np.ndarray) -> np.ndarray:
        """Pixels (num, 2) that actions go; longer actions are projected onto the disc."""
        return displacements(actions, self.config.step_length)

    def _disturbed(
        self, displacement: np.ndarray, rngs: Sequence[np.random.Generator]
    ) -> np.ndarray:
        """Displacements (num, 2) after what the world does to them."""
        return displacement

    def _state(self) -> np.ndarray:
        """What is observed if it is no picture (num, S)."""
        return self.position.copy()

    @abstractmethod
    def _measure(self) -> None:
        """Note what follows from where the agents are now."""


class Episodes(DotEpisodes):
    """State of `num` independent episodes of Two Rooms, moved by one batched step.

    Args:
        config: the task.
        num: how many episodes run side by side.
    """

    config: TwoRoomsConfig
    walls: Layout

    def __init__(self, config: TwoRoomsConfig, num: int) -> None:
        super().__init__(config, num)
        self.single_observation_space = observation_space(config.obs_type)
        self.distance = np.zeros(num, dtype=np.float32)
        self.is_success = np.zeros(num, dtype=bool)
        self.is_failure = np.zeros(num, dtype=bool)
        self._groups = config.layout_groups()
        self.layout_array = np.zeros((num, self._groups[0].shape[1]), dtype=np.float32)
        self._slips = Slips(config.slip, num) if config.slip else None
        self._cache_layout()

    def begin(
        self, rows: np.ndarray, rngs: Sequence[np.random.Generator], options: dict | None
    ) -> None:
        """Start new episodes in some rows.

        Args:
            rows: (n,) indices.
            rngs: n generators, one a row; each gives one task and the episode's bounces.
            options: a task set by hand, the same for all rows.

        Raises:
            ValueError, TypeError: on bad options, before anything has changed or been drawn.
        """
        chosen, groups = self.check_options(options)
        uniforms = np.stack([rng.random(UNIFORMS_PER_TASK) for rng in rngs])
        beside_wall = self.config.beside_wall
        task = chosen.apply(sample_tasks(uniforms, groups, beside_wall), uniforms, beside_wall)
        self.layout_array[rows], self.position[rows], self.goal[rows] = task
        self._bounces.draw(rows, rngs)
        if self._slips is not None:
            self._slips.draw(rows, rngs)
        self._cache_layout()
        self._draw(rows, Layout.from_array(task[0]))
        self._measure()

    def check_options(self, options: dict | None) -> tuple[ResetOptions, LayoutGroups]:
        """Parse reset options and find the layouts that agree with them, or raise."""
        chosen = ResetOptions.parse(options)
        return chosen, chosen.layouts(self._groups) if options else self._groups

    def _disturbed(
        self, displacement: np.ndarray, rngs: Sequence[np.random.Generator]
    ) -> np.ndarray:
        if self._slips is None:
            return displacement
        moving = np.flatnonzero(displacement.any(axis=1))
        if len(moving):
            noise = self._slips.take(moving, rngs)
            displacement[moving] = slipped(displacement[moving], noise)
        return displacement

    def _state(self) -> np.ndarray:
        return np.concatenate([self.position, self._layout_seen], axis=1)

    def reward(self) -> np.ndarray:
        """Reward (num,) float64 of being where the agents are now."""
        if self.config.reward_type == "sparse":
            return rewards.sparse_reward(self.is_success)
        return rewards.dense_reward(self.shortest_path())

    def shortest_path(self, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Pixels from each agent to its goal around the wall."""
        layout = Layout.from_array(self.layout_array[rows])
        return physics.shortest_path(self.position[rows], self.goal[rows], layout)

    def first_info(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What the infos of rows (n,) have besides at the beginning: the shortest path."""
        return {"shortest_path": self.shortest_path(rows)}

    def info(self) -> dict[str, np.ndarray]:
        """The info of every episode: position, goal, layout, distance, success."""
        return {
            "position": self.position.copy(),
            "goal": self.goal.copy(),
            "wall_x": self._whole[0].copy(),
            "door_y": self._whole[1].copy(),
            "door_halfwidth": self._whole[2].copy(),
            "distance": self.distance.astype(np.float64),
            "is_success": self.is_success.copy(),
            **({} if self.config.hazard == "none" else {"is_failure": self.is_failure.copy()}),
        }

    @property
    def terminated(self) -> np.ndarray:
        """Which episodes (num,) are over, reached or failed."""
        return self.is_failure | (self.is_success & bool(self.config.terminate_on_success))

    def _cache_layout(self) -> None:
        """Columns of the layout as arrays of their own, which are faster to compute with."""
        columns = np.ascontiguousarray(self.layout_array.T)
        self._layout_seen = self.layout_array[:, :2].copy()
        self.walls = Layout(*columns)
        self._whole = columns.astype(np.int64)

    def _measure(self) -> None:
        self.distance = rewards.straight_distance(self.position, self.goal)
        self.is_success = rewards.is_success(self.config, self.distance)
        if self.config.hazard == "strip":
            self.is_failure = in_strip(self.position, self.walls)


class Bounces:
    """Bounces for every row, drawn 32 at a time from the row's own generator.

    Args:
        std: standard deviation in pixels.
        num: rows.
    """

    def __init__(self, std: float, num: int) -> None:
        self._std = np.float32(std)
        self._table = np.zeros((num, BOUNCES_PER_DRAW, 2), dtype=np.float32)
        self._turn = np.zeros(num, dtype=np.int64)

    def take(self, rows: np.ndarray, rngs: Sequence[np.random.Generator]) -> np.ndarray:
        """The next bounce (n, 2) of some rows (n,), which must differ."""
        turn = self._turn[rows]
        if turn.max() == BOUNCES_PER_DRAW:
            worn = rows[turn == BOUNCES_PER_DRAW]
            self.draw(worn, [rngs[row] for row in worn.tolist()])
            turn = self._turn[rows]
        self._turn[rows] = turn + 1
        return self._table[rows, turn]

    def draw(self, rows: np.ndarray, rngs: Sequence[np.random.Generator]) -> None:
        """Draw anew for some rows, each from its own generator."""
        for row, rng in zip(rows.tolist(), rngs, strict=True):
            self._table[row] = self._drawn(rng)
        self._turn[rows] = 0

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        return self._std * rng.standard_normal(self._table.shape[1:], dtype=np.float32)


class Slips(Bounces):
    """The noise of moves, in the same manner.

    Args:
        scale: of the noise, as a share of a move's length.
        num: rows.
    """

    def __init__(self, scale: float, num: int) -> None:
        super().__init__(scale, num)
        self._scale = scale

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        return draw_slips(rng, self._table.shape[1:], self._scale)


def displacements(actions: np.ndarray, step_length: float) -> np.ndarray:
    """Pixels (n, 2), float32, of actions (n, 2), projected onto the unit disc."""
    wide = actions.astype(np.float64)  # squares of large float32 overflow
    scale = step_length / np.maximum(rewards.norm(wide), 1.0)
    return (wide * scale[:, None]).astype(np.float32)


def check_actions(
    actions: Any, shape: tuple[int, ...], ignored: np.ndarray | None = None
) -> np.ndarray:
    """Turn actions into float32 of the given shape, or raise.

    Rows marked in `ignored` (n,) are not checked and become zero.
    """
    rule = f"an action must be finite real numbers of shape {shape}"
    try:
        array = np.asarray(actions)
    except ValueError:
        raise ValueError(f"{rule}, got ragged {actions!r}; pass one array") from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{rule}, got dtype {array.dtype} ({actions!r}); pass floats")
    if array.shape != shape:
        raise ValueError(f"{rule}, got shape {array.shape}; reshape it")
    if array.dtype != np.float32:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
            array = array.astype(np.float32)
    if ignored is not None:
        array = np.where(ignored[:, None], np.float32(0.0), array)
    if not np.isfinite(array).all():
        raise ValueError(f"{rule}, got {actions!r}; remove NaN, infinite and huge values")
    return array


def action_space() -> spaces.Box:
    """Box(-1, 1, (2,)): the unit disc in it is one full step."""
    return spaces.Box(-1.0, 1.0, (2,), np.float32)


def observation_space(obs_type: str) -> spaces.Dict:
    """The goal-conditioned observation space of one episode."""
    if obs_type == "pixels":
        image = spaces.Box(0, 255, (IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
        observation: spaces.Space = image
        goal: spaces.Space = image
    else:
        observation = spaces.Box(0.0, IMAGE_SIZE - 1.0, (4,), np.float32)
        goal = spaces.Box(0.0, IMAGE_SIZE - 1.0, (2,), np.float32)
    return spaces.Dict({"observation": observation, "achieved_goal": goal, "desired_goal": goal})
