"""Checkpoints of older versions, brought to today's names."""

from __future__ import annotations

from typing import Any

from torch import Tensor

TENSORS = {
    "value.": "distance_head.",
    "pixel_mean": "observation_mean",
    "pixel_std": "observation_std",
}
"""Beginnings of the weights' names in version 1."""

FIELDS: dict[str, dict[str, str]] = {
    "": {"env": "env_ref"},
    "model": {"value": "distance_head"},
    "cost": {"over": "reduction", "effort": "action_cost", "memory": "error_memory"},
    "planner.config": {
        "candidates": "num_samples",
        "elites": "num_elites",
        "kept": "elite_fraction_kept",
    },
    "notes.training": {
        "groups": "layouts_per_batch",
        "windows": "windows_per_layout",
        "alike": "hard_negative_cluster",
        "within_context": "center_per_layout",
        "unroll": "prediction_horizon",
        "clip": "max_grad_norm",
        "penalty": "constraint_weight",
    },
    "notes.training.weights": {"value": "distance", "context": "contrast"},
    "notes.training.refinement": {"groups": "layouts_per_batch", "windows": "windows_per_layout"},
}
"""Renamed fields of version 1, by the path of the object that holds them."""


def from_version_1(
    tensors: dict[str, Tensor], config: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The weights and the config of a checkpoint of version 1, by today's names."""
    renamed = _renamed(config, "")
    if isinstance(renamed.get("cost"), dict) and renamed["cost"].get("distance") == "value":
        renamed["cost"]["distance"] = "learned"
    planner = renamed.get("planner")
    if isinstance(planner, dict) and isinstance(planner.get("config"), dict):
        decay = planner["config"].pop("decay", None)
        if decay is not None and planner.get("name") == "icem":  # it divided
            planner["config"]["sample_decay"] = 1.0 / decay
        elif decay is not None:
            planner["config"]["std_decay"] = decay
    return {_tensor(name): tensor for name, tensor in tensors.items()}, renamed


def _renamed(document: Any, path: str) -> Any:
    if not isinstance(document, dict):
        return document
    names = FIELDS.get(path, {})
    return {
        names.get(name, name): _renamed(value, f"{path}.{name}" if path else name)
        for name, value in document.items()
    }


def _tensor(name: str) -> str:
    for old, new in TENSORS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
