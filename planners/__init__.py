"""Search over action sequences. Needs torch; knows no model and no pixels."""

from .base import ActionBounds, Cost, Noise, Plan, Planner
from .cem import CEM, CEMConfig

__all__ = ["CEM", "ActionBounds", "CEMConfig", "Cost", "Noise", "Plan", "Planner"]
