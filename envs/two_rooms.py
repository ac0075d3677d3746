"""TwoRooms-v0: reach a goal in the other room, through a door that moves between episodes."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium as gym
import numpy as np

from . import drawing, rewards
from .episodes import Episodes, Observation, action_space, check_actions, observation_space
from .handles import HANDLES, free_grid, handle_at, moved
from .hazards import strip_boxes
from .physics import Layout, is_free, shortest_path
from .rendering import render
from .tasks import TwoRoomsConfig


class TwoRoomsEnv(gym.Env[Observation, np.ndarray]):
    """A point agent, a wall with one door, and a goal on the other side.

    ## Description
    Two Rooms is the navigation task of PLDM (Sobal et al., arXiv 2502.14819) with the numbers of
    EB-JEPA (arXiv 2602.03604). An inner wall splits a square into a left and a right room; the
    agent starts in one of them and the goal lies in the other. Coordinates are pixels, x right and
    y down, in an image of 65 x 65; the border walls are the lines at 4 and 60.

    ## Action space
    `Box(-1, 1, (2,), float32)`: a displacement in units of `step_length` = 2.45 pixels. Actions
    longer than 1 are projected onto the unit disc. A move that meets a wall stops there and
    bounces back by Gaussian noise of `bounce_noise` = 0.5 pixels.

    ## Observation space
    A dict of `observation`, `achieved_goal` and `desired_goal`. With `obs_type="pixels"` each is a
    uint8 image 65 x 65 x 3, the dot in red, walls in green; `desired_goal` shows the dot at the
    goal. With `obs_type="state"`, `observation` is (x, y, wall_x, door_y), goals are (x, y).

    ## Rewards
    `sparse`: 0 within `success_radius` of the goal, else -1. `dense`: minus the length of the
    shortest path to the goal, in room diagonals (79.2 pixels); it knows the map.

    ## Starting state
    Start and goal are uniform in opposite rooms, direction at random, 2.6 pixels from all walls.
    `reset(options={"wall_x", "door_y", "position", "goal"})`, any subset, sets a task exactly.

    ## Layouts
    | layout | what |
    |---|---|
    | random | wall_x in [20, 44], door_y in [10, 54]: 1,125 layouts |
    | fixed | wall_x 32, door_y 18 |
    | test | the 159 of them with wall_x in {27, 28} or door_y in {33, 34, 35} |
    | train | the other 966 |
    | ood | one third each: wall_x in [11, 19] or [45, 53]; door_y in {8, 9, 55, 56}; a door narrower by a pixel on each side |
    | hard | wall_x in [11, 19] or [45, 53] and a door narrower by two pixels on each side |
    | thick | all 1,125 with a wall of 4 pixels, twice the usual thickness |
    | a list | pairs (wall_x, door_y) |

    ## Episode end
    Terminates within `success_radius` = 4.5 pixels of the goal (unless
    `terminate_on_success=False`); truncated after 200 steps by registration.

    ## Hazards
    With `hazard="strip"`, a step that ends within 3 pixels of the inner wall, the door's rows
    aside, ends the episode as a failure: `info["is_failure"]`. The strip is not in the
    observations, it is known by its consequences; `render()` shows it. With `slip` > 0, a move
    is off by its length times `slip` times Student's t of 3 degrees of freedom, on both axes.

    ## Info
    `position`, `goal` (float32 (2,)), `wall_x`, `door_y`, `door_halfwidth`, `distance` (straight,
    in pixels), `is_success`; on reset also `shortest_path` in pixels.

    Args:
        render_mode: None, "rgb_array" (520 x 520 frames) or "human" (a window).
        config: the fields of `TwoRoomsConfig`.
    """  # noqa: E501

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["human", "rgb_array"],
        "render_fps": 30,
    }
    action_norm = 1.0
    """Actions are bounded by this Euclidean norm besides their box."""
    state_names: tuple[str, ...] = ("x", "y")
    unit = "px"
    layout_names = ("wall_x", "door_y", "door_halfwidth")
    handles = HANDLES
    strict_radius = 1.41
    """PLDM's stricter rule, in pixels."""

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:
        self.config = TwoRoomsConfig.from_kwargs(config)
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(
                f"render_mode must be None or one of {self.metadata['render_modes']}, "
                f"got {render_mode!r}"
            )
        self.render_mode = render_mode
        self.action_space = action_space()
        self.observation_space: gym.Space = observation_space(self.config.obs_type)
        self._episodes = Episodes(self.config, num=1)
        self._row = np.zeros(1, dtype=np.int64)
        self._started = False
        self._window: drawing.Window | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see the class for `options`."""
        self._episodes.check_options(options)  # before the generator is touched
        super().reset(seed=seed)
        self._episodes.begin(self._row, [self.np_random], options)
        self._started = True
        info = self._info()
        info["shortest_path"] = float(self._episodes.shortest_path()[0])
        self._show()
        return self._observation(), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move the agent by one action."""
        if not self._started:
            raise gym.error.ResetNeeded("step needs an episode; call reset() first")
        self._episodes.advance(check_actions(action, (2,))[None], [self.np_random])
        info = self._info()
        terminated = bool(self._episodes.terminated[0])
        self._show()
        return self._observation(), float(self._episodes.reward()[0]), terminated, False, info

    def compute_reward(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any
    ) -> float | np.ndarray:
        """The reward of reaching one goal when another was desired, for hindsight relabelling.

        Args:
            achieved_goal, desired_goal: goals of this environment's type, one or a batch.
            info: the step's info, or a sequence of them; the dense reward on states needs it.
        """
        reward = rewards.goal_reward(self.config, achieved_goal, desired_goal, info)
        return float(reward) if reward.ndim == 0 else reward

    def compute_terminated(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any
    ) -> bool | np.ndarray:
        """Whether reaching one goal when another was desired ends the episode."""
        position = rewards.as_positions(achieved_goal, info, "position")
        goal = rewards.as_positions(desired_goal, info, "goal")
        success = rewards.is_success(self.config, rewards.straight_distance(position, goal))
        terminated = success & bool(self.config.terminate_on_success)
        return bool(terminated) if terminated.ndim == 0 else terminated

    def compute_truncated(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any
    ) -> bool | np.ndarray:
        """Goals truncate nothing; the registered time limit does."""
        lead = np.asarray(achieved_goal).ndim - (3 if rewards.is_image(achieved_goal) else 1)
        shape = np.asarray(achieved_goal).shape[:lead]
        return np.zeros(shape, dtype=bool) if shape else False

    def render(self) -> np.ndarray | None:
        """A 520 x 520 frame in "rgb_array" mode; in "human" mode the window is always current."""
        if self.render_mode != "rgb_array":
            return None
        if not self._started:
            raise gym.error.ResetNeeded("a picture needs an episode; call reset() first")
        return drawing.to_array(self.scene())

    def close(self) -> None:
        """Close the window, if one is open."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        """A copy opens a window of its own."""
        return {**vars(self), "_window": None}

    # Members that learning code may use: `jepa_agent.worlds.protocols`.

    @property
    def state(self) -> np.ndarray:
        """The compact state (2,): the agent's position in pixels."""
        return self._episodes.position[0].copy()

    @property
    def layout(self) -> np.ndarray:
        """The layout of the episode: wall_x, door_y, door_halfwidth, and a thick wall's half."""
        return self._episodes.layout_array[0].copy()

    @staticmethod
    def render_states(states: Any, layout: Any) -> Any:
        """Observation images (..., 65, 65, 3) of states (..., 2) in layouts (..., 3 or 4), batched.

        numpy arrays or torch tensors; torch renders where the tensors are.
        """
        return render(states, Layout.from_array(layout))

    @staticmethod
    def is_free(states: Any, layout: Any) -> Any:
        """Whether states (..., 2) are inside a room or the door in layouts (..., 3), batched."""
        return is_free(states, Layout.from_array(layout))

    @staticmethod
    def shortest_path(states: Any, goals: Any, layout: Any) -> Any:
        """Pixels (...) from states to goals (..., 2) around the wall, in layouts (..., 3)."""
        return shortest_path(states, goals, Layout.from_array(layout))

    @staticmethod
    def pair_groups(states: Any, goals: Any, layout: Any) -> dict[str, Any]:
        """Which pairs of states (..., 2) are in one room, and which have the door between them."""
        apart = (states[..., 0] > layout[..., 0]) != (goals[..., 0] > layout[..., 0])
        return {"same room": ~apart, "through the door": apart}

    @property
    def goal(self) -> np.ndarray:
        """The state (2,) to reach."""
        return self._episodes.goal[0].copy()

    @property
    def step_length(self) -> float:
        """Pixels that an action of norm 1 moves the agent."""
        return self.config.step_length

    def fewest_steps(self) -> int:
        """Fewest steps from where the agent is to the goal."""
        path = float(self._episodes.shortest_path()[0])
        return rewards.fewest_steps(path, self.config.success_radius, self.config.step_length)

    @staticmethod
    def reset_options(state: np.ndarray, goal: np.ndarray, layout: np.ndarray) -> dict[str, Any]:
        """Options for `reset` of the task from a state (2,) to a goal (2,) in a layout (3,)."""
        wall_x, door_y = layout.tolist()[:2]
        return {"wall_x": int(wall_x), "door_y": int(door_y), "position": state, "goal": goal}

    @staticmethod
    def free_states(side: int, layout: np.ndarray) -> np.ndarray:
        """Free states (side, side, 2) that cover the rooms evenly."""
        return free_grid(side, lambda places: is_free(places, Layout.from_array(layout)))

    def handle_at(self, state: np.ndarray) -> str | None:
        """The agent, the wall or the door, if one of them is at a point (2,)."""
        return handle_at(state, self._info())

    def moved(self, name: str, state: np.ndarray) -> dict[str, Any]:
        """Reset options that put the agent, the goal, the wall or the door at a point (2,)."""
        return moved(name, state, self._info())

    def scene(self, size: int = drawing.PICTURE_SIZE, floor: np.ndarray | None = None) -> Any:
        """The picture as a pygame surface of any size, on a floor of one's own; see `drawing`."""
        episodes = self._episodes
        layout = Layout.from_array(episodes.layout_array[0])
        return drawing.scene(
            episodes.position[0],
            episodes.goal[0],
            layout.boxes(),
            self.config.success_radius,
            size,
            floor,
            None if self.config.hazard == "none" else strip_boxes(layout),
        )

    @staticmethod
    def screen_to_state(points: Any, size: int = drawing.PICTURE_SIZE) -> Any:
        """The inverse of `state_to_screen`."""
        return drawing.from_screen(points, size)

    @staticmethod
    def state_to_screen(states: Any, size: int = drawing.PICTURE_SIZE) -> Any:
        """Pixel coordinates in a picture of a size, by default `render()`'s, of states (..., 2)."""
        return drawing.to_screen(states, size)

    def _observation(self) -> Observation:
        return {key: value[0] for key, value in self._episodes.observe().items()}

    def _info(self) -> dict[str, Any]:
        episodes = self._episodes
        wall_x, door_y, door_halfwidth = episodes.layout_array[0, :3]
        info = {
            "position": episodes.position[0].copy(),
            "goal": episodes.goal[0].copy(),
            "wall_x": int(wall_x),
            "door_y": int(door_y),
            "door_halfwidth": int(door_halfwidth),
            "distance": float(episodes.distance[0]),
            "is_success": bool(episodes.is_success[0]),
        }
        if self.config.hazard != "none":
            info["is_failure"] = bool(episodes.is_failure[0])
        return info

    def _show(self) -> None:
        if self.render_mode == "human":
            if self._window is None:
                self._window = drawing.Window("TwoRooms-v0", self.metadata["render_fps"])
            self._window.show(self.scene())
