"""Pictures of the distance to the goal from everywhere, drawn in a background thread."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch

from ..agent.agent import JEPAAgent
from ..worlds.protocols import HasLayout, HasMap, RendersStates
from .imagination import Landscape
from .plan_view import field_picture

GRID = 44
"""Number of states along a side of the picture."""


class Fields(NamedTuple):
    """Pictures of the distance to a goal."""

    task: tuple
    """The layout and goal that they show."""
    learned: np.ndarray | None
    true: np.ndarray | None


NO_FIELDS = Fields((), None, None)


class FieldPainter:
    """Draws fields in a thread of its own.

    Args:
        agent: the agent whose distance is drawn.
        world: the world; without a map or a renderer of states there are no pictures.
    """

    def __init__(self, agent: JEPAAgent, world: Any) -> None:
        self._agent, self._world = agent, world
        self.able = all(isinstance(world, part) for part in (HasMap, HasLayout, RendersStates))
        # on one thread of its own: see `session.load`
        self._executor = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
        self._landscape: Landscape
        self._landscape_of: tuple[float, ...] = ()
        self._newest = NO_FIELDS
        self._next: Future[Fields] | None = None

    def fields(self, wait: bool = False) -> Fields:
        """The newest pictures; with `wait`, those of the current world."""
        if not self.able:
            return NO_FIELDS
        task = (tuple(self._world.layout), tuple(self._world.goal))
        if self._newest.task != task and self._next is None:
            self._next = self._executor.submit(self._draw, *task)
        if self._next is not None and (wait or self._next.done()):
            self._newest, self._next = self._next.result(), None
            if wait and self._newest.task != task:
                return self.fields(wait)
        return self._newest

    def close(self) -> None:
        """Wait for what is being drawn."""
        self._executor.shutdown(cancel_futures=True)

    def _draw(self, layout: tuple[float, ...], goal: tuple[float, ...]) -> Fields:
        place, wanted = np.array(layout, np.float32), np.array(goal, np.float32)
        states = self._world.free_states(GRID, place)
        if self._landscape_of != layout:
            self._landscape, self._landscape_of = Landscape(self._agent, states, place), layout
        chunk = self._world.step_length * self._agent.model.config.learned_chunk
        true = self._world.shortest_path(states, wanted, place) / chunk
        pictures = (field_picture(each) for each in (self._landscape.distances(wanted), true))
        return Fields((layout, goal), *pictures)
