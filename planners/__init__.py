"""Search over action sequences. Needs torch; knows no model and no pixels."""

from typing import Any

from ..registry import import_modules, import_object
from .base import (
    CandidateTracker,
    Cost,
    DrawnNoise,
    Noise,
    Plan,
    Planner,
    PlannerConfig,
    Trace,
    check_actions,
    check_costs,
    refuse_nan,
)
from .bounds import ActionBounds, ActionUnits, constant
from .categorical_cem import CategoricalCEM, CategoricalCEMConfig
from .cem import CEM, CEMConfig
from .exhaustive import Exhaustive, ExhaustiveConfig
from .gradient import CEMGradient, CEMGradientConfig, Gradient, GradientConfig
from .icem import ICEM, ICEMConfig
from .mppi import MPPI, MPPIConfig
from .proposal import Proposal, ProposalConfig
from .random_shooting import RandomShooting, RandomShootingConfig
from .reactive import Reactive, ReactiveConfig
from .subgoals import Imagination, Subgoals, SubgoalsConfig

import_modules(__name__, __path__)

PLANNERS: dict[str, type[PlannerConfig]] = {
    name: kind for name, kind in PlannerConfig.kinds.items() if kind.takes_boxes and kind.evaluates
}
"""The configs of planners that search continuous actions, by the names that commands and
checkpoints use."""
DISCRETE_PLANNERS: dict[str, type[PlannerConfig]] = {
    name: kind for name, kind in PlannerConfig.kinds.items() if kind.takes_categories
}
"""Those of planners of discrete actions; some take both."""
NAMED = PLANNERS | DISCRETE_PLANNERS | {"reactive": ReactiveConfig}
"""All of the library's, by name."""


def make_planner(name: str) -> Planner:
    """A planner with its default settings.

    Args:
        name: one of `PLANNERS` or `DISCRETE_PLANNERS`, "reactive", or `package.module:Name` of a
            planner or of its config.

    Raises:
        ValueError: if the name is unknown, or the class cannot be imported or does not plan.
    """
    rule = f"a planner must be one of {sorted(NAMED)} or a class given as package.module:Name"
    if name not in NAMED and ":" not in name:
        raise ValueError(f"{rule}, got {name!r}")
    planner: Any = (NAMED[name] if name in NAMED else import_object(name))()
    if isinstance(planner, PlannerConfig):
        planner = planner.build()
    if not callable(getattr(planner, "plan", None)) or not hasattr(planner, "horizon"):
        raise ValueError(f"{rule} with `horizon` and `plan`, got {name!r}; add them")
    return planner


__all__ = [
    "CEM",
    "DISCRETE_PLANNERS",
    "ICEM",
    "MPPI",
    "PLANNERS",
    "ActionBounds",
    "ActionUnits",
    "CEMConfig",
    "CEMGradient",
    "CEMGradientConfig",
    "CandidateTracker",
    "CategoricalCEM",
    "CategoricalCEMConfig",
    "Cost",
    "DrawnNoise",
    "Exhaustive",
    "ExhaustiveConfig",
    "Gradient",
    "GradientConfig",
    "ICEMConfig",
    "Imagination",
    "MPPIConfig",
    "Noise",
    "Plan",
    "Planner",
    "PlannerConfig",
    "Proposal",
    "ProposalConfig",
    "RandomShooting",
    "RandomShootingConfig",
    "Reactive",
    "ReactiveConfig",
    "Subgoals",
    "SubgoalsConfig",
    "Trace",
    "check_actions",
    "check_costs",
    "constant",
    "make_planner",
    "refuse_nan",
]
