"""CandidateTracker over action sequences. Needs torch; knows no model and no pixels."""

import importlib
from collections.abc import Callable

from .base import ActionBounds, CandidateTracker, Cost, Noise, Plan, Planner, Trace
from .cem import CEM, CEMConfig
from .gradient import CEMGradient, CEMGradientConfig, Gradient, GradientConfig
from .icem import ICEM, ICEMConfig
from .mppi import MPPI, MPPIConfig
from .random_shooting import RandomShooting, RandomShootingConfig

PLANNERS: dict[str, Callable[..., Planner]] = {
    "cem": CEM,
    "icem": ICEM,
    "mppi": MPPI,
    "gradient": Gradient,
    "cem-gradient": CEMGradient,
    "random": RandomShooting,
}
"""The planners by the names that scripts and checkpoints use."""

CONFIGS: dict[str, type] = {
    "cem": CEMConfig,
    "icem": ICEMConfig,
    "mppi": MPPIConfig,
    "gradient": GradientConfig,
    "cem-gradient": CEMGradientConfig,
    "random": RandomShootingConfig,
}
"""Their configs, by the same names."""


PlannerConfig = (
    CEMConfig | ICEMConfig | MPPIConfig | GradientConfig | CEMGradientConfig | RandomShootingConfig
)


def planner_of(config: PlannerConfig) -> Planner:
    """The planner of a config."""
    return next(PLANNERS[name](config) for name, kind in CONFIGS.items() if type(config) is kind)


def make_planner(name: str) -> Planner:
    """A planner with its default config, by name, or a class given as `package.module:Name`.

    Raises:
        ValueError: if the name is unknown, or the class cannot be imported or does not plan.
    """
    if name in PLANNERS:
        return PLANNERS[name]()
    module, _, attribute = name.partition(":")
    rule = f"a planner must be one of {sorted(PLANNERS)} or a class given as package.module:Name"
    try:
        planner = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{rule}, got {name!r} ({error}); check spelling and PYTHONPATH") from None
    if not callable(getattr(planner, "plan", None)) or not hasattr(planner, "horizon"):
        raise ValueError(f"{rule} with `horizon` and `plan`, got {name!r}; add them")
    return planner


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
    "CandidateTracker",
    "Cost",
    "Gradient",
    "GradientConfig",
    "ICEMConfig",
    "MPPIConfig",
    "Noise",
    "Plan",
    "Planner",
    "PlannerConfig",
    "RandomShooting",
    "RandomShootingConfig",
    "Trace",
    "make_planner",
    "planner_of",
]
