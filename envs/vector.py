"""Thousands of episodes in one batched step: what `gym.make_vec` builds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from .episodes import Episodes, Observation, action_space, check_actions
from .maze_episodes import MazeEpisodes
from .mazes import MazesConfig
from .tasks import TwoRoomsConfig


class Batch(Protocol):
    """`num` episodes of a world side by side, moved by one batched step."""

    single_observation_space: gym.Space
    """That of one episode."""

    @property
    def terminated(self) -> np.ndarray:
        """Boolean (num,), the caller's own: which episodes have ended."""

    def check_options(self, options: dict | None) -> Any:
        """Raise where reset options are wrong, before anything is drawn."""

    def begin(
        self, rows: np.ndarray, rngs: Sequence[np.random.Generator], options: dict | None
    ) -> None:
        """Start new episodes in rows (n,), each from its own generator."""

    def advance(
        self,
        actions: np.ndarray,
        rngs: Sequence[np.random.Generator],
        frozen: np.ndarray | None = None,
    ) -> None:
        """Move every agent by its action (num, 2), but those of boolean `frozen` (num,)."""

    def observe(self) -> Observation:
        """The observations (num, ...) in fresh arrays."""

    def reward(self) -> np.ndarray:
        """Rewards (num,), float64."""

    def info(self) -> dict[str, np.ndarray]:
        """The infos (num, ...)."""

    def first_info(self, rows: np.ndarray) -> Mapping[str, np.ndarray]:
        """What infos have besides at the beginning: float64 (n,) of rows (n,)."""


class EpisodesVectorEnv(VectorEnv[Observation, np.ndarray, np.ndarray]):
    """`num_envs` copies of an environment, episode for episode the same for the same seeds.

    Args:
        num_envs: how many.
        max_episode_steps: truncation; by default, the registered number.
        autoreset_mode: when a finished episode is followed by the next, see Gymnasium's
            `AutoresetMode`: at the next step, at once, or by `reset(options={"reset_mask": ...})`.
        render_mode: None; single environments render.
        config: the fields of the environment's config.
    """

    config_class: ClassVar[Any]
    episodes_class: ClassVar[Any]
    """Built from a config and a number, it is a `Batch`."""
    time_limit: ClassVar[int]

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: None = None,
        **config: Any,
    ) -> None:
        if max_episode_steps is None:
            max_episode_steps = self.time_limit
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
        self.config = self.config_class.from_kwargs(config)
        self._episodes: Batch = self.episodes_class(self.config, num_envs)
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.render_mode = None
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_action_space = action_space()
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.single_observation_space = self._episodes.single_observation_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
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
            options: those of a single environment's `reset`, the same for all, and `reset_mask`, a
                boolean array (num_envs,).
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
            for key, value in self._episodes.first_info(reset_rows).items():
                info[key], info[f"_{key}"] = np.zeros(self.num_envs), ~everyone
                info[key][reset_rows], info[f"_{key}"][reset_rows] = value, True
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


class TwoRoomsVectorEnv(EpisodesVectorEnv):
    """`num_envs` copies of `TwoRoomsEnv`; its config is `TwoRoomsConfig`."""

    config_class, episodes_class, time_limit = TwoRoomsConfig, Episodes, 200


class MazesVectorEnv(EpisodesVectorEnv):
    """`num_envs` copies of `MazesEnv`, each in a maze of its own; its config is `MazesConfig`."""

    config_class, episodes_class, time_limit = MazesConfig, MazeEpisodes, 400
