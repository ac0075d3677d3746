"""ReacherPose-v0: a two-link arm reaches a pose, on Gymnasium's MuJoCo physics."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .extras import needed
from .goal_world import Measure
from .painted_world import PaintedWorld
from .pictures import Canvas, Colour

LINKS, TIP = (0.1, 0.1), 0.11
"""Lengths of both links, and of the second with its fingertip, in metres."""
LINK_RADIUS, ROOT_RADIUS = 0.01, 0.011
ELBOW_LIMIT = 3.0
EXTENT = 0.48
"""Metres that a picture shows, about the shoulder."""
SUCCESS_ANGLE, STRICT_DISTANCE = 0.05, 0.01
FLOOR_COLOUR: Colour = (229.0, 229.0, 229.0)
LINK_COLOUR: Colour = (0.0, 102.0, 153.0)
TIP_COLOUR: Colour = (0.0, 204.0, 153.0)
ROOT_COLOUR: Colour = (229.0, 102.0, 153.0)
GOAL_COLOUR: Colour = (230.0, 150.0, 150.0)


class ReacherEnv(PaintedWorld):
    """An arm with a shoulder and an elbow reaches a pose.

    ## Description
    Gymnasium's Reacher-v5: two links of 10 cm in a plane, moved by torques every 0.02 s. The
    shoulder turns freely, the elbow up to 3 rad to both sides. Its target is not used: the goal is
    a pose, both angles, as in the published task. x points right, y up, 0 is the shoulder.

    ## Action space
    `Box(-1, 1, (2,), float32)`: torques of shoulder and elbow; 1 adds about 4 rad/s in a step.

    ## Observation space
    A dict of `observation`, `achieved_goal` and `desired_goal`. With `obs_type="pixels"` each is a
    uint8 image, the arm seen from above. One image shows no velocity: take two, by `--history 2`.
    With `obs_type="state"` each is the state: the cosine and sine of the shoulder's angle, those of
    the elbow's, and their speeds in radians a second.

    ## Starting state
    At rest in a random pose; the goal is another. `reset(options={"state", "goal"})`, any subset,
    sets a task exactly; see `pose`.

    ## Success
    Both angles within 0.05 rad, the shoulder's the shorter way round; strictly, the fingertip
    within 1 cm for 2 steps in a row.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["rgb_array"],
        "render_fps": 50,
    }
    state_names = (
        "shoulder cos", "shoulder sin", "elbow cos", "elbow sin", "shoulder speed", "elbow speed",
    )  # fmt: skip
    unit = "rad"
    state_low = np.array([-1.0, -1, -1, -1, -300, -300])
    state_high = np.array([1.0, 1, 1, 1, 300, 300])
    strict_steps = 2

    def __init__(self, render_mode: str | None = None, **config: Any) -> None:
        super().__init__(render_mode, **config)
        self._mujoco = needed("mujoco", "ReacherPose-v0")
        self._world = needed("gymnasium.envs.mujoco.reacher_v5", "ReacherPose-v0").ReacherEnv()

    @staticmethod
    def pose(shoulder: float, elbow: float, speeds: Any = (0.0, 0.0)) -> np.ndarray:
        """The state (6,) of an arm with two angles in radians."""
        numbers = [np.cos(shoulder), np.sin(shoulder), np.cos(elbow), np.sin(elbow), *speeds]
        return np.array(numbers, dtype=np.float32)

    @property
    def state(self) -> np.ndarray:
        """The state (6,)."""
        data = self._world.data
        return self.pose(data.qpos[0], data.qpos[1], data.qvel[:2])

    def measure(self, states: np.ndarray, goals: np.ndarray) -> Measure:
        """The larger difference (...) of both angles in radians, and whether the rules are met."""
        distance = np.abs(turns(angles_of(states), angles_of(goals))).max(axis=0)
        tips = np.linalg.norm(fingertip(states) - fingertip(goals), axis=-1)
        return Measure(distance, distance < SUCCESS_ANGLE, tips < STRICT_DISTANCE)

    def oracle_policy(self) -> Any:
        """Who plays with full knowledge; see `ArmOracle`."""
        from .oracles import ArmOracle  # which needs this module

        return ArmOracle()

    def _draw_task(self) -> tuple[np.ndarray, np.ndarray]:
        shoulders = self.np_random.uniform(-np.pi, np.pi, 2)
        elbows = self.np_random.uniform(-ELBOW_LIMIT, ELBOW_LIMIT, 2)
        start, goal = (self.pose(*angles) for angles in zip(shoulders, elbows, strict=True))
        return start, goal

    def _check_state(self, name: str, state: np.ndarray) -> None:
        for joint, pair in (("shoulder", state[:2]), ("elbow", state[2:4])):
            if not 0.5 < np.hypot(*pair) < 1.5:
                raise ValueError(
                    f"{name}'s cosine and sine of the {joint} must be those of an angle, got "
                    f"{pair.tolist()}; use ReacherEnv.pose(shoulder, elbow)"
                )

    def _put(self, state: np.ndarray) -> None:
        world = self._world
        self._mujoco.mj_resetData(world.model, world.data)
        place, speed = world.init_qpos.copy(), world.init_qvel.copy()
        place[:2], speed[:2] = angles_of(state), state[4:]
        world.set_state(place, speed)

    def _act(self, action: np.ndarray) -> None:
        self._world.step(action)

    def _background(self, states: Any, layout: Any, size: int) -> Canvas:
        corner = (-EXTENT / 2, EXTENT / 2)
        return Canvas(states, size, corner, EXTENT, up=True, background=FLOOR_COLOUR)

    def _paint(self, canvas: Canvas, states: Any, is_goal: bool = False) -> None:
        """Paint both links, the fingertip and the shoulder."""
        cos, sin, elbow_cos, elbow_sin = (states[..., index] for index in range(4))
        along = cos * elbow_cos - sin * elbow_sin, sin * elbow_cos + cos * elbow_sin
        elbow = LINKS[0] * cos, LINKS[0] * sin
        end, tip = (
            (elbow[0] + length * along[0], elbow[1] + length * along[1])
            for length in (LINKS[1], TIP)
        )
        piece = canvas.around(*elbow, reach=max(LINKS) + LINK_RADIUS)
        links = piece.nearest(
            piece.capsule((cos * 0, cos * 0), elbow, LINK_RADIUS),
            piece.capsule(elbow, end, LINK_RADIUS),
        )
        piece.paint(links, GOAL_COLOUR if is_goal else LINK_COLOUR)
        piece = canvas.around(*tip, reach=LINK_RADIUS)
        piece.paint(piece.disc(*tip, LINK_RADIUS), GOAL_COLOUR if is_goal else TIP_COLOUR)
        piece = canvas.around(cos * 0, cos * 0, reach=ROOT_RADIUS)
        piece.paint(piece.disc(cos * 0, cos * 0, ROOT_RADIUS), ROOT_COLOUR)


def angles_of(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles (...) of shoulder and elbow in states (..., 6), in (-pi, pi]."""
    wide = np.asarray(states, dtype=np.float64)
    return np.arctan2(wide[..., 1], wide[..., 0]), np.arctan2(wide[..., 3], wide[..., 2])


def turns(angles: Any, targets: Any) -> np.ndarray:
    """Radians (2, ...) from angles to others of both joints, the shoulder's the shorter way."""
    (shoulder, elbow), (goal_shoulder, goal_elbow) = angles, targets
    turn = (goal_shoulder - shoulder + np.pi) % (2 * np.pi) - np.pi
    return np.stack([turn, goal_elbow - elbow])


def fingertip(states: np.ndarray) -> np.ndarray:
    """Places (..., 2) of the fingertip in states (..., 6), in metres."""
    shoulder, elbow = angles_of(states)
    first, second = (np.stack([np.cos(a), np.sin(a)], -1) for a in (shoulder, shoulder + elbow))
    return LINKS[0] * first + TIP * second
