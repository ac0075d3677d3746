"""Optional protocols of worlds beside Gymnasium's interface; each enables one feature.

A world is `env.unwrapped`; it offers a protocol if it has its members, checked by `isinstance`.
Shapes: states (..., S), layouts (..., C) of what is constant in an episode; numpy or torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class RendersStates(Protocol):
    """Observations need not be stored: they are rendered from compact states."""

    def render_states(self, states: Any, layout: Any) -> Any:
        """Observations uint8 (..., H, W, C) of states in layouts."""


@runtime_checkable
class HasLayout(Protocol):
    """Episodes differ in a layout, by which figures are grouped."""

    layout_names: tuple[str, ...]
    """A name for each number of the layout."""

    @property
    def layout(self) -> np.ndarray:
        """(C,), the layout of the current episode."""


@runtime_checkable
class HasState(Protocol):
    """The compact state is known, and recorded beside images."""

    @property
    def state(self) -> np.ndarray:
        """(S,), the current state."""


@runtime_checkable
class ShowsGoals(Protocol):
    """Goals that are no observations can be shown as such, for the model to compare."""

    def observation_of_goal(self, goal: Any) -> Any:
        """An observation of a state in which a `desired_goal` is reached, in the current episode.

        What the goal leaves open is chosen, such as a velocity of 0.
        """


@runtime_checkable
class DefinesSuccess(Protocol):
    """Success is defined, though the info of a step does not have `is_success`."""

    def success(self, info: dict[str, Any]) -> bool:
        """Whether the last step reached the goal, given its info."""


@runtime_checkable
class Resettable(Protocol):
    """Episodes can begin at any state, such as a recorded one."""

    def reset_options(
        self, state: np.ndarray, goal: np.ndarray, layout: np.ndarray
    ) -> dict[str, Any]:
        """Options for `reset` that begin at a state (S,) in a layout (C,), with a goal (S,)."""


@runtime_checkable
class HasMap(Protocol):
    """Which states are possible, and the path lengths between them."""

    @property
    def step_length(self) -> float:
        """The longest path that one step can cover."""

    def is_free(self, states: Any, layout: Any) -> Any:
        """Whether states are possible: boolean (...)."""

    def shortest_path(self, states: Any, goals: Any, layout: Any) -> Any:
        """Lengths (...) of the shortest paths between states."""

    def free_states(self, side: int, layout: np.ndarray) -> np.ndarray:
        """Free states (side, side, S) that cover the world's picture evenly, rows down."""


@runtime_checkable
class GroupsPairs(Protocol):
    """Groups of pairs of states on which the learned distance is measured separately."""

    def pair_groups(self, states: Any, goals: Any, layout: Any) -> Mapping[str, Any]:
        """Which pairs (...) belong to a group, by the group's name."""


@runtime_checkable
class RatesEpisodes(Protocol):
    """Success is also measured by a stricter radius and by the fewest steps that reach the goal."""

    strict_radius: float
    """The largest `info["distance"]` that counts as strict success."""

    def fewest_steps(self) -> int:
        """Fewest steps from the current state to the goal."""


@runtime_checkable
class OffersOracle(Protocol):
    """Somebody who knows the simulator can play it, which shows how hard tasks are.

    The info has `state` (S,) and `goal` (S,).
    """

    def oracle_policy(self) -> Any:
        """A policy for batches, to whose observations `state`, `goal` and `layout` are added."""


@runtime_checkable
class HasIdleAction(Protocol):
    """An action does nothing; plans begin with it, and agents stay at goals by it."""

    idle_action: np.ndarray
    """(A,), or the integer of a discrete action."""


@runtime_checkable
class HasUnit(Protocol):
    """States have a unit."""

    unit: str


@runtime_checkable
class NamesStates(Protocol):
    """The numbers of a state have names, by which diagnostics speak of them."""

    state_names: tuple[str, ...]
    """A name for each number of the state; an angle is best given by its sine and cosine."""


@runtime_checkable
class Drawable(Protocol):
    """The world can be drawn at any size, and paths over it."""

    @property
    def state(self) -> np.ndarray:
        """(S,), the current state."""

    @property
    def goal(self) -> np.ndarray:
        """(S,), the state to reach."""

    def scene(self, size: int, floor: np.ndarray | None = None) -> Any:
        """A square pygame surface; `floor` is a picture (h, w, 3) to draw below everything."""

    def state_to_screen(self, states: Any, size: int) -> Any:
        """Pixels (..., 2) of states in a scene of a size."""


@runtime_checkable
class Movable(Protocol):
    """Things in the world can be moved by a mouse."""

    handles: tuple[str, ...]
    """Names of what can be dragged; a goal can be set besides, by the name "goal"."""

    def screen_to_state(self, points: Any, size: int) -> Any:
        """States of pixels (..., 2): the inverse of `state_to_screen`."""

    def handle_at(self, state: np.ndarray) -> str | None:
        """Name of the handle at a state, if any."""

    def moved(self, name: str, state: np.ndarray) -> dict[str, Any]:
        """Options for `reset` that move only this thing, to the state or the nearest free one."""


def unit_of(world: Any) -> str:
    """The unit of a world's states after a space, or nothing."""
    return f" {world.unit}" if isinstance(world, HasUnit) else ""


def state_names(world: Any, size: int) -> list[str]:
    """Names of the numbers of a state, the world's own where it has as many."""
    if isinstance(world, NamesStates) and len(world.state_names) == size:
        return list(world.state_names)
    return [f"state {index}" for index in range(size)]
