"""Encoders, observations to latents: one file each, with its config."""

from ...registry import import_modules
from .backbone import BackboneEncoder, BackboneEncoderConfig
from .base import EncoderConfig
from .fused import EncodedPart, Fused, FusedConfig
from .impala import Impala, ImpalaConfig
from .patch_cnn import PatchCNN, PatchCNNConfig
from .patch_map import PatchMap, PatchMapConfig
from .patch_pool import PatchPool, PatchPoolConfig
from .vector_mlp import VectorMLP, VectorMLPConfig

import_modules(__name__, __path__)

__all__ = [
    "BackboneEncoder",
    "BackboneEncoderConfig",
    "EncodedPart",
    "EncoderConfig",
    "Fused",
    "FusedConfig",
    "Impala",
    "ImpalaConfig",
    "PatchCNN",
    "PatchCNNConfig",
    "PatchMap",
    "PatchMapConfig",
    "PatchPool",
    "PatchPoolConfig",
    "VectorMLP",
    "VectorMLPConfig",
]
