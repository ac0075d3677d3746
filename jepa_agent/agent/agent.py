"""The agent: a world model and a planner behind Stable-Baselines3's `predict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..models.world_model import WorldModel
from ..planners import CEM, ActionBounds, Noise, Plan, Planner
from ..worlds.reference import EnvRef
from . import checkpointing
from .costs import CostConfig, PlanningCost
from .error_memory import ErrorMemory
from .hub import HubMixin


@dataclass
class AgentState:
    """What the agent remembers of n environments between calls of `predict`.

    Args:
        plan: (n, H, A), the current plans; the first action of each is being executed.
        elapsed: (n,), steps of the current chunk already played.
        episode: (n,), how many episodes each environment has begun.
        decision: (n,), decisions made in the current episode.
        planned: (n,), whether the last call planned.
        error_memory: what the episodes have taught, if the cost has a memory.
    """

    plan: Tensor
    elapsed: np.ndarray
    episode: np.ndarray
    decision: np.ndarray
    planned: np.ndarray
    error_memory: ErrorMemory | None = None

    def select(self, rows: np.ndarray) -> AgentState:
        """The memory of some of the environments (k,), in that order."""
        index = torch.as_tensor(rows, device=self.plan.device)
        return AgentState(
            plan=self.plan[index],
            elapsed=self.elapsed[rows],
            episode=self.episode[rows],
            decision=self.decision[rows],
            planned=self.planned[rows],
            error_memory=None if self.error_memory is None else self.error_memory.select(index),
        )


class JEPAAgent(HubMixin):
    """Plans in latent space to reach a goal, an observation of the state to be in.

    The goal is `observation["desired_goal"]`; where an environment has none, `set_goal` gives one.
    Works wherever a Stable-Baselines3 policy does: `predict` takes one observation or a batch,
    and `evaluate_policy` scores it.

    Args:
        model: the world model.
        bounds: of one action.
        env_ref: the environment that the model was trained for.
        planner: the search; CEM by default.
        cost: what the search minimises.
        seed: of the search's random numbers.
        notes: JSON data kept with a checkpoint, such as the training's config.
    """

    def __init__(
        self,
        model: WorldModel,
        bounds: ActionBounds,
        env_ref: EnvRef,
        planner: Planner | None = None,
        cost: CostConfig | None = None,
        seed: int = 0,
        notes: dict[str, Any] | None = None,
    ) -> None:
        if len(bounds.low) != model.config.action_dim:
            raise ValueError(
                f"bounds must be of the model's {model.config.action_dim} action components, got "
                f"{len(bounds.low)}; use those of the environment it was trained for"
            )
        self.model = model.eval().requires_grad_(False)
        self.bounds, self.env_ref = bounds, env_ref
        self.planner: Planner = planner or CEM()
        self.cost = cost or CostConfig()
        self.seed, self.notes = seed, notes or {}
        self.last_plan: Plan | None = None
        """The plans of the last decision, for drawing."""
        self._goal: np.ndarray | None = None
        self._search = self._plan_from_latents

    @property
    def device(self) -> torch.device:
        return self.model.observation_mean.device

    def set_goal(self, goal: np.ndarray | None) -> None:
        """Plan towards an observation from now on, whatever observations say; None forgets it."""
        self._goal = None if goal is None else self._checked("the goal", goal)

    def compile(self) -> None:
        """Compile the whole search, with CUDA graphs on a GPU; the next decisions are slow.

        A new number of environments compiles anew.
        """
        mode = "reduce-overhead" if self.device.type == "cuda" else None
        self._search = torch.compile(self._plan_from_latents, mode=mode, dynamic=False)

    def predict(
        self,
        observation: Mapping[str, np.ndarray] | np.ndarray,
        state: AgentState | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, AgentState]:
        """The next actions.

        A chunk's action is held for K steps; then the plan is shifted and improved. Without
        `state` every call plans anew.

        Args:
            observation: `observation` and `desired_goal`, each uint8 (H, W, C) or a vector (S,),
                or n of them; after `set_goal`, the observation alone will do.
            state: what the last call returned.
            episode_start: (n,) boolean, which environments have just been reset.
            deterministic: ignored, the search is always seeded.

        Returns:
            Actions (A,) or (n, A), and the state for the next call.

        Raises:
            ValueError: if the observation is not of the model's kind.
        """
        images, goals = self._seen_and_wanted(observation)
        single = images.ndim == len(self.model.config.observation_shape)
        if single:
            images, goals = images[None], goals[None]
        count = len(images)
        if state is None:
            state = self._fresh_state(count)
        elif len(state.elapsed) != count:
            raise ValueError(
                f"state must be of {count} environments like the observation, got "
                f"{len(state.elapsed)}; pass the state of the same environments"
            )
        started = np.zeros(count, dtype=bool)
        if episode_start is not None:
            started = np.broadcast_to(np.asarray(episode_start, dtype=bool), (count,)).copy()
        started |= state.episode == 0
        due = started | (state.elapsed >= self.model.config.chunk)
        state = AgentState(
            plan=state.plan.clone(),
            elapsed=np.where(due, 0, state.elapsed) + 1,
            episode=state.episode + started,
            decision=np.where(started, 0, state.decision + due),
            planned=due,
            error_memory=state.error_memory,
        )
        rows = np.flatnonzero(due)
        if len(rows):
            self._decide(state, rows, images[rows], goals[rows], started[rows])
        actions = state.plan[:, 0].cpu().numpy()
        return (actions[0] if single else actions), state

    @torch.no_grad()
    def _decide(
        self,
        state: AgentState,
        rows: np.ndarray,
        images: np.ndarray,
        goals: np.ndarray,
        started: np.ndarray,
    ) -> None:
        """Plan for some rows (k,) of the state, and learn from what came of their last plans."""
        index = torch.as_tensor(rows, device=self.device)
        fresh = torch.as_tensor(started, device=self.device)
        latents, wanted = self.model.encode(
            torch.as_tensor(np.stack([images, goals]), device=self.device)
        )
        played, learned = state.plan[index], None
        if state.error_memory is not None:
            learned = state.error_memory.select(index)
            learned = learned.observe_outcome(self.model, latents, played[:, 0], fresh)
        warm_start = torch.cat([played[:, 1:], played[:, -1:]], dim=1)
        warm_start = torch.where(fresh[:, None, None], 0.0, warm_start)
        seeds = [_mix(self.seed, int(state.episode[row]), int(state.decision[row])) for row in rows]
        plan = self._search(latents, wanted, warm_start, Noise(seeds), learned)
        state.plan[index] = plan.actions
        if state.error_memory is not None and learned is not None:
            learned = learned.expect(self.model, plan.actions[:, 0])
            state.error_memory = state.error_memory.replaced(index, learned)
        self.last_plan = plan

    def _plan_from_latents(
        self,
        latents: Tensor,
        goals: Tensor,
        warm_start: Tensor,
        noise: Noise,
        error_memory: ErrorMemory | None = None,
    ) -> Plan:
        cost = PlanningCost(self.model, latents, goals, self.cost, error_memory)
        return self.planner.plan(cost, self.bounds, noise, warm_start)

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
        device: torch.device | str | None = None,
        seed: int = 0,
        allow_code: bool = False,
    ) -> JEPAAgent:
        """Load a checkpoint directory, or a shipped one by name ("default").

        Args:
            path_or_name: the checkpoint.
            device: where to plan; by default a GPU where there is one.
            seed: of the search's random numbers.
            allow_code: import the modules of encoders, predictors, distance heads and planners
                that are not the library's. This runs their code.

        Raises:
            CheckpointError: if it is missing, damaged, foreign or of another version.
        """
        return checkpointing.load(cls, path_or_name, device, seed, allow_code)

    def _seen_and_wanted(
        self, observation: Mapping[str, np.ndarray] | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The observation and the goal, of one shape."""
        parts = observation if isinstance(observation, Mapping) else {"observation": observation}
        goal = self._goal
        for key in ("observation",) if goal is not None else ("observation", "desired_goal"):
            if key not in parts:
                raise ValueError(
                    f"an observation must be a dict with {key!r}, got "
                    f"{type(observation).__name__}; use a goal-conditioned environment, or give "
                    "the goal by agent.set_goal(observation)"
                )
        seen = self._checked("observation", parts["observation"])
        if goal is not None:
            return seen, np.broadcast_to(goal, seen.shape)
        wanted = self._checked("desired_goal", parts["desired_goal"])
        if seen.shape != wanted.shape:
            raise ValueError(
                "observation and desired_goal must have one shape, got "
                f"{seen.shape} and {wanted.shape}; give a goal for every observation"
            )
        return seen, wanted

    def _checked(self, name: str, observation: np.ndarray) -> np.ndarray:
        shape = self.model.config.observation_shape
        array = np.asarray(observation)
        is_image = len(shape) == 3
        kind = array.dtype == np.uint8 if is_image else array.dtype.kind == "f"
        if not kind or array.ndim - len(shape) not in (0, 1) or array.shape[-len(shape) :] != shape:
            raise ValueError(
                f"{name} must be {'uint8 images' if is_image else 'float vectors'} {shape}, for "
                f"which this model was trained, got {array.dtype} {array.shape}; build the "
                "environment with agent.env_ref.make()"
            )
        return array if is_image else array.astype(np.float32)

    def _fresh_state(self, count: int) -> AgentState:
        zeros = np.zeros(count, dtype=np.int64)
        plan = torch.zeros(count, self.planner.horizon, len(self.bounds.low), device=self.device)
        size = self.cost.error_memory
        error_memory = ErrorMemory.none(self.model, count, size) if size else None
        return AgentState(plan, zeros, zeros, zeros, zeros.astype(bool), error_memory)


def _mix(*numbers: int) -> int:
    """One seed from several numbers, spread over 63 bits (numpy's SeedSequence)."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return int(state) >> 1
