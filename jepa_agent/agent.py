"""The agent: a world model and a planner behind Stable-Baselines3's `predict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from . import checkpoint
from .configs import from_dict, to_dict
from .costs import CostConfig, PlanningCost
from .planners import CEM, CONFIGS, PLANNERS, ActionBounds, Noise, Plan, Planner
from .world_model import WorldModel, WorldModelConfig


@dataclass(frozen=True)
class EnvSpec:
    """The environment that a model was trained for, as `gym.make` takes it.

    Args:
        id: the environment's registered name.
        kwargs: its keyword arguments.
    """

    id: str
    kwargs: dict

    def make(self, **overrides: Any) -> gym.Env:
        """Build the environment; overrides win over the recorded arguments."""
        return gym.make(self.id, **{**self.kwargs, **overrides})


@dataclass
class AgentState:
    """What the agent remembers of n environments between calls of `predict`.

    Args:
        plan: (n, H, A), the current plans; the first action of each is being executed.
        elapsed: (n,), steps of the current chunk already played.
        episode: (n,), how many episodes each environment has begun.
        decision: (n,), decisions made in the current episode.
        planned: (n,), whether the last call planned.
    """

    plan: Tensor
    elapsed: np.ndarray
    episode: np.ndarray
    decision: np.ndarray
    planned: np.ndarray


class JEPAAgent:
    """Plans in latent space to reach the goal in `observation["desired_goal"]`.

    Works wherever a Stable-Baselines3 policy does: `predict` takes one observation or a batch,
    and `evaluate_policy` scores it.

    Args:
        model: the world model.
        bounds: of one action.
        env: the environment that the model was trained for.
        planner: the search; CEM by default.
        cost: what the search minimises.
        seed: of the search's random numbers.
        notes: JSON data kept with a checkpoint, such as the training's config.
    """

    def __init__(
        self,
        model: WorldModel,
        bounds: ActionBounds,
        env: EnvSpec,
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
        self.bounds, self.env = bounds, env
        self.planner: Planner = planner or CEM()
        self.cost = cost or CostConfig()
        self.seed, self.notes = seed, notes or {}
        self.last_plan: Plan | None = None
        """The plans of the last decision, for drawing."""

    @property
    def device(self) -> torch.device:
        return self.model.pixel_mean.device

    def predict(
        self,
        observation: Mapping[str, np.ndarray],
        state: AgentState | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, AgentState]:
        """The next actions.

        A chunk's action is held for K steps; then the plan is shifted and improved. Without
        `state` every call plans anew.

        Args:
            observation: `observation` and `desired_goal`, uint8 (H, W, C) or (n, H, W, C).
            state: what the last call returned.
            episode_start: (n,) boolean, which environments have just been reset.
            deterministic: ignored, the search is always seeded.

        Returns:
            Actions (A,) or (n, A), and the state for the next call.

        Raises:
            ValueError: if the observation is not of the model's kind.
        """
        images, goals = (self._images(observation, key) for key in ("observation", "desired_goal"))
        if images.shape != goals.shape:
            raise ValueError(
                "observation and desired_goal must have one shape, got "
                f"{images.shape} and {goals.shape}; give a goal for every observation"
            )
        single = images.ndim == 3
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
        )
        rows = np.flatnonzero(due)
        if len(rows):
            index = torch.as_tensor(rows, device=self.device)
            shifted = torch.cat([state.plan[index, 1:], state.plan[index, -1:]], dim=1)
            fresh = torch.as_tensor(started[rows], device=self.device)[:, None, None]
            seeds = [
                _mix(self.seed, int(state.episode[row]), int(state.decision[row])) for row in rows
            ]
            plan = self.plan(
                images[rows], goals[rows], torch.where(fresh, 0.0, shifted), Noise(seeds)
            )
            state.plan[index] = plan.actions
            self.last_plan = plan
        actions = state.plan[:, 0].cpu().numpy()
        return (actions[0] if single else actions), state

    @torch.no_grad()
    def plan(self, images: np.ndarray, goals: np.ndarray, warm_start: Tensor, noise: Noise) -> Plan:
        """Plan for n observation and goal images (n, H, W, C); the frames are encoded once."""
        frames = torch.as_tensor(np.stack([images, goals]), device=self.device)
        latents, goal_latents = self.model.encode(frames)
        cost = PlanningCost(self.model, latents, goal_latents, self.cost)
        return self.planner.plan(cost, self.bounds, noise, warm_start)

    def save(self, directory: str | Path) -> None:
        """Write a checkpoint directory; see `checkpoint.save`."""
        planner: Any = self.planner
        name = next((n for n, kind in PLANNERS.items() if type(planner) is kind), None)
        if name is None:
            raise TypeError(
                f"a checkpoint records one of the planners {sorted(PLANNERS)}, got "
                f"{type(planner).__name__}; set agent.planner after loading instead"
            )
        config = {
            "env": to_dict(self.env),
            "bounds": to_dict(self.bounds),
            "model": to_dict(self.model.config),
            "cost": to_dict(self.cost),
            "planner": {"name": name, "config": to_dict(planner.config)},
            "notes": self.notes,
        }
        checkpoint.save(directory, self.model.state_dict(), config)

    @classmethod
    def load(
        cls,
        path_or_name: str | Path = "default",
        device: torch.device | str | None = None,
        seed: int = 0,
    ) -> JEPAAgent:
        """Load a checkpoint directory, or a shipped one by name ("default").

        Args:
            path_or_name: the checkpoint.
            device: where to plan; by default a GPU where there is one.
            seed: of the search's random numbers.

        Raises:
            CheckpointError: if it is missing, damaged, foreign or of another version.
        """
        tensors, config = checkpoint.load(path_or_name)
        try:
            model = WorldModel(from_dict(WorldModelConfig, config["model"], "model"))
            model.load_state_dict(tensors)
            return cls(
                model.to(device or default_device()),
                from_dict(ActionBounds, config["bounds"], "bounds"),
                from_dict(EnvSpec, config["env"], "env"),
                _planner(config["planner"]),
                from_dict(CostConfig, config["cost"], "cost"),
                seed,
                config["notes"],
            )
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise checkpoint.CheckpointError(
                f"the config and weights of {path_or_name} must fit this version, got {error}; "
                "restore or retrain it"
            ) from error

    def _images(self, observation: Mapping[str, np.ndarray], key: str) -> np.ndarray:
        shape = self.model.config.observation_shape
        if not isinstance(observation, Mapping) or key not in observation:
            raise ValueError(
                f"an observation must be a dict with {key!r}, got {type(observation).__name__}; "
                "use a goal-conditioned environment"
            )
        images = np.asarray(observation[key])
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or images.shape[-3:] != shape:
            raise ValueError(
                f"{key} must be uint8 images {shape}, for which this model was trained, got "
                f"{images.dtype} {images.shape}; build the environment with agent.env.make()"
            )
        return images

    def _fresh_state(self, count: int) -> AgentState:
        zeros = np.zeros(count, dtype=np.int64)
        plan = torch.zeros(count, self.planner.horizon, len(self.bounds.low), device=self.device)
        return AgentState(plan, zeros, zeros, zeros, zeros.astype(bool))


def default_device() -> torch.device:
    """A GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def action_bounds(env: gym.Env) -> ActionBounds:
    """The bounds of an environment's actions: its box, and `action_norm` if it has one."""
    space = env.action_space
    if not isinstance(space, gym.spaces.Box) or len(space.shape) != 1:
        raise ValueError(
            f"the action space must be a Box of one dimension, got {space}; wrap the environment"
        )
    norm = getattr(env.unwrapped, "action_norm", None)
    return ActionBounds(tuple(space.low.tolist()), tuple(space.high.tolist()), norm)


def _planner(document: dict[str, Any]) -> Planner:
    name = document["name"]
    if name not in PLANNERS:
        raise ValueError(f"planner.name must be one of {sorted(PLANNERS)}, got {name!r}")
    config: Any = from_dict(CONFIGS[name], document["config"], "planner.config")
    return PLANNERS[name](config)


def _mix(*numbers: int) -> int:
    """One seed from several numbers, spread over 63 bits (numpy's SeedSequence)."""
    state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]
    return int(state) >> 1
