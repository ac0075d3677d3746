"""Planning with joint-embedding world models on Gymnasium.

Importing this package registers the environments and nothing else: torch and pygame are imported
by the first attribute that needs them.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from gymnasium import register

try:
    __version__ = version("jepa-agent")
except PackageNotFoundError:
    __version__ = "not installed"

if find_spec("jepa_agent.envs") is None:
    raise ImportError(
        "jepa_agent must be installed, got its bare source folder: run `pip install -e .` in the "
        "repository first; with a wheel installed, run from another folder"
    )

register(
    id="TwoRooms-v0",
    entry_point="jepa_agent.envs.two_rooms:TwoRoomsEnv",
    vector_entry_point="jepa_agent.envs.vector:TwoRoomsVectorEnv",
    max_episode_steps=200,
)
register(
    id="Mazes-v0",
    entry_point="jepa_agent.envs.mazes:MazesEnv",
    vector_entry_point="jepa_agent.envs.vector:MazesVectorEnv",
    max_episode_steps=400,
)
register(
    id="TwoRoom224-v0",
    entry_point="jepa_agent.envs.two_room_224:TwoRoom224Env",
    max_episode_steps=100,
)
register(
    id="PointMaze-v0",
    entry_point="jepa_agent.envs.point_maze:PointMazeEnv",
    max_episode_steps=600,
)
register(
    id="PointMazes-v0",
    entry_point="jepa_agent.envs.point_mazes:PointMazesEnv",
    max_episode_steps=800,
)
register(
    id="ReacherPose-v0", entry_point="jepa_agent.envs.reacher:ReacherEnv", max_episode_steps=100
)
register(id="PushT-v0", entry_point="jepa_agent.envs.push_t:PushTEnv", max_episode_steps=300)

_LAZY = {
    "EnvRef": "worlds.reference",
    "JEPAAgent": "agent.agent",
    "Preset": "training.config",
    "Trajectories": "data.trajectories",
    "TrainingConfig": "training.config",
    "WorldModel": "models.world_model",
    "WorldModelConfig": "models.world_model",
    "distil": "training.distillation",
    "export": "exporting.files",
    "load_backbone": "models.backbones",
    "train": "training.world_model",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'jepa_agent' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_LAZY[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
