"""Distance heads, how many chunks of actions lead from one latent to another: one file each."""

from ...registry import import_modules
from .base import DistanceHeadConfig
from .block_norm import BlockNorm, BlockNormConfig
from .quasimetric import Quasimetric, QuasimetricConfig
from .value_map import ValueMap, ValueMapConfig

import_modules(__name__, __path__)

__all__ = [
    "BlockNorm",
    "BlockNormConfig",
    "DistanceHeadConfig",
    "Quasimetric",
    "QuasimetricConfig",
    "ValueMap",
    "ValueMapConfig",
]
