"""The agent: a world model and a planner behind Stable-Baselines3's `predict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..models.world_model import WorldModel
from ..planners import CEM, ActionBounds, Noise, Planner, PlannerConfig, check_actions
from ..worlds.actions import action_bounds, as_taken, from_rows
from ..worlds.protocols import state_names
from ..worlds.reference import EnvRef
from . import checkpointing
from .calibration import Calibration
from .chunks import Chunks
from .compiled import CompiledSearch
from .costs import CostConfig
from .goals import (
    GivenGoals,
    StateGoal,
    differ,
    observation_goals,
    seen_and_wanted,
    state_goals,
)
from .hub import HubMixin
from .replanning import planned_anew
from .replayed import Answer, Question, Replayed, answer
from .state import AgentState, fresh_state


class JEPAAgent(HubMixin):
    """Plans in latent space to reach a goal, an observation of the state to be in.

    The goal is `observation["desired_goal"]`; where an environment has none, `set_goal` gives one.
    Works wherever a Stable-Baselines3 policy does: `predict` takes one observation or a batch, and
    `evaluate_policy` scores it. A plan's first chunk of K steps is played; then the plan is shifted
    and improved. `act` is the pure function behind `predict`.

    Args:
        model: the world model.
        bounds: the bounds of one action.
        env_ref: the environment that the model was trained for; None where its data named none.
        planner: the search over actions; CEM by default.
        cost: the cost that the search minimises.
        seed: seed of the search's random numbers.
        notes: JSON data kept with a checkpoint, such as the training's config.
    """

    def __init__(
        self,
        model: WorldModel,
        bounds: ActionBounds,
        env_ref: EnvRef | None,
        planner: Planner | None = None,
        cost: CostConfig | None = None,
        seed: int = 0,
        notes: dict[str, Any] | None = None,
    ) -> None:
        if len(bounds.low) != model.config.action_dim:
            raise ValueError(
                f"bounds must have the model's {model.config.action_dim} action components, got "
                f"{len(bounds.low)}; use those of the environment it was trained for"
            )
        self.model = model.eval().requires_grad_(False)
        self.bounds, self._env_ref = bounds, env_ref
        self.planner: Planner = planner or CEM()
        config = getattr(self.planner, "config", None)
        if isinstance(config, PlannerConfig):
            check_actions(config, bounds)
        self.cost = cost or CostConfig()
        if self.cost.reduction == "arrival" and self.model.proposals is None:
            raise ValueError(
                'the cost\'s reduction "arrival" needs a model with proposals, got one of 0 heads; '
                'train it with model.proposals.heads 8, or take "deadline"'
            )
        self.seed, self.notes = seed, notes or {}
        self.calibration: Calibration | None = None
        """How plans tell the chance of failure; `jepa-agent calibrate` finds it."""
        self._goals: GivenGoals | None = None
        self._remembered: AgentState | None = None
        self._compiled: CompiledSearch | None = None
        self._replayed: Replayed | None = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy forgets the episodes and searches uncompiled: compiled code cannot be pickled."""
        return {**vars(self), "_remembered": None, "_compiled": None, "_replayed": None}

    @property
    def device(self) -> torch.device:
        return self.model.observation_mean.device

    @property
    def env_ref(self) -> EnvRef:
        """The environment to play in.

        Raises:
            ValueError: if the agent was trained on data that named none, and got none since.
        """
        if self._env_ref is None:
            raise ValueError(
                "an agent trained on data without an environment must be given one to play in, "
                "got none; use --env module:Name-v0, or agent.set_environment(EnvRef(...))"
            )
        return self._env_ref

    @property
    def has_environment(self) -> bool:
        """Whether it knows an environment to play in."""
        return self._env_ref is not None

    def set_environment(self, env_ref: EnvRef) -> None:
        """Play in this environment from now on.

        Raises:
            ValueError: if its observations or actions are not those of the model.
        """
        env = env_ref.make()
        space = getattr(env.observation_space, "spaces", {}).get(
            "observation", env.observation_space
        )
        own, mine = action_bounds(env), self.bounds
        shapes = (space.shape, own.categories or (len(own.low),))
        env.close()
        wanted = (self.model.config.observation_shape, mine.categories or (len(mine.low),))
        if shapes != wanted:
            raise ValueError(
                f"{env_ref.id} must show observations and take actions of the model's shapes "
                f"{wanted}, got {shapes}; wrap it, or choose the one that the data come from"
            )
        self.bounds = as_taken(mine, own)
        self._env_ref = env_ref

    @property
    def has_goal(self) -> bool:
        """Whether a goal was set, which is followed whatever `desired_goal` is."""
        return self._goals is not None

    @property
    def seeks_state(self) -> bool:
        """Whether that goal is a state, or a part of one."""
        return self._goals is not None and self._goals.of_state

    def set_goal(self, goal: np.ndarray | None) -> None:
        """Plan towards an observation, whatever `desired_goal` is, until `set_goal(None)`.

        Args:
            goal: one for all environments, or n of them: one for each, episode after episode.
        """
        self._remembered = None
        self._goals = None if goal is None else observation_goals(goal, self.model.config)

    def set_goal_state(self, goal: StateGoal) -> None:
        """Plan towards a part of the state, as the model's probe reads it, until `set_goal(None)`.

            agent.set_goal_state({"x": 3.0})  # by `state_names` of the world, or by index
            agent.set_goal_state([3.0, math.nan])  # all numbers; NaN does not matter
            agent.set_goal_state({"reward": math.inf})  # as much of it as possible

        The cost is the squared difference in standard deviations of the data, no path length.

        Args:
            goal: numbers to reach; infinity for those to raise, minus infinity for those to lower;
                for all environments, or (n, S): one for each.

        Raises:
            ValueError: if the model reads no states, or they have other numbers.
        """
        self._remembered = None
        size = self.model.config.state_dim
        names = self._state_names(size) if isinstance(goal, Mapping) else []
        self._goals = state_goals(goal, self.model, names)

    def _state_names(self, size: int) -> list[str]:
        recorded = self.notes.get("data", {}).get("record", {}).get("rewards", False)
        rewards = ["reward"] if recorded else []
        world = self.env_ref.make().unwrapped if self.has_environment else None
        return state_names(world, size - len(rewards)) + rewards

    def compile(self) -> None:
        """Compile the whole search; the next decisions are slow.

        A new number of environments compiles anew, on a GPU only where it exceeds the next power of
        two; copies of the agent search uncompiled.

        Raises:
            ValueError: if this machine has no compiler.
        """
        self._compiled = CompiledSearch(self)

    def predict(
        self,
        observation: Mapping[str, np.ndarray] | np.ndarray,
        state: AgentState | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, AgentState]:
        """The next actions, as Stable-Baselines3's policies return them.

        The state may be dropped (`action, _ = agent.predict(observation)`): the agent keeps the
        state of the last such call itself, as long as the number of environments stays the same.
        Without `episode_start`, a changed goal starts a new episode; after `set_goal`, only
        `episode_start` does. A call in which every episode starts forgets all earlier ones, so
        that scores are reproducible.

        Args:
            observation: `observation` and `desired_goal`, each a vector (S,) or an image (H, W, C),
                (C, H, W) or, of one channel, (H, W), uint8 or in [0, 1]; or n of them. After
                `set_goal`, `observation` alone suffices.
            state: what the last call returned.
            episode_start: (n,) boolean, which environments have just been reset.
            deterministic: ignored, the search is always seeded.

        Returns:
            Actions (A,) or (n, A), integers if they are discrete, and the state for the next call.

        Raises:
            ValueError: if the observation is not of the model's kind.
        """
        if state is not None:
            self._remembered = None
            return self.act(observation, state, episode_start)
        known = self._remembered
        if known is not None:
            goals = self._seen_and_wanted(observation, known)[1]
            all_start = episode_start is not None and np.all(episode_start)
            if all_start or len(goals) != len(known.goals):
                known = None
            elif episode_start is None:
                episode_start = differ(goals, known.goals)
        action, self._remembered = self.act(observation, known, episode_start)
        return action, self._remembered

    def act(
        self,
        observation: Mapping[str, np.ndarray] | np.ndarray,
        state: AgentState | None = None,
        episode_start: np.ndarray | None = None,
    ) -> tuple[np.ndarray, AgentState]:
        """The next actions and the next state, given the last state: a pure function.

        Args:
            observation: see `predict`.
            state: what the last call returned; None begins new episodes.
            episode_start: (n,) boolean, which environments have just been reset.
        """
        seen, goals, single = self._seen_and_wanted(observation, state)
        count = len(seen)
        if state is not None and state.goals.shape[1:] != goals.shape[1:]:
            raise ValueError(
                "state must have goals of the kind that is set now, got some of shape "
                f"{state.goals.shape[1:]} and not {goals.shape[1:]}; begin again with state None"
            )
        if state is None:
            state = fresh_state(self, goals)
        elif len(state.elapsed) != count:
            raise ValueError(
                f"state must be of {count} environments like the observation, got "
                f"{len(state.elapsed)}; pass the state of the same environments"
            )
        started = np.zeros(count, dtype=bool) if episode_start is None else episode_start
        started = np.broadcast_to(np.asarray(started, dtype=bool), (count,)) | (state.episode == 0)
        due = started | (state.elapsed >= self.model.config.chunk)
        state = replace(
            state,
            elapsed=np.where(due, 0, state.elapsed) + 1,
            episode=state.episode + started,
            decision=np.where(started, 0, state.decision + due),
            planned=due,
            search=None,
            outlook=None,
        )
        rows = np.flatnonzero(due)
        if len(rows):
            state = planned_anew(
                self, self._answer, state, rows, seen[rows], goals[rows], started[rows]
            )
        played = state.actions[np.arange(count), state.elapsed - 1]  # a copy, the caller's own
        actions = from_rows(self.bounds, played)
        return (actions[0] if single else actions), state

    @property
    def foresees(self) -> bool:
        """Whether plans have an outlook: its model has several heads, or foresees ends."""
        return self.model.num_heads > 1 or self.model.ending is not None

    @property
    def chunks(self) -> Chunks:
        """How the planner's actions fill the model's chunks."""
        knots = getattr(getattr(self.planner, "config", None), "knots", 1)
        return Chunks(self.model.config.chunk, knots, bool(self.bounds.categories))

    def _answer(self, asked: Question, noise: Noise) -> Answer:
        """Decide, on a GPU by replaying how decisions were made before."""
        if self.device.type != "cuda":
            return answer(self, asked, noise, self._compiled)
        self._replayed = self._replayed or Replayed(self)
        return self._replayed(asked, noise, self._compiled)

    def save(self, directory: str | Path, half: bool = False) -> None:
        """Write a checkpoint directory; see `checkpoint.save`.

        Args:
            directory: created if missing.
            half: store the weights as float16, in half the space.

        Raises:
            TypeError: if the planner has settings and no `config` to save them by.
        """
        checkpointing.save(self, directory, half)

    @classmethod
    def load(
        cls,
        path_or_name: str | Path = "default",
        device: torch.device | str = "auto",
        seed: int = 0,
        allow_code: bool = False,
    ) -> JEPAAgent:
        """Load a checkpoint directory, or a shipped one by name ("default", "mazes").

        Args:
            path_or_name: the checkpoint.
            device: where to plan; see `resolve_device`.
            seed: seed of the search's random numbers.
            allow_code: import the modules of encoders, predictors, distance heads and planners
                that are not the library's. This runs their code.

        Raises:
            CheckpointError: if it is missing, damaged, foreign or of another version.
            ValueError: if there is no such device.
        """
        return checkpointing.load(cls, path_or_name, device, seed, allow_code)

    def _seen_and_wanted(
        self, observation: Mapping[str, np.ndarray] | np.ndarray, state: AgentState | None
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        environments = None if state is None else state.environment
        return seen_and_wanted(observation, self.model.config, self._goals, environments)
