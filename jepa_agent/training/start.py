"""The weights with which a training goes on from an agent."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from torch import Tensor

from ..models.world_model import WorldModel


def weights_from(other: WorldModel, model: WorldModel) -> dict[str, Tensor]:
    """The weights of another model of the same shape; its one predictor may become several.

    Args:
        other: whose weights they are.
        model: that will have them.

    Raises:
        ValueError: if the shapes differ elsewhere.
    """
    here, there = model.config, other.config
    becomes_several = there.predictor.heads == 1 < here.predictor.heads
    if becomes_several:
        there = replace(there, predictor=replace(there.predictor, heads=here.predictor.heads))
    names = [item.name for item in fields(here)]
    pairs = {name: (getattr(there, name), getattr(here, name)) for name in names}
    differ = [f"{name} {old}, not {new}" for name, (old, new) in pairs.items() if old != new]
    if differ:
        raise ValueError(
            "the model must have the shape of the agent that it starts from, which has "
            f"{'; '.join(differ)}; use the preset and data of its kind"
        )
    weights = other.state_dict()
    if becomes_several:
        own: Any = model.predictor
        copies = own.copies(other.predictor.state_dict())
        weights = {k: v for k, v in weights.items() if not k.startswith("predictor.")}
        weights |= {f"predictor.{name}": tensor for name, tensor in copies.items()}
    return weights
