"""Predictors, a latent and a chunk of actions to the next latent: one file each."""

from ...registry import import_modules
from .base import PredictorConfig
from .ensemble import Ensemble
from .gru import GRU, GRUConfig
from .map_cnn import MapCNN, MapCNNConfig
from .residual_mlp import ResidualMLP, ResidualMLPConfig
from .stepwise_mlp import StepwiseMLP, StepwiseMLPConfig

import_modules(__name__, __path__)

__all__ = [
    "GRU",
    "Ensemble",
    "GRUConfig",
    "MapCNN",
    "MapCNNConfig",
    "PredictorConfig",
    "ResidualMLP",
    "ResidualMLPConfig",
    "StepwiseMLP",
    "StepwiseMLPConfig",
]
