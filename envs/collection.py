"""Offline trajectories of Two Rooms by the million: batched physics under a behaviour policy."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from . import physics
from .behaviour import POLICIES, STEP_LENGTH, Behaviour
from .hazards import draw_slips, in_strip, slipped
from .physics import Layout
from .tasks import TwoRoomsConfig

BLOCK = 4096
"""Episodes simulated together; each block has its own generator, so threads change no bit."""


class Rollouts(NamedTuple):
    """E episodes of T steps."""

    states: np.ndarray
    """float32 (E, T + 1, 2): positions in pixels."""
    actions: np.ndarray
    """float32 (E, T, 2): what the environment's `step` takes."""
    layout: np.ndarray
    """float32 (E, 3): wall_x, door_y, door_halfwidth; (E, 4) of thick walls, see `Layout`."""
    metadata: dict[str, Any]
    """Their origin: the environment, the config, the version of this library."""
    ends: np.ndarray | None = None
    """int64 (E,): the number of the state in which a hazard ended each episode, and T + 1 for those
    that it did not; what follows repeats that state. None without a hazard."""


@dataclass(frozen=True)
class CollectConfig:
    """What to roll out in Two Rooms.

    Args:
        policy: a behaviour policy, a key of `POLICIES`.
        layout: a layout set of `TwoRoomsConfig`.
        episodes: how many trajectories.
        steps: actions per trajectory.
        episodes_per_layout: consecutive trajectories that share a layout.
        layouts: use only so many of the set's layouts, chosen by the seed; 0 for all.
        seed: same seed, same bytes.
        hazard, slip: those of `TwoRoomsConfig`.
    """

    policy: str = "reference"
    layout: str = "random"
    episodes: int = 20_000
    steps: int = 90
    episodes_per_layout: int = 16
    layouts: int = 0
    seed: int = 0
    hazard: str = "none"
    slip: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.policy, str) or self.policy not in POLICIES:
            raise ValueError(f"policy must be one of {tuple(POLICIES)}, got {self.policy!r}")
        counts = {"episodes": 1, "steps": 1, "episodes_per_layout": 1, "layouts": 0, "seed": 0}
        for name, least in counts.items():
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}")
        self.world()

    def world(self) -> TwoRoomsConfig:
        """The world of these episodes."""
        return TwoRoomsConfig(layout=self.layout, hazard=self.hazard, slip=self.slip)


def collect(config: CollectConfig, progress: Callable[[int], None] | None = None) -> Rollouts:
    """Roll out a behaviour policy; `progress` is called with the number of finished episodes."""
    episodes, steps = config.episodes, config.steps
    env_config = config.world()
    root, *seeds = np.random.SeedSequence(config.seed).spawn(1 + -(-episodes // BLOCK))
    layout_array = _draw_layouts(env_config, config, np.random.default_rng(root))
    rollouts = Rollouts(
        np.empty((episodes, steps + 1, 2), dtype=np.float32),
        np.empty((episodes, steps, 2), dtype=np.float32),
        layout_array,
        {
            "env_id": "TwoRooms-v0",
            "env_kwargs": {
                name: getattr(config, name)
                for name in ("layout", "hazard", "slip")
                if name == "layout" or getattr(env_config, name) != getattr(TwoRoomsConfig, name)
            },
            "collect": asdict(config),
            "library_version": version("jepa-agent"),
        },
        np.empty(episodes, dtype=np.int64) if config.hazard != "none" else None,
    )

    def simulate(index: int) -> None:
        rows = slice(index * BLOCK, min((index + 1) * BLOCK, episodes))
        states, actions = rollouts.states[rows], rollouts.actions[rows]
        behaviour = Behaviour(
            POLICIES[config.policy],
            Layout.from_array(layout_array[rows]),
            np.random.default_rng(seeds[index]),
            env_config.beside_wall,
        )
        ends = _simulate(behaviour, env_config, states, actions)
        if rollouts.ends is not None:
            rollouts.ends[rows] = ends

    with ThreadPoolExecutor(max_workers=2) as pool:  # numpy frees the lock on arrays this long
        for index, _ in enumerate(pool.map(simulate, range(len(seeds)))):
            if progress is not None:
                progress(min((index + 1) * BLOCK, episodes))
    return rollouts


def _draw_layouts(
    env_config: TwoRoomsConfig, config: CollectConfig, rng: np.random.Generator
) -> np.ndarray:
    """Layouts (E, 3 or 4): every layout of the set about equally often, in random order."""
    draws = -(-config.episodes // config.episodes_per_layout)
    groups = env_config.layout_groups()
    if config.layouts:
        every = np.concatenate(groups)
        groups = (rng.permutation(every)[: config.layouts],)
    group = rng.permutation(np.arange(draws) % len(groups))
    drawn = np.empty((draws, groups[0].shape[1]), dtype=np.float32)
    for index, layouts in enumerate(groups):
        rows = np.flatnonzero(group == index)
        rounds = [rng.permutation(len(layouts)) for _ in range(-(-len(rows) // len(layouts)))]
        if rounds:
            drawn[rows] = layouts[np.concatenate(rounds)[: len(rows)]]
    return np.repeat(drawn, config.episodes_per_layout, axis=0)[: config.episodes]


def _simulate(
    behaviour: Behaviour, config: TwoRoomsConfig, states: np.ndarray, actions: np.ndarray
) -> np.ndarray:
    """Fill one block of states (B, T + 1, 2) and actions (B, T, 2); returns its `Rollouts.ends`."""
    position = behaviour.start()
    states[:, 0] = position
    ends = np.full(len(position), actions.shape[1] + 1)
    over = np.zeros(len(position), dtype=bool)
    for t in range(actions.shape[1]):
        action = behaviour.act(position)
        displacement = action * STEP_LENGTH
        bounce = behaviour.rng.standard_normal(position.shape, dtype=np.float32)
        if config.slip:
            noise = draw_slips(behaviour.rng, position.shape, config.slip)
            displacement = slipped(displacement, noise)
        moved = physics.step(
            position,
            displacement,
            behaviour.layout,
            bounce * np.float32(config.bounce_noise),
        )
        position = np.where(over[:, None], position, moved) if over.any() else moved
        actions[:, t], states[:, t + 1] = action, position
        if config.hazard == "strip":
            now = in_strip(position, behaviour.layout) & ~over
            ends[now], over = t + 1, over | now
    return ends
