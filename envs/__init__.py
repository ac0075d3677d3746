"""Worlds: Two Rooms, its physics, its renderer, scripted policies. Needs numpy, not torch."""

from .collection import CollectConfig, Rollouts, collect
from .policies import OraclePolicy, RandomPolicy, StraightPolicy
from .two_rooms import TwoRoomsEnv

__all__ = [
    "CollectConfig",
    "OraclePolicy",
    "RandomPolicy",
    "Rollouts",
    "StraightPolicy",
    "TwoRoomsEnv",
    "collect",
]
