"""Agents on the disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..device import resolve_device
from ..io import checkpoint
from ..io.serialisation import from_dict, to_dict
from ..memory import lack_of_memory
from ..models.world_model import WorldModel, WorldModelConfig
from ..planners import ActionBounds, Planner, PlannerConfig, make_planner
from ..registry import import_kinds
from ..worlds.reference import EnvRef
from .calibration import Calibration
from .costs import CostConfig

if TYPE_CHECKING:
    from .agent import JEPAAgent


def save(agent: JEPAAgent, directory: str | Path, half: bool = False) -> None:
    """See `JEPAAgent.save`."""
    config = {
        "env_ref": to_dict(agent.env_ref) if agent.has_environment else None,
        "bounds": to_dict(agent.bounds),
        "model": to_dict(agent.model.config),
        "cost": to_dict(agent.cost),
        "planner": _planner_to_dict(agent.planner),
        "notes": agent.notes,
    }
    if agent.calibration is not None:
        config["calibration"] = to_dict(agent.calibration)
    tensors = agent.model.state_dict()
    if half:  # statistics keep their range
        weights = {name: tensor.half() for name, tensor in agent.model.named_parameters()}
        tensors = tensors | weights
    checkpoint.save(directory, tensors, config)


def load(
    cls: type[JEPAAgent],
    path_or_name: str | Path,
    device: torch.device | str,
    seed: int,
    allow_code: bool,
) -> JEPAAgent:
    """See `JEPAAgent.load`."""
    device, (tensors, config) = resolve_device(device), checkpoint.load(path_or_name)
    try:
        if allow_code:
            import_kinds([config["model"], config["planner"]])
        model = WorldModel(from_dict(WorldModelConfig, config["model"], "model"))
        model.load_state_dict(tensors)
        known = config["env_ref"]
        agent = cls(
            model,
            from_dict(ActionBounds, config["bounds"], "bounds"),
            None if known is None else from_dict(EnvRef, known, "env_ref"),
            _planner_from_dict(config["planner"], allow_code),
            from_dict(CostConfig, config["cost"], "cost"),
            seed,
            config["notes"],
        )
        if "calibration" in config:
            agent.calibration = from_dict(Calibration, config["calibration"], "calibration")
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        if lack_of_memory(error) is not None:  # no fault of the checkpoint
            raise
        raise checkpoint.CheckpointError(
            f"the config and weights of {path_or_name} must fit this version, got {error}"
        ) from error
    agent.model.to(device)
    return agent


def _planner_to_dict(planner: Any) -> dict[str, Any]:
    config = getattr(planner, "config", None)
    if isinstance(config, PlannerConfig):
        return to_dict(config)
    name = f"{type(planner).__module__}:{type(planner).__qualname__}"
    if vars(planner) or "." in type(planner).__qualname__:
        raise TypeError(
            "a planner without a `config` (a PlannerConfig) must be a class at the top of a module "
            f"and have no settings, got {name} with {sorted(vars(planner))}; give it one"
        )
    return {"kind": name}


def _planner_from_dict(document: Any, allow_code: bool) -> Planner:
    if allow_code and document["kind"] not in PlannerConfig.kinds:  # a class without a config
        return make_planner(document["kind"])
    family: Any = PlannerConfig
    return from_dict(family, document, "planner").build()
