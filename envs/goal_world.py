"""What the worlds of the field's scoreboard share: a state, a goal, and pictures of both."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import gymnasium as gym
import numpy as np

from .episodes import check_actions

Observation = dict[str, np.ndarray]
REMEMBERED = 200_000
"""Pictures whose states are known, for rewards of goals that are pictures."""


@dataclass(frozen=True)
class WorldConfig:
    """What every one of these worlds accepts besides `render_mode`.

    Args:
        obs_type: "pixels" (uint8 images) or "state" (the state as float32).
        terminate_on_success: end the episode at the goal; else only the time limit ends it, so that
            stricter rules can still be met.
    """

    obs_type: str = "pixels"
    terminate_on_success: bool = False

    def __post_init__(self) -> None:
        if self.obs_type not in ("pixels", "state"):
            raise ValueError(f"obs_type must be 'pixels' or 'state', got {self.obs_type!r}")
        if not isinstance(self.terminate_on_success, bool | np.bool_):
            raise TypeError(
                f"terminate_on_success must be True or False, got {self.terminate_on_success!r}"
            )

    @classmethod
    def from_kwargs(cls, kwargs: Mapping[str, Any]) -> Self:
        """Build a config; unknown names are an error that lists the known ones."""
        known = list(cls.__dataclass_fields__)
        if unknown := [name for name in kwargs if name not in known]:
            raise TypeError(
                f"this world takes {', '.join(known)} and render_mode, got {unknown}; correct the "
                "name"
            )
        return cls(**kwargs)


class GoalWorld(gym.Env[Observation, np.ndarray]):
    """A world with a compact state, whose goals are states; a world subclasses it.

    An observation is a dict of `observation`, `achieved_goal` and `desired_goal`: pictures of the
    state, or the state itself. The reward is 0 at the goal, else -1. `reset(options={"state",
    "goal"})`, any subset, sets a task exactly. The info has `state`, `goal`, `distance`,
    `is_success` and `is_success_strict`.

    Args:
        render_mode: None or "rgb_array".
        config: the fields of the world's config.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 10,
    }
    config_class: ClassVar[type[WorldConfig]] = WorldConfig
    state_names: tuple[str, ...]
    state_low: np.ndarray
    """(S,), smallest numbers of a state."""
    state_high: np.ndarray
    """(S,), largest numbers of a state."""
    layout_names: tuple[str, ...] = ()
    stores_images = False
    """Recordings hold states; images are rendered from them in training."""
    strict_steps = 1
    """Steps in a row for which the stricter rule must hold."""

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode must be None or one of {self.metadata['render_modes']}, "
                f"got {render_mode!r}"
            )
        self.render_mode = render_mode
        self.config = self.config_class.from_kwargs(config)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        size = self.image_size
        seen: gym.Space = gym.spaces.Box(0, 255, (size, size, 3), np.uint8)
        if self.config.obs_type == "state":
            low, high = (each.astype(np.float32) for each in (self.state_low, self.state_high))
            seen = gym.spaces.Box(low, high, dtype=np.float32)
        keys = ("observation", "achieved_goal", "desired_goal")
        self.observation_space: gym.Space = gym.spaces.Dict(dict.fromkeys(keys, seen))
        self.goal = np.zeros(len(self.state_names), dtype=np.float32)
        """(S,), the state to reach."""
        self._shown: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._goal_shown = np.zeros(0)
        self._strict_for, self._started = 0, False

    # What a world is.

    @property
    @abstractmethod
    def state(self) -> np.ndarray:
        """The state (S,), float32."""

    @property
    def layout(self) -> np.ndarray:
        """(C,), what is constant in an episode."""
        return np.zeros(0, dtype=np.float32)

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Rows and columns of the images."""

    @abstractmethod
    def render_states(self, states: Any, layout: Any) -> Any:
        """Images uint8 (..., H, W, 3) of states (..., S) in layouts (..., C), numpy or torch."""

    @abstractmethod
    def _frame(self) -> np.ndarray:
        """A picture (height, width, 3) of the episode for people, with the goal."""

    @abstractmethod
    def measure(self, states: np.ndarray, goals: np.ndarray) -> Measure:
        """How far states (..., S) are from goals (..., S)."""

    @abstractmethod
    def _draw_task(self) -> tuple[np.ndarray, np.ndarray]:
        """A start and a goal (S,), from `np_random`."""

    @abstractmethod
    def _put(self, state: np.ndarray) -> None:
        """Put everything at a state (S,)."""

    @abstractmethod
    def _act(self, action: np.ndarray) -> None:
        """Move by an action (2,) in the box."""

    def _check_state(self, name: str, state: np.ndarray) -> None:
        """Raise if a state within the bounds is impossible, in the layout of the episode."""

    def _set_layout(self, options: dict[str, Any]) -> None:
        """Take what concerns the layout out of the reset's options, and draw the layout."""

    # What follows for all of them.

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see the class for `options`."""
        super().reset(seed=seed)
        self._put(self._new_task(options))
        self._strict_for = self.strict_steps - 1  # who begins there has been there
        self._started = True
        self._goal_shown = self._show(self.goal)
        return self._observe(), self._info()

    def _new_task(self, options: Any) -> np.ndarray:
        """Set the layout and the goal, from options or `np_random`; the start (S,)."""
        if not isinstance(options, Mapping | None):
            raise TypeError(f"reset options must be a dict, got {options!r}; pass a dict")
        left = dict(options or {})
        self._set_layout(left)
        given = {name: left.pop(name, None) for name in ("state", "goal")}
        if left:
            known = [*self.reset_options(self.state, self.goal, self.layout)]
            raise ValueError(f"reset options are {known}, got {[*left]}; remove or rename them")
        if any(value is None for value in given.values()):
            drawn = dict(zip(given, self._draw_task(), strict=True))
            given = {name: drawn[name] if value is None else value for name, value in given.items()}
        task = {name: self._checked(name, value) for name, value in given.items()}
        self.goal = task["goal"]
        return task["state"]

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move by one action."""
        self._check_started("step")
        self._act(np.clip(check_actions(action, (2,)), -1.0, 1.0))
        info = self._info()
        terminated = info["is_success"] and bool(self.config.terminate_on_success)
        return self._observe(), self._reward(info), terminated, False, info

    def render(self) -> np.ndarray | None:
        """A picture (height, width, 3) of the episode, with the goal in a colour of its own."""
        if self.render_mode is None:
            return None
        self._check_started("a picture")
        return self._frame()

    def compute_reward(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any
    ) -> float | np.ndarray:
        """The reward of reaching one goal when another was desired, for hindsight relabelling.

        Args:
            achieved_goal, desired_goal: states, or pictures that this environment showed, one or a
                batch; channels may come first.
            info: not needed.
        """
        reward = self._reached(achieved_goal, desired_goal) - 1.0
        return float(reward) if reward.ndim == 0 else reward

    def compute_terminated(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any
    ) -> bool | np.ndarray:
        """Whether reaching one goal when another was desired ends the episode."""
        reached = self._reached(achieved_goal, desired_goal)
        reached = reached & bool(self.config.terminate_on_success)
        return bool(reached) if reached.ndim == 0 else reached

    def compute_truncated(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any
    ) -> bool | np.ndarray:
        """Goals truncate nothing; the registered time limit does."""
        truncated = self._reached(achieved_goal, desired_goal) & False
        return bool(truncated) if truncated.ndim == 0 else truncated

    def reset_options(
        self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray
    ) -> dict[str, Any]:
        """Options for `reset` of the task from a state (S,) to a goal (S,) in a layout (C,)."""
        return {"state": state, "goal": goal, **dict(zip(self.layout_names, layout, strict=True))}

    def _check_started(self, what: str) -> None:
        if not self._started:
            raise gym.error.ResetNeeded(f"{what} needs an episode; call reset() first")

    def _checked(self, name: str, value: Any) -> np.ndarray:
        rule = f"{name} must be {len(self.state_names)} numbers ({', '.join(self.state_names)})"
        try:
            state = np.asarray(value, dtype=np.float32)
        except (TypeError, ValueError):
            raise TypeError(f"{rule}, got {value!r}; pass a list of numbers") from None
        if state.shape != self.state_low.shape or not np.isfinite(state).all():
            raise ValueError(f"{rule}, got {value!r}; pass a list of numbers")
        outside = (state < np.float32(self.state_low)) | (state > np.float32(self.state_high))
        if outside.any():
            first = int(np.argmax(outside))
            raise ValueError(
                f"{name}'s {self.state_names[first]} must be in [{self.state_low[first]:g}, "
                f"{self.state_high[first]:g}], got {state[first]:g}; move it inside"
            )
        self._check_state(name, state)
        return state

    def _observe(self) -> Observation:
        seen = self._show(self.state)
        return {
            "observation": seen,
            "achieved_goal": seen.copy(),
            "desired_goal": self._goal_shown.copy(),
        }

    def _show(self, state: np.ndarray) -> np.ndarray:
        """The observation of a state; pictures are remembered with their states."""
        if self.config.obs_type == "state":
            return state.copy()
        picture = self.render_states(state, self.layout)
        self._shown[_digest(picture)] = state
        if len(self._shown) > REMEMBERED:
            self._shown.popitem(last=False)
        return picture

    def _reward(self, info: dict[str, Any]) -> float:
        """The reward of a step with an info."""
        return float(info["is_success"]) - 1.0

    def _info(self) -> dict[str, Any]:
        state = self.state
        found = self.measure(state, self.goal)
        self._strict_for = self._strict_for + 1 if found.strict else 0
        return {
            "state": state,
            "goal": self.goal.copy(),
            "distance": float(found.distance),
            "is_success": bool(found.success),
            "is_success_strict": self._strict_for >= self.strict_steps,
        }

    def _reached(self, achieved_goal: np.ndarray, desired_goal: np.ndarray) -> np.ndarray:
        achieved, desired = self._states_of(achieved_goal), self._states_of(desired_goal)
        return np.asarray(self.measure(achieved, desired).success)

    def _states_of(self, goals: Any) -> np.ndarray:
        goals = np.asarray(goals)
        if self.config.obs_type == "state":
            return goals
        if goals.shape[-1] != 3:
            goals = np.moveaxis(goals, -3, -1)
        pictures = goals.reshape(-1, *goals.shape[-3:])
        known = [self._shown.get(_digest(picture)) for picture in pictures]
        if any(state is None for state in known):
            raise ValueError(
                "rewards of pictures need pictures that this environment showed lately, got others;"
                " use obs_type='state', or compute them in the environment that was played"
            )
        return np.stack(known).reshape(*goals.shape[:-3], -1)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Measure:
    """How far states are from goals; fields have the batch shape (...,).

    Args:
        distance: in the world's unit.
        success: whether the published rule is met.
        strict: whether the stricter rule is met now.
    """

    distance: np.ndarray
    success: np.ndarray
    strict: np.ndarray


def _digest(picture: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(picture).data, digest_size=16).digest()
