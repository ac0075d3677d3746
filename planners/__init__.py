"""Search over action sequences. Needs torch; knows no model and no pixels."""

from .base import ActionBounds, Cost, Noise, Plan, Planner, Search, Trace
from .cem import CEM, CEMConfig
from .gradient import CEMGradient, CEMGradientConfig, Gradient, GradientConfig
from .icem import ICEM, ICEMConfig
from .mppi import MPPI, MPPIConfig
from .random_shooting import RandomShooting, RandomShootingConfig

PLANNERS = {
    "cem": CEM,
    "icem": ICEM,
    "mppi": MPPI,
    "gradient": Gradient,
    "cem-gradient": CEMGradient,
    "random": RandomShooting,
}
"""The planners by the names that scripts and checkpoints use."""

CONFIGS = {
    "cem": CEMConfig,
    "icem": ICEMConfig,
    "mppi": MPPIConfig,
    "gradient": GradientConfig,
    "cem-gradient": CEMGradientConfig,
    "random": RandomShootingConfig,
}
"""Their configs, by the same names."""

__all__ = [
    "CEM",
    "CONFIGS",
    "ICEM",
    "MPPI",
    "PLANNERS",
    "ActionBounds",
    "CEMConfig",
    "CEMGradient",
    "CEMGradientConfig",
    "Cost",
    "Gradient",
    "GradientConfig",
    "ICEMConfig",
    "MPPIConfig",
    "Noise",
    "Plan",
    "Planner",
    "RandomShooting",
    "RandomShootingConfig",
    "Search",
    "Trace",
]
