"""A game of planning: a world, an agent that plans in it, and what the user changes meanwhile.

No window is needed: `scripts/plan.py` shows it in one, or writes it into a video.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch

from ..agent.agent import JEPAAgent
from ..envs import TwoRoomsEnv
from ..envs.physics import HIGH, LOW, WALL_HALF_THICKNESS
from ..envs.tasks import WALL_RANGE
from ..planners import PLANNERS, make_planner
from .imagination import Landscape, imagined_paths
from .plan_view import View, field_picture

GRID = 44
"""Places on a side of the energy field."""
FIELDS = ("off", "learned", "learned and true")
KEYS = "".join(str(number) for number in range(1, 10))[: len(PLANNERS)]
"""Those that choose a planner."""
HELP = (
    "click\ta new goal",
    "drag\tthe agent, the wall or the door",
    " ".join(KEYS) + "\t" + ", ".join(PLANNERS),
    "space\tpause and go on",
    ".\tone step",
    "r\ta new layout, start and goal",
    "e\tenergy field: learned, and the true one beside it",
    "t\tcandidates of the last search",
    "g\tghost: imagined from the start, without looking",
    "s\tsave a picture",
    "v\tstart and stop a video",
    "h\tthis help",
    "escape\tleave",
)


class Decision(NamedTuple):
    """What comes of planning once."""

    version: int
    """Of the world that it was made for."""
    action: np.ndarray
    state: Any
    plan: np.ndarray | None
    candidates: np.ndarray | None
    energy: float
    milliseconds: float
    ghost: torch.Tensor
    """Latent of the ghost."""
    walked: Sequence[np.ndarray]
    """States that the ghost has passed since the last decision, as far as a probe can tell."""


class Fields(NamedTuple):
    """Pictures of the distance to a goal."""

    task: tuple
    """Context and goal."""
    learned: np.ndarray | None
    true: np.ndarray | None


NO_FIELDS = Fields((), None, None)


class Session:
    """Steps the world as plans come in; planning runs beside it and never blocks.

    Args:
        agent: who plans.
        layout: of the episodes.
        seed: the first episode is reset with it, the next one with the next number.
    """

    def __init__(self, agent: JEPAAgent, layout: str, seed: int = 0) -> None:
        self.agent = agent
        self.env: Any = agent.env_ref.make(
            layout=layout, terminate_on_success=False, max_episode_steps=10**9
        )
        self.world = self.env.unwrapped
        self.paused = self.show_ghost = self.show_help = False
        self.show_candidates = True
        self.fields = "off"
        self.touched = False
        """Whether the user has changed the world or stopped it."""
        self._desk = ThreadPoolExecutor(1)
        # on one thread of its own: see `load`
        self._easel = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
        self._version = 0
        self._pending: Future | None = None
        self._next_seed = seed
        self._message, self._message_until = "", 0.0
        self._landscape: Landscape
        self._landscape_of: tuple[float, ...] = ()
        self._drawn = NO_FIELDS
        self._drawing: Future | None = None
        if agent.model.probe is None:
            self.say("this checkpoint has no probe: what it imagines cannot be drawn", 8.0)
        self.new_episode()

    def close(self) -> None:
        """Wait for what is being planned and leave."""
        self._desk.shutdown(cancel_futures=True)
        self._easel.shutdown(cancel_futures=True)
        self.env.close()

    # What the user may do.

    def new_episode(self) -> None:
        """Another layout, start and goal."""
        self.seed = self._next_seed
        self._next_seed += 1
        self._observation, self.info = self.env.reset(seed=self.seed)
        self.milliseconds: list[float] = []
        self.energy: list[float] = []
        self._start_over()
        self.replan()

    def set_goal(self, point: np.ndarray) -> None:
        """Go to a point, or to the free one nearest to it."""
        self._change(goal=self._free(point, "the goal"))
        self.steps, self.reached_at = 0, None

    def move_agent(self, point: np.ndarray) -> None:
        """Put the agent somewhere, or at the free point nearest to it."""
        self._change(position=self._free(point, "the agent"))
        self._start_over()

    def move_wall(self, x: float) -> None:
        """Put the wall at a column."""
        self._change(wall_x=int(np.clip(round(x), *WALL_RANGE)))
        self._start_over()

    def move_door(self, y: float) -> None:
        """Put the door at a row."""
        half = self.info["door_halfwidth"]
        self._change(door_y=int(np.clip(round(y), LOW + half, HIGH - half)))
        self._start_over()

    def choose_planner(self, number: int) -> None:
        """One of `PLANNERS`, counted from 0."""
        name = list(PLANNERS)[number]
        self.agent.planner = make_planner(name)
        self._state = None
        self.replan()
        self.say(f"planner: {name}")

    def replan(self) -> None:
        """Forget the plan in execution and any that is being made."""
        self._version += 1
        self._left = 0

    def say(self, message: str, seconds: float = 3.0) -> None:
        """Show a message for a while."""
        self._message, self._message_until = message, time.monotonic() + seconds

    # What time does.

    def step(self, wait: bool = False) -> bool:
        """One step of the world, if it is known which: whether it was made.

        Args:
            wait: for the plan, if one is needed.
        """
        if self._left == 0:
            decision = self._decision(wait)
            if decision is None:
                return False
            self._take(decision)
        self._left -= 1
        self._observation, _, _, _, self.info = self.env.step(self._action)
        self._acted.append(self._action)
        self.trail = np.concatenate([self.trail, self.info["position"][None]])
        self.steps += 1
        if self.reached_at is None and self.info["is_success"]:
            self.reached_at = self.steps
        return True

    def view(self, wait: bool = False) -> View:
        """What there is to see.

        Args:
            wait: for the energy fields, if they are to be seen.
        """
        info, decided = self.info, self.milliseconds
        caption = (
            f"{type(self.agent.planner).__name__}   step {self.steps:3d}   "
            f"distance {info['distance']:5.1f} px   "
            + (f"decision {decided[-1]:4.0f} ms   " if decided else "")
            + ("paused   " if self.paused else "")
            + (f"reached in {self.reached_at}" if self.reached_at else "")
        )
        fields = self._fields(wait) if self.fields != "off" else NO_FIELDS
        return View(
            world=self.world,
            caption=caption,
            message=self._message if time.monotonic() < self._message_until else "",
            help=HELP if self.show_help else (),
            plan=self._plan,
            candidates=self._candidates if self.show_candidates else None,
            trail=self.trail,
            ghost=self._ghost if self.show_ghost else None,
            field=fields.learned,
            truth=fields.true if self.fields == "learned and true" else None,
            energy=tuple(self.energy),
            milliseconds=tuple(decided),
        )

    # How it does it.

    def _start_over(self) -> None:
        """The agent is somewhere new: whatever it remembers is of no use."""
        self._state, self._action = None, np.zeros(self.agent.model.config.action_dim)
        self._plan = self._candidates = self._ghost_latent = None
        self._left, self.steps, self.reached_at = 0, 0, None
        self._acted: list[np.ndarray] = []
        self.trail = self._ghost = self.info["position"][None]

    def _change(self, **changes: Any) -> None:
        """Reset the world to what it is, but for some changes; points in walls give way."""
        self.touched = True
        task: dict[str, Any] = {
            key: self.info[key] for key in ("wall_x", "door_y", "position", "goal")
        }
        task |= changes
        layout = np.array(
            [task["wall_x"], task["door_y"], self.info["door_halfwidth"]], dtype=np.float32
        )
        for name in ("position", "goal"):
            task[name] = nearest_free(task[name], layout, self.world.is_free)
        self._observation, self.info = self.env.reset(options=task)
        self._state = None  # a chunk that was broken off teaches nothing
        self.replan()

    def _free(self, point: np.ndarray, name: str) -> np.ndarray:
        found = nearest_free(point, self.world.layout, self.world.is_free)
        if np.abs(found - point).max() > 0.01:
            self.say(f"walls have no room for {name}: put at the nearest free point")
        return found

    def _decision(self, wait: bool) -> Decision | None:
        """The plan for the world as it is, once it is there."""
        if self._pending is None:
            self._pending = self._desk.submit(
                self._decide,
                self._version,
                self._observation,
                self._state,
                self._ghost_latent,
                list(self._acted),
            )
        if not (wait or self._pending.done()):
            return None
        decision = self._pending.result()
        self._pending = None
        return decision if decision.version == self._version else self._decision(wait)

    @torch.no_grad()
    def _decide(
        self,
        version: int,
        observation: dict[str, np.ndarray],
        state: Any,
        ghost: torch.Tensor | None,
        acted: list[np.ndarray],
    ) -> Decision:
        """Plan, and let the ghost follow what was done without looking; changes nothing here."""
        agent, model = self.agent, self.agent.model
        began = time.perf_counter()
        action, state = agent.predict(observation, state, np.array([state is None]))
        milliseconds = 1000 * (time.perf_counter() - began)
        assert agent.last_plan is not None
        images = np.stack([observation["observation"], observation["desired_goal"]])
        seen, wanted = model.encode(torch.as_tensor(images, device=agent.device))
        ghost, walked = seen if ghost is None else ghost, []
        chunk = model.config.chunk
        for begin in range(0, len(acted) - chunk + 1, chunk):
            actions = torch.as_tensor(np.concatenate(acted[begin : begin + chunk]))
            ghost = model.predict(ghost, actions.float().to(agent.device))
            if model.probe is not None:
                walked.append(model.locate(ghost).cpu().numpy())
        plan = candidates = None
        if model.probe is not None:
            plan, candidates = imagined_paths(agent, images[0], agent.last_plan, state.error_memory)
        energy = model.distance(seen, wanted).item()
        return Decision(
            version, action, state, plan, candidates, energy, milliseconds, ghost, walked
        )

    def _take(self, decision: Decision) -> None:
        self._state, self._action = decision.state, decision.action
        self._plan, self._candidates = decision.plan, decision.candidates
        self.energy.append(decision.energy)
        self.milliseconds.append(decision.milliseconds)
        self._ghost_latent = decision.ghost
        self._ghost = np.stack([*self._ghost, *decision.walked])
        chunk = self.agent.model.config.chunk
        del self._acted[: len(self._acted) // chunk * chunk]  # the ghost has followed these
        self._left = chunk
        decision.state.elapsed[:] = chunk  # the next decision is made when this one is played

    def _fields(self, wait: bool) -> Fields:
        """The newest pictures of energy; those of the world as it is are drawn beside the game."""
        task = (tuple(self.world.layout), tuple(self.info["goal"]))
        if self._drawn.task != task and self._drawing is None:
            self._drawing = self._easel.submit(self._draw_fields, *task)
        if self._drawing is not None and (wait or self._drawing.done()):
            self._drawn, self._drawing = self._drawing.result(), None
            if wait and self._drawn.task != task:
                return self._fields(wait)
        return self._drawn

    def _draw_fields(self, layout: tuple[float, ...], goal: tuple[float, ...]) -> Fields:
        place, wanted = np.float32(layout), np.float32(goal)
        if self._landscape_of != layout:
            self._landscape = Landscape(self.agent, grid(place), place)
            self._landscape_of = layout
        chunk = self.world.config.step_length * self.agent.model.config.chunk
        true = self.world.shortest_path(grid(place), wanted, place) / chunk
        pictures = (field_picture(each) for each in (self._landscape.distances(wanted), true))
        return Fields((layout, goal), *pictures)


def load(checkpoint: str) -> JEPAAgent:
    """Load an agent so that planning in another thread is fast.

    OpenMP keeps a team of threads for every thread that has computed with torch, and if all teams
    together are more than the cores, none of them waits awake: a decision took 90 ms instead of 53.
    The thread that loads here ends, and its team with it.
    """
    with ThreadPoolExecutor(1) as desk:
        return desk.submit(JEPAAgent.load, checkpoint).result()


def grid(layout: np.ndarray) -> np.ndarray:
    """Places (GRID, GRID, 2) that cover the space evenly; those in the wall are moved beside it."""
    line = LOW + (np.arange(GRID, dtype=np.float32) + 0.5) * (HIGH - LOW) / GRID
    places = np.stack(np.meshgrid(line, line), axis=-1)
    across, side = places[..., 0], WALL_HALF_THICKNESS + 0.5
    beside = layout[0] + np.where(across < layout[0], -side, side)
    places[..., 0] = np.where(TwoRoomsEnv.is_free(places, layout), across, beside)
    return places


def nearest_free(point: np.ndarray, layout: np.ndarray, is_free: Any) -> np.ndarray:
    """A point (2,), or the free one nearest to it, half a pixel from walls."""
    point = np.asarray(point, dtype=np.float32)
    if is_free(point, layout):
        return point
    line = np.arange(LOW + 0.5, HIGH, 0.5, dtype=np.float32)
    places = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    places = places[is_free(places, layout)]
    return places[np.square(places - point).sum(axis=-1).argmin()]
