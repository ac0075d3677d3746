"""A batch of Mazes-v0 episodes, each in a maze of its own, for the vector environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import gymnasium as gym
import numpy as np

from .episodes import Bounces, Observation, displacements
from .mazes import MazesConfig, MazesEnv
from .physics import step
from .rendering import IMAGE_SIZE, draw_dot, draw_walls
from .rewards import dense_reward, sparse_reward
from .tiles import LAYOUT_SIZE, RIM, TileWalls


class MazeEpisodes:
    """State of `num` independent episodes; tasks are drawn, and measured, by a single environment.

    Args:
        config: the task.
        num: how many episodes run side by side.
    """

    def __init__(self, config: MazesConfig, num: int) -> None:
        self.config, self.num = config, num
        self._single = MazesEnv(**asdict(config))
        self.single_observation_space: gym.Space = self._single.observation_space
        self.place = np.zeros((num, 2), dtype=np.float32)
        self.goal = np.zeros((num, 2), dtype=np.float32)
        self.layout = np.zeros((num, LAYOUT_SIZE), dtype=np.float32)
        self._boxes = np.zeros((num * RIM**2, 8), dtype=np.uint8)
        self._walls = TileWalls(self._boxes, RIM**2 * np.arange(num))
        self._bounces = Bounces(config.bounce_noise, num)
        self._is_pixels = config.obs_type == "pixels"
        if self._is_pixels:  # drawn once an episode
            self._images = np.zeros((num, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
            self._goal_images = np.zeros_like(self._images)
        self._measure()

    @property
    def terminated(self) -> np.ndarray:
        """Boolean (num,): which episodes have ended, at their goals if the config says so."""
        return self._measured.success & self.config.terminate_on_success

    def check_options(self, options: dict | None) -> None:
        """Raise where reset options are wrong in any maze, before anything is drawn."""
        if options:
            self._single.draw(np.random.default_rng(0), options)

    def begin(
        self, rows: np.ndarray, rngs: Sequence[np.random.Generator], options: dict | None
    ) -> None:
        """Start new episodes in some rows.

        Args:
            rows: (n,) indices.
            rngs: n generators, one a row; each gives one task and the episode's bounces.
            options: a task set by hand, the same for all rows.
        """
        tasks = [self._single.draw(rng, options) for rng in rngs]
        boxes = self._boxes.reshape(self.num, RIM**2, 8)
        for row, (maze, start, goal) in zip(rows.tolist(), tasks, strict=True):
            self.place[row], self.goal[row], self.layout[row] = start, goal, maze.layout
            boxes[row] = maze.boxes
        self._bounces.draw(rows, rngs)
        if self._is_pixels:
            walls = draw_walls(self.layout[rows], self.goal)
            self._images[rows] = walls
            draw_dot(walls, self.goal[rows])
            self._goal_images[rows] = walls
        self._measure()

    def advance(
        self,
        actions: np.ndarray,
        rngs: Sequence[np.random.Generator],
        frozen: np.ndarray | None = None,
    ) -> None:
        """Move every agent by its action.

        Args:
            actions: float32 (num, 2).
            rngs: the episodes' generators, for bounces beyond those drawn.
            frozen: boolean (num,), agents that stay where they are.
        """
        move = displacements(np.clip(actions, -1.0, 1.0), self.config.step_length)
        if frozen is not None:
            move[frozen] = 0.0

        def bounce(rows: np.ndarray) -> np.ndarray:
            return self._bounces.take(rows, rngs)

        self.place = step(self.place, move, self._walls, bounce)
        self._measure()

    def observe(self) -> Observation:
        """The goal-conditioned observation of every episode, in fresh arrays.

        Of pixels, `observation` and `achieved_goal` are one array: the image shows both.
        """
        if not self._is_pixels:
            seen = {"observation": self.place.copy(), "achieved_goal": self.place.copy()}
            return {**seen, "desired_goal": self.goal.copy()}
        image = self._images.copy()
        draw_dot(image, self.place)
        goals = self._goal_images.copy()
        return {"observation": image, "achieved_goal": image, "desired_goal": goals}

    def reward(self) -> np.ndarray:
        """Reward (num,) float64 of being where the agents are now."""
        if self.config.reward_type == "sparse":
            return sparse_reward(self._measured.success)
        return dense_reward(MazesEnv.shortest_path(self.place, self.goal, self.layout))

    def info(self) -> dict[str, np.ndarray]:
        """The info of every episode: state, goal, distance, success, and the layout if needed."""
        known = {"layout": self.layout.copy()} if self.config.reward_type == "dense" else {}
        return {
            "state": self.place.copy(),
            "goal": self.goal.copy(),
            "distance": self._measured.distance.astype(np.float64),
            "is_success": self._measured.success.copy(),
            "is_success_strict": self._measured.strict.copy(),
            **known,
        }

    def first_info(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Nothing: a first shortest path in a maze takes longer than all steps of its episode."""
        return {}

    def _measure(self) -> None:
        self._measured = self._single.measure(self.place, self.goal)
