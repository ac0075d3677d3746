"""Thousands of Two Rooms in one batched step: what `gym.make_vec("TwoRooms-v0")` builds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from .episodes import Episodes, Observation, action_space, check_actions, observation_space
from .tasks import TwoRoomsConfig


class TwoRoomsVectorEnv(VectorEnv[Observation, np.ndarray, np.ndarray]):
    """`num_envs` copies of `TwoRoomsEnv`, episode for episode the same for the same seeds.

    Args:
        num_envs: how many.
        max_episode_steps: truncation; `gym.make_vec` passes the registered 200.
        autoreset_mode: when a finished episode is followed by the next, see Gymnasium's
            `AutoresetMode`: at the next step, at once, or by `reset(options={"reset_mask": ...})`.
        render_mode: None; single environments render.
        config: the fields of `TwoRoomsConfig`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int = 200,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: None = None,
        **config: Any,
    ) -> None:
        if num_envs < 1 or max_episode_steps < 1:
            raise ValueError(
                "num_envs and max_episode_steps must be at least 1, got "
                f"{num_envs} and {max_episode_steps}; raise them"
            )
        if render_mode is not None:
            raise ValueError(
                f"render_mode must be None for a vector environment, got {render_mode!r}; "
                "render a single environment"
            )
        self.config = TwoRoomsConfig.from_kwargs(config)
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.render_mode = None
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_action_space = action_space()
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.single_observation_space: gym.Space = observation_space(self.config.obs_type)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._episodes = Episodes(self.config, num_envs)
        self._generators: list[np.random.Generator] = []
        self._used_seeds: list[int] = []
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._done = np.zeros(num_envs, dtype=bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observation, dict[str, Any]]:
        """Start episodes in all environments, or in those of `options["reset_mask"]`.

        Args:
            seed: one seed per environment, or s for s, s + 1, ...
            options: those of `TwoRoomsEnv.reset`, the same for all, and `reset_mask`, a boolean
                array (num_envs,).
        """
        options = dict(options or {})
        mask = options.pop("reset_mask", None)
        if mask is None:
            mask = np.ones(self.num_envs, dtype=bool)
        if not isinstance(mask, np.ndarray) or mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise ValueError(
                f"reset_mask must be a boolean array of shape ({self.num_envs},), got {mask!r}; "
                "build it with np.zeros(num_envs, dtype=bool)"
            )
        if not self._generators and not mask.all():
            raise gym.error.ResetNeeded(
                "the first reset must be of all environments; omit the mask"
            )
        self._episodes.check_options(options)
        rows = np.flatnonzero(mask)
        seeds = self._seeds(seed)
        if not self._generators:
            pairs = [seeding.np_random(value) for value in seeds]
            self._generators, self._used_seeds = [list(each) for each in zip(*pairs, strict=True)]
        elif seed is not None:
            for row in rows.tolist():
                if seeds[row] is not None:
                    self._generators[row], self._used_seeds[row] = seeding.np_random(seeds[row])
        self._begin(rows, options)
        return self._episodes.observe(), self._info(reset_rows=rows)

    @property
    def np_random_seed(self) -> Any:
        """The seeds that the environments' generators began with, one each."""
        return tuple(self._used_seeds)

    def step(
        self, actions: np.ndarray
    ) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Move every agent; finished episodes are followed by the next as `autoreset_mode` says."""
        if not self._generators:
            raise gym.error.ResetNeeded("step needs episodes; call reset() first")
        next_step = self.autoreset_mode == AutoresetMode.NEXT_STEP and self._done.any()
        fresh = self._done if next_step else None  # this step is their reset
        actions = check_actions(actions, (self.num_envs, 2), ignored=fresh)
        episodes = self._episodes
        rows = np.flatnonzero(self._done)
        if len(rows) and self.autoreset_mode == AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(
                f"environments {rows.tolist()} have finished; reset them with a reset_mask"
            )
        if fresh is not None:
            self._begin(rows, None)
        episodes.advance(actions, self._generators, frozen=fresh)
        self._elapsed += 1
        reward = episodes.reward()
        terminated = episodes.terminated
        if fresh is not None:
            self._elapsed[rows] = 0
            reward[rows], terminated[rows] = 0.0, False
        truncated = self._elapsed >= self.max_episode_steps
        self._done = terminated | truncated
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self._done.any():
            return self._same_step_reset(reward, terminated, truncated)
        return episodes.observe(), reward, terminated, truncated, self._info(rows)

    def _same_step_reset(
        self, reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray
    ) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Finish a step in which episodes ended: keep their last observation, begin the next."""
        done, rows = self._done, np.flatnonzero(self._done)
        last_observation = self._episodes.observe()
        final_obs = np.full(self.num_envs, None, dtype=object)
        for row in rows.tolist():
            final_obs[row] = {key: value[row] for key, value in last_observation.items()}
        final_info: dict[str, Any] = {}
        for key, value in self._episodes.info().items():
            kept = np.zeros_like(value)
            kept[rows] = value[rows]
            final_info[key], final_info[f"_{key}"] = kept, done.copy()
        final = {
            "final_obs": final_obs,
            "_final_obs": done.copy(),
            "final_info": final_info,
            "_final_info": done.copy(),
        }
        self._begin(rows, None)
        info = self._info(rows)
        return self._episodes.observe(), reward, terminated, truncated, {**final, **info}

    def _begin(self, rows: np.ndarray, options: dict[str, Any] | None) -> None:
        self._episodes.begin(rows, [self._generators[row] for row in rows.tolist()], options)
        self._elapsed[rows] = 0
        self._done = self._done.copy()
        self._done[rows] = False

    def _info(self, reset_rows: np.ndarray) -> dict[str, Any]:
        """Infos with Gymnasium's masks: key `_name` says which environments have `name`."""
        everyone = np.ones(self.num_envs, dtype=bool)
        info: dict[str, Any] = {}
        for key, value in self._episodes.info().items():
            info[key], info[f"_{key}"] = value, everyone
        if len(reset_rows):
            path = np.zeros(self.num_envs, dtype=np.float64)
            path[reset_rows] = self._episodes.shortest_path(reset_rows)
            has_path = np.zeros(self.num_envs, dtype=bool)
            has_path[reset_rows] = True
            info["shortest_path"], info["_shortest_path"] = path, has_path
        return info

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + index for index in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(
                f"seed must be one number or {self.num_envs} of them, got {len(seed)}; "
                "give one per environment"
            )
        return list(seed)
