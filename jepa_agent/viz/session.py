"""A session of planning: a world, an agent that plans in it, and the user's changes.

No window is needed: `jepa-agent plan` shows it in one, or writes it into a video.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from ..agent.agent import JEPAAgent
from ..agent.state import AgentState
from ..planners import DISCRETE_PLANNERS, PLANNERS, make_planner
from ..worlds.actions import from_rows
from ..worlds.protocols import Drawable, Movable, unit_of
from .fields import NO_FIELDS, FieldPainter
from .imagination import computed_way, imagined_paths, paths_of_heads, predicted_risk
from .plan_view import View

STEPS = 200
"""After which an episode is over."""
STEPS_AFTER_SUCCESS = 8
FIELDS = ("off", "learned", "learned and true")
KEYS = "".join(str(number) for number in range(1, 10))[: min(len(PLANNERS), len(DISCRETE_PLANNERS))]
"""Those that choose a planner."""
HELP = (
    "click\ta new goal",
    "drag\t{handles}",
    " ".join(KEYS) + "\t{planners}",
    "space\tpause and go on",
    ".\tone step",
    "r\ta new layout, start and goal",
    "e\tdistance map: learned, and the true one beside it",
    "t\tcandidates of the last search",
    "g\tghost: imagined from the start, without looking",
    "s\tsave a picture",
    "v\tstart and stop a video",
    "h\tthis help",
    "escape\tleave",
)


class Decision(NamedTuple):
    """The result of planning once."""

    version: int
    """Version of the world that it was made for."""
    actions: np.ndarray
    """(K, A), of the chunk that it begins with."""
    state: AgentState
    plan: np.ndarray | None
    candidates: np.ndarray | None
    energy: float
    milliseconds: float
    ghost: torch.Tensor
    """Latent of the ghost."""
    walked: Sequence[np.ndarray]
    """States that the ghost has passed since the last decision; empty without a probe."""
    heads: np.ndarray | None
    """States (heads, P, S) that every head imagines under the plan."""
    risk: float | None
    """The predicted chance of failure."""
    way: np.ndarray | None
    """Places (N, 2) on the way to the goal that the distance computes."""


class Session:
    """Steps the world as plans come in; planning runs beside it and never blocks.

    Args:
        agent: the agent that plans.
        seed: seed of the first episode; each next one has the next number.
        overrides: of the environment's keyword arguments; it should not terminate on success.

    Raises:
        ValueError: if the world cannot be drawn.
    """

    steps: int
    reached_at: int | None
    """The step at which the goal was first reached."""
    trail: np.ndarray
    """(P, S), the states that the agent has passed."""
    _state: AgentState | None
    _actions: np.ndarray
    _plan: np.ndarray | None
    _candidates: np.ndarray | None
    _heads: np.ndarray | None
    _risk: float | None
    _way: np.ndarray | None
    _ghost_latent: torch.Tensor | None
    _ghost: np.ndarray
    _acted: list[np.ndarray]

    def __init__(self, agent: JEPAAgent, seed: int = 0, **overrides: Any) -> None:
        self.agent = agent
        self.env = agent.env_ref.make(max_episode_steps=10**9, **overrides)
        self.world: Any = self.env.unwrapped
        if not isinstance(self.world, Drawable):
            raise ValueError(
                f"a world must have state, goal, scene and state_to_screen to be drawn on, got "
                f"{agent.env_ref.id}; see jepa_agent.worlds.protocols"
            )
        self.planners = list(DISCRETE_PLANNERS if agent.bounds.categories else PLANNERS)
        """Names of the planners that suit the world's actions."""
        self.handles: tuple[str, ...] = ()
        if isinstance(self.world, Movable):
            self.handles = self.world.handles
        self.paused = self.show_ghost = self.show_help = False
        self.show_candidates = True
        self.fields = "off"
        self.touched = False
        """Whether the user has changed the world or stopped it."""
        self._plan_executor = ThreadPoolExecutor(1)
        self._painter = FieldPainter(agent, self.world)
        self._version = 0
        self._next_decision: Future[Decision] | None = None
        self._next_seed = seed
        self._message, self._message_until = "", 0.0
        if agent.model.probe is None:
            self.say("this checkpoint has no probe: what it imagines cannot be drawn", 8.0)
        self.new_episode()

    def close(self) -> None:
        """Wait for the plan in progress and close the world."""
        self._plan_executor.shutdown(cancel_futures=True)
        self._painter.close()
        self.env.close()

    # The user's actions.

    def new_episode(self) -> None:
        """Another layout, start and goal."""
        self.seed = self._next_seed
        self._next_seed += 1
        self._observation, self.info = self.env.reset(seed=self.seed)
        self.milliseconds: list[float] = []
        self.energy: list[float] = []
        self._start_over()
        self.replan()

    def move(self, name: str, point: np.ndarray) -> None:
        """Put the goal, or one of `handles`, at a point, or as near to it as can be."""
        self._observation, self.info = self.env.reset(options=self.world.moved(name, point))
        self.touched = True
        self._state = None  # an interrupted chunk has no outcome to learn from
        self.replan()
        if name == "goal":
            self.steps, self.reached_at = 0, None
        else:
            self._start_over()
        found = {"goal": self.world.goal, "agent": self.world.state}.get(name, point)
        if np.abs(found - point).max() > 0.01:
            self.say(f"there is no room for the {name}: put at the nearest free point")

    def choose_planner(self, number: int) -> None:
        """One of `planners`, counted from 0."""
        name = self.planners[number]
        self.agent.planner = make_planner(name)
        self._state = None
        self.replan()
        self.say(f"planner: {name}")

    def replan(self) -> None:
        """Drop the plan in execution and any plan in progress."""
        self._version += 1
        self._left = 0

    def say(self, message: str, seconds: float = 3.0) -> None:
        """Show a message for a while."""
        self._message, self._message_until = message, time.monotonic() + seconds

    # The passing of time.

    def step(self, wait: bool = False) -> bool:
        """Step the world if the next action is known; returns whether it was stepped.

        Args:
            wait: wait for the plan, if one is needed.
        """
        if self._left == 0:
            decision = self._decision(wait)
            if decision is None:
                return False
            self._take(decision)
        action = self._actions[-self._left]
        self._left -= 1
        self._observation, _, _, _, self.info = self.env.step(from_rows(self.agent.bounds, action))
        self._acted.append(action)
        self.trail = np.concatenate([self.trail, self.world.state[None]])
        self.steps += 1
        if self.reached_at is None and self.info.get("is_success"):
            self.reached_at = self.steps
        self.failed = bool(self.reached_at is None and self.info.get("is_failure"))
        return True

    def view(self, wait: bool = False) -> View:
        """The view to draw.

        Args:
            wait: wait for the distance maps, if they are shown.
        """
        decided, distance = self.milliseconds, self.info.get("distance")
        parts = {
            type(self.agent.planner).__name__: True,
            f"step {self.steps:3d}": True,
            f"distance {distance or 0.0:5.1f}{unit_of(self.world)}": distance is not None,
            f"decision {decided[-1] if decided else 0.0:4.0f} ms": bool(decided),
            f"risk {100 * (self._risk or 0.0):.1f} %": self._risk is not None,
            "paused": self.paused,
            f"failed in {self.steps}": self.failed,
            f"reached in {self.reached_at}": bool(self.reached_at),
        }
        caption = "   ".join(part for part, shown in parts.items() if shown)
        fields = self._painter.fields(wait) if self.fields != "off" else NO_FIELDS
        return View(
            world=self.world,
            caption=caption,
            message=self._message if time.monotonic() < self._message_until else "",
            help=self._help() if self.show_help else (),
            plan=self._plan,
            candidates=self._candidates if self.show_candidates else None,
            heads=self._heads,
            way=self._way,
            trail=self.trail,
            ghost=self._ghost if self.show_ghost else None,
            field=fields.learned,
            truth=fields.true if self.fields == "learned and true" else None,
            energy=tuple(self.energy),
            milliseconds=tuple(decided),
        )

    @property
    def is_over(self) -> bool:
        """Whether the episode has been played to its end."""
        reached = self.reached_at
        return (
            self.failed
            or self.steps >= STEPS
            or (reached is not None and self.steps >= reached + STEPS_AFTER_SUCCESS)
        )

    @property
    def summary(self) -> str:
        """How the episode went, in a line."""
        reached = self.reached_at
        outcome = f"reached in {reached} steps" if reached else f"not reached in {STEPS} steps"
        outcome = f"failed after {self.steps} steps" if self.failed else outcome
        return f"seed {self.seed}: {outcome}, {np.median(self.milliseconds):.0f} ms per decision"

    # Internals.

    def _start_over(self) -> None:
        """Forget everything about the last state: the agent is somewhere else now."""
        self._state = None
        self._plan = self._candidates = self._heads = self._risk = self._way = None
        self._ghost_latent = None
        self._left, self.steps, self.reached_at, self._acted = 0, 0, None, []
        self.failed = False
        self.trail = self._ghost = self.world.state[None]

    def _help(self) -> tuple[str, ...]:
        can_move = [] if self.handles else ["click", "drag"]
        lines = (line for line in HELP if line.partition("\t")[0] not in can_move)
        parts = {
            "handles": ", ".join(self.handles),
            "planners": ", ".join(self.planners[: len(KEYS)]),
        }
        return tuple(line.format(**parts) for line in lines)

    def _decision(self, wait: bool) -> Decision | None:
        """The plan for the current world, once there is one."""
        if self._next_decision is None:
            self._next_decision = self._plan_executor.submit(
                self._decide,
                self._version,
                self._observation,
                self._state,
                self._ghost_latent,
                list(self._acted),
            )
        if not (wait or self._next_decision.done()):
            return None
        decision = self._next_decision.result()
        self._next_decision = None
        return decision if decision.version == self._version else self._decision(wait)

    @torch.no_grad()
    def _decide(
        self,
        version: int,
        observation: dict[str, np.ndarray],
        state: AgentState | None,
        ghost: torch.Tensor | None,
        acted: list[np.ndarray],
    ) -> Decision:
        """Plan, and move the ghost by the past actions; changes nothing in the session."""
        agent, model = self.agent, self.agent.model
        began = time.perf_counter()
        _, decided = agent.act(observation, state)
        milliseconds = 1000 * (time.perf_counter() - began)
        ghost, walked = decided.latents[0] if ghost is None else ghost, []
        chunk = model.config.chunk
        for begin in range(0, len(acted) - chunk + 1, chunk):
            actions = torch.as_tensor(np.concatenate(acted[begin : begin + chunk]))
            ghost = model.predict(ghost, actions.float().to(agent.device))
            if model.probe is not None:
                walked.append(model.locate(ghost).cpu().numpy())
        plan = candidates = heads = None
        if model.probe is not None:
            plan, candidates = imagined_paths(agent, decided)
            heads = paths_of_heads(agent, decided)
        energy = model.distance(decided.latents, decided.goal_latents).item()
        played = decided.actions[0]
        return Decision(
            version, played, decided, plan, candidates, energy, milliseconds, ghost, walked,
            heads, predicted_risk(agent, decided), computed_way(agent, decided),
        )  # fmt: skip

    def _take(self, decision: Decision) -> None:
        self._actions, chunk = decision.actions, self.agent.model.config.chunk
        # the next decision is made when this chunk has been played
        self._state = replace(decision.state, elapsed=np.array([chunk]))
        self._plan, self._candidates = decision.plan, decision.candidates
        self._heads, self._risk, self._way = decision.heads, decision.risk, decision.way
        self.energy.append(decision.energy)
        self.milliseconds.append(decision.milliseconds)
        self._ghost_latent = decision.ghost
        self._ghost = np.stack([*self._ghost, *decision.walked])
        del self._acted[: len(self._acted) // chunk * chunk]  # the ghost has followed these
        self._left = chunk


def load(checkpoint: str, allow_code: bool = False) -> JEPAAgent:
    """Load an agent so that planning in another thread is fast.

    OpenMP keeps a team of threads for every thread that has computed with torch. With more of them
    than cores, idle threads sleep instead of spinning: a decision took 90 ms instead of 53. So the
    agent is loaded in a thread that ends, and its team with it.
    """
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(JEPAAgent.load, checkpoint, allow_code=allow_code).result()
