"""Tasks from recorded data: begin at a state, and reach what was observed some steps later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from ..data.recording import state_beside
from ..data.trajectories import Trajectories
from ..data.windows import ObservationSource
from ..worlds.actions import action_bounds, from_rows
from ..worlds.history import held
from ..worlds.parts import Parts
from ..worlds.protocols import Resettable
from ..worlds.reference import EnvRef

REPEATED, RESET = 1e-4, 1e-2
"""How much a start may differ from the recorded one, as a share of its largest number: of a
repeated episode, and of a reset to a state, which may have been rounded."""
MEND = "add the method, or name an option of `reset` with --start-option"


@dataclass(frozen=True)
class DataGoals:
    """Which tasks to take from data, and what counts as success.

    Args:
        offsets: environment steps between a start and its goal, a suite of tasks each.
        budget: steps of an episode, as "50", or as "offset+25".
        within: largest difference from the goal's state that is a success, in the states' units;
            one number, or one per component, NaN for components that do not matter. None: the
            world's `is_success`, or a function.
        start_option: the option of `reset` that takes a state; "" where the world is `Resettable`,
            or to repeat the recorded episode from its seed up to the start.
        moving: goals of several frames show how they moved, as in the data; else they show their
            last frame alone, repeated.
    """

    offsets: tuple[int, ...] = (25, 50)
    budget: str = "offset+25"
    within: tuple[float, ...] | None = None
    start_option: str = ""
    moving: bool = False

    def __post_init__(self) -> None:
        if not self.offsets or min(self.offsets) < 1:
            raise ValueError(f"offset must be at least 1 step, got {self.offsets}; raise it")
        if min(map(self.steps, self.offsets)) < 1:
            raise ValueError(f"budget must be at least 1 step, got {self.budget!r}; raise it")
        if self.within is not None and not any(each > 0 for each in self.within):
            raise ValueError(
                f"success-within must be a positive number, or one per component, got {self.within}"
            )

    def steps(self, offset: int) -> int:
        """The budget of an offset."""
        first, plus, more = self.budget.replace(" ", "").partition("+")
        try:
            return offset + int(more) if (first, plus) == ("offset", "+") else int(self.budget)
        except ValueError:
            raise ValueError(
                f'budget must be a number of steps or "offset+N", got {self.budget!r}'
            ) from None


@dataclass(frozen=True)
class DataTask:
    """A start, and a goal that the data reached from there."""

    state: np.ndarray
    """(S,), where to begin."""
    goal_state: np.ndarray
    """(S,)."""
    layout: np.ndarray
    """(C,)."""
    goal: np.ndarray
    """The goal's observation."""
    observed: np.ndarray
    """The observation at the start."""
    episode_seed: int | None
    """The seed of the recorded episode, if the data tell it."""
    before: np.ndarray
    """(T, A), what was done in that episode before the start."""
    between: np.ndarray
    """(offset, A), what was done then, up to the goal."""
    earlier: np.ndarray
    """(S,), the state at the oldest of the frames that are observed at the start."""
    lead: int
    """Steps from there to the start."""


