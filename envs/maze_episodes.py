"""A batch of Mazes-v0 episodes, each in a maze of its own, for the vector environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import gymnasium as gym
import numpy as np

from .episodes import DotEpisodes
from .mazes import MazesConfig, MazesEnv
from .rewards import dense_reward, sparse_reward
from .tiles import LAYOUT_SIZE, RIM, TileWalls


class MazeEpisodes(DotEpisodes):
    """State of `num` independent episodes; tasks are drawn, and measured, by a single environment.

    Args:
        config: the task.
        num: how many episodes run side by side.
    """

    config: MazesConfig

    def __init__(self, config: MazesConfig, num: int) -> None:
        super().__init__(config, num)
        self._single = MazesEnv(**asdict(config))
        self.single_observation_space: gym.Space = self._single.observation_space
        self.layout = np.zeros((num, LAYOUT_SIZE), dtype=np.float32)
        self._boxes = np.zeros((num * RIM**2, 8), dtype=np.uint8)
        self.walls = TileWalls(self._boxes, RIM**2 * np.arange(num))
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
        """Start new episodes in some rows; see `Batch`."""
        tasks = [self._single.draw(rng, options) for rng in rngs]
        boxes = self._boxes.reshape(self.num, RIM**2, 8)
        for row, (maze, start, goal) in zip(rows.tolist(), tasks, strict=True):
            self.position[row], self.goal[row], self.layout[row] = start, goal, maze.layout
            boxes[row] = maze.boxes
        self._bounces.draw(rows, rngs)
        self._draw(rows, self.layout[rows])
        self._measure()

    def _displacements(self, actions: np.ndarray) -> np.ndarray:
        """Pixels (num, 2) that actions go, in the box as in the single environment."""
        return super()._displacements(np.clip(actions, -1.0, 1.0))

    def reward(self) -> np.ndarray:
        """Reward (num,) float64 of being where the agents are now."""
        if self.config.reward_type == "sparse":
            return sparse_reward(self._measured.success)
        return dense_reward(MazesEnv.shortest_path(self.position, self.goal, self.layout))

    def info(self) -> dict[str, np.ndarray]:
        """The info of every episode: state, goal, distance, success, and the layout if needed."""
        known = {"layout": self.layout.copy()} if self.config.reward_type == "dense" else {}
        return {
            "state": self.position.copy(),
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
        self._measured = self._single.measure(self.position, self.goal)