class DataTaskEnv(gym.Wrapper):
    """Plays the task that a seed names; `desired_goal` is the goal's observation.

    Frames show the goal on the left.

    Args:
        env: the world, without a time limit that a repeated episode would reach.
        goals: how to begin, and what counts as success.
        tasks: the tasks by seed.
        steps: the time limit of a task.
    """

    def __init__(
        self, env: gym.Env, goals: DataGoals, tasks: dict[int, DataTask], steps: int
    ) -> None:
        super().__init__(env)
        self.goals, self.tasks, self.steps = goals, tasks, steps
        self._bounds = action_bounds(env)
        self.task: DataTask | None = None
        self._played = 0
        self._goal_frame: np.ndarray | None = None
        spaces = getattr(env.observation_space, "spaces", {"observation": env.observation_space})
        self.observation_space = gym.spaces.Dict({**spaces, "desired_goal": spaces["observation"]})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin the task of a seed, or the last one again."""
        task = self.task if seed is None else self.tasks[seed]
        if task is None:
            raise ValueError(f"the first seed must be among {sorted(self.tasks)}, got none")
        self.task, self._played = task, 0
        if self.render_mode == "rgb_array":
            self._go_to(seed, task, task.goal_state, np.concatenate([task.before, task.between]))
            self._goal_frame = np.asarray(self.env.render())
        observation, info = self._go_to(seed, task, task.earlier, task.before, task.lead)
        if task.lead and task.episode_seed is not None and self._apart(task, observation) > RESET:
            # a recorded state may leave out what moved on from there
            observation, info = self._repeat(task.episode_seed, task.before)
        self._check_start(task, observation)
        return self._shown(task, observation, info)

    def render(self) -> Any:
        """The goal's frame, if there are frames, and the world's to its right."""
        frame: Any = self.env.render()
        return frame if self._goal_frame is None else np.hstack([self._goal_frame, frame])

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """A step of the world."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        assert self.task is not None
        observation, info = self._shown(self.task, observation, info)
        self._played += 1
        return observation, reward, terminated, truncated or self._played >= self.steps, info

    def _go_to(
        self,
        seed: int | None,
        task: DataTask,
        state: np.ndarray,
        actions: np.ndarray,
        lead: int = 0,
    ) -> tuple[Any, dict[str, Any]]:
        """Begin at a recorded state, or at the start of its episode, and do what was done then.

        From a recorded state, that is the last `lead` actions; from the start, all of them.
        """
        options = self._options(task, state)
        if options is not None:
            observation, info = self.env.reset(seed=seed, options=options)
            for row in actions[len(actions) - lead :]:
                observation, *_, info = self.env.step(from_rows(self._bounds, row))
            return observation, info
        if task.episode_seed is None:
            raise ValueError(
                f"to begin at a recorded state, {self._name} must have `reset_options(state, "
                f"goal, layout)`, or the data the seeds of their episodes; it has neither; {MEND}"
            )
        return self._repeat(task.episode_seed, actions)

    def _repeat(self, episode_seed: int, actions: np.ndarray) -> tuple[Any, dict[str, Any]]:
        """Play a recorded episode again, up to where actions end."""
        observation, info = self.env.reset(seed=episode_seed)
        for row in actions:
            observation, *_, info = self.env.step(from_rows(self._bounds, row))
        return observation, info

    def _options(self, task: DataTask, state: np.ndarray) -> dict[str, Any] | None:
        """What makes `reset` begin at a recorded state; None if nothing does."""
        world = self.env.unwrapped
        if self.goals.start_option:
            return {self.goals.start_option: state}
        if isinstance(world, Resettable):
            return world.reset_options(state, task.goal_state, task.layout)
        return None

    @property
    def _name(self) -> str:
        return type(self.env.unwrapped).__name__

    def _apart(self, task: DataTask, observation: Any) -> float:
        """How much a start differs from the recorded one, as a share of its largest number."""
        parts = observation if isinstance(observation, dict) else {"observation": observation}
        seen = np.asarray(parts["observation"], dtype=np.float64)
        return float(np.abs(seen - task.observed).max() / max(1.0, np.abs(seen).max()))

    def _check_start(self, task: DataTask, observation: Any) -> None:
        apart, options = self._apart(task, observation), self._options(task, task.state)
        if apart > (RESET if options else REPEATED):
            what, mend = f"repeat {len(task.before)} recorded steps", MEND
            if options:
                what = f"begin at the state in its reset's options {[*options]}"
                mend = "leave out --start-option to repeat recorded episodes, or mend the reset"
            raise ValueError(
                f"{self._name} must {what} exactly, got an observation that differs by "
                f"{apart:.3g} of its largest number; {mend}"
            )

    def _shown(
        self, task: DataTask, observation: Any, info: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        parts = observation if isinstance(observation, dict) else {"observation": observation}
        if self.goals.within is not None:
            seen = np.asarray(parts["observation"], dtype=np.float64)
            if seen.shape != task.goal_state.shape:
                seen = state_beside(self.env.unwrapped, observation, info)
            apart = np.abs(seen - task.goal_state)
            limit = np.broadcast_to(self.goals.within, apart.shape)
            info = {**info, "is_success": bool((apart <= limit)[~np.isnan(limit)].all())}
        return {**parts, "desired_goal": task.goal}, info


def make_env(
    env_ref: EnvRef,
    steps: int,
    goals: DataGoals,
    tasks: dict[int, DataTask],
    **kwargs: Any,
) -> DataTaskEnv:
    """The world with the tasks of some seeds; more arguments are its constructor's."""
    return DataTaskEnv(env_ref.make(max_episode_steps=-1, **kwargs), goals, tasks, steps)


def draw_tasks(
    data: Trajectories,
    source: ObservationSource,
    offset: int,
    seed: int,
    moving: bool = False,
) -> Iterator[DataTask]:
    """All tasks of an offset, in an order drawn by a seed; `moving` is that of `DataGoals`.

    Raises:
        ValueError: if no episode is long enough.
    """
    lengths = np.diff(data.offsets)
    starts = np.maximum(lengths - offset, 0)  # of each episode
    if not starts.any():
        raise ValueError(
            f"offset must be shorter than the episodes, got {offset} steps and episodes of at most "
            f"{lengths.max() - 1}; lower it"
        )
    ends, first_seed = np.cumsum(starts), _first_seed(data)
    with_reward = data.metadata.get("record", {}).get("rewards", False)
    numbers = data.states.shape[1] - with_reward  # the world's own
    frames = data.metadata.get("history", 1)
    for number in np.random.default_rng((seed, offset)).permutation(ends[-1]):
        episode = int(np.searchsorted(ends, number, side="right"))
        row = int(data.offsets[episode] + number - (ends[episode] - starts[episode]))
        observed, goal = source.at(torch.tensor([row, row + offset])).cpu().numpy()
        goal = goal if moving else still(goal, data.metadata)
        state, goal_state = data.states[[row, row + offset], :numbers]
        first = data.offsets[episode]
        before = data.actions[first - episode : row - episode]
        between = data.actions[row - episode : row - episode + offset]
        seeds = None if first_seed is None else first_seed + episode
        lead = min(frames - 1, int(row - first))
        earlier = data.states[row - lead, :numbers]
        yield DataTask(
            state, goal_state, data.layout[episode], goal, observed, seeds, before, between,
            earlier, lead,
        )  # fmt: skip


def still(observation: np.ndarray, metadata: dict[str, Any]) -> np.ndarray:
    """An observation of data whose frames are all its last one; see `held`."""
    frames, shapes = metadata.get("history", 1), metadata.get("parts")
    if shapes is None:
        return held(observation, frames)
    parts = Parts(shapes)
    return parts.pack({k: held(part, frames) for k, part in parts.unpack(observation).items()})


def _first_seed(data: Trajectories) -> int | None:
    """The seed of the first episode of a recording whose episodes are all there."""
    recorded = data.metadata.get("record", {})
    return recorded.get("seed") if recorded.get("episodes") == len(data) else None
