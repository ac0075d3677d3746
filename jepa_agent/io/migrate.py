"""Checkpoints and states of runs of older versions, brought to today's names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

TENSORS = {
    "value.": "distance_head.",
    "pixel_mean": "observation_mean",
    "pixel_std": "observation_std",
    "model.value.": "model.distance_head.",
    "model.pixel_mean": "model.observation_mean",
    "model.pixel_std": "model.observation_std",
    "objective.context.": "objective.heads.contrast.embedding.",
    "objective.contexts": "objective.heads.contrast.prototypes",
    "objective.inverse_dynamics.": "objective.heads.inverse_dynamics.",
    "tally.value": "meter.distance",
    "tally.context": "meter.contrast",
    "tally.": "meter.",
}
"""Beginnings of the names of tensors in version 1, of agents and of runs."""

STAGE = {"groups": "layouts_per_batch", "windows": "windows_per_layout"}
SEARCH = {"candidates": "num_samples", "elites": "num_elites", "kept": "elite_fraction_kept"}
FIELDS: dict[str, dict[str, str]] = {
    "": {"env": "env_ref"},
    "model": {"value": "distance_head"},
    "cost": {"over": "reduction", "effort": "action_cost", "memory": "error_memory"},
    "planner": SEARCH,
    "cem": SEARCH,
    "training": {
        **STAGE,
        "alike": "hard_negative_cluster",
        "within_context": "center_per_layout",
        "unroll": "prediction_horizon",
        "clip": "max_grad_norm",
        "penalty": "constraint_weight",
    },
    "weights": {"value": "distance", "context": "contrast"},
    "refinement": STAGE,
}
"""Renamed fields of version 1, by the name of the object that holds them."""

KINDS: dict[str, dict[str, str]] = {
    "encoder": {
        "backbone": "backbone",
        "queries": "patch_pool",
        "stacks": "impala",
        "layers": "vector_mlp",
        "patch": "patch_cnn",
    },
    "predictor": {"depth": "residual_mlp", "state": "stepwise_mlp"},
    "value": {"blocks": "block_norm"},
    "network": {"blocks": "resnet", "heads": "vit"},
    "planner": {
        "cem": "cem-gradient",
        "starts": "gradient",
        "temperature": "mppi",
        "momentum": "icem",
        "elites": "cem",
        "std": "random",
    },
    "cem": {"elites": "cem"},
    "gradient": {"starts": "gradient"},
}
"""Kinds, which version 1 did not store, by the first field that an object has."""

ADDED: dict[str, dict[str, Any]] = {
    "training": {"held_out_share": 0.0, "detach_distance": False},
    "training.weights": {"window_contrast": 0.0},
    "env_ref": {"wrappers": [], "max_episode_steps": None},
    "bounds": {"idle": None, "categories": [], "start": [], "shape": None, "dtype": None},
    "cost": {
        "near_weight": 0.0,
        "risk": "neutral",
        "alpha": 0.2,
        "failure": 40.0,
        "slack": 0.5,
        "arrival": 0.5,
        "search_heads": 0,
    },
    "predictor": {"heads": 1},
    "planner": {"knots": 1},
    "cem": {"knots": 1},
    "gradient": {"knots": 1},
}
"""Fields that files of version 1 and early ones of version 2 lack, with the values that they had
before there was a choice, by the name of the object that holds them; where others have that name
too, after the name of its own holder."""
MAX_IMAGE_SIZE = 72
"""The size to which images are scaled by default since they are."""
NO_PROPOSALS = {"heads": 0, "horizon": 5, "reach": 20, "width": 512, "depth": 2}
"""The config of a model without proposals, which there were not."""
ADDED_TO_KINDS: dict[str, dict[str, Any]] = {
    "proposal": {"fallback": 0.0, "fallback_samples": 192, "fallback_iterations": 6},
    "value_map": {"near_most": 0.0},
}
"""Likewise, what objects of some kinds lack."""
NO_ENDING = {"width": 0, "depth": 2}
"""The config of a model that foresees no ends."""
USERS_OWN = ("data", "notes", "kwargs")
"""Objects that are no configs of the library."""


def completed(
    tensors: dict[str, Tensor], config: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the config of a checkpoint with what was added since it was written."""
    run = config.get("run")
    prefix, model = ("model.", run.get("model")) if run else ("", config.get("model"))
    if f"{prefix}observation_mean" in tensors and isinstance(model, dict):  # actions were raw
        raw = torch.zeros(model.get("action_dim", 0))
        tensors = {f"{prefix}action_mean": raw, f"{prefix}action_std": raw + 1, **tensors}
    return tensors, _filled("", config)


def _filled(name: str, value: Any, holder: str = "") -> Any:
    """The value of a field with what its object and those within lack."""
    if name in USERS_OWN or not isinstance(value, dict):
        return value
    if name == "planner" and (value.get("kind"), value.get("iterations")) == ("proposal", 0):
        return {"kind": "reactive", "horizon": value["horizon"], "knots": value["knots"]}
    added = ADDED.get(f"{holder}.{name}", ADDED.get(name, {}))
    if name == "model":  # large images were not scaled
        shape = value.get("observation_shape", ())
        is_large = len(shape) == 3 and max(shape[:2]) > MAX_IMAGE_SIZE
        added = {
            "max_image_size": 0 if is_large else MAX_IMAGE_SIZE,
            "proposals": NO_PROPOSALS,
            "ending": NO_ENDING,
            "training_chunk": 0,
        }
    added = ADDED_TO_KINDS.get(value.get("kind", ""), {}) | added
    return added | {key: _filled(key, item, name) for key, item in value.items()}


def from_version_1(
    tensors: dict[str, Tensor], config: dict[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the config of a checkpoint of version 1, by today's names."""
    return {_tensor(name): tensor for name, tensor in tensors.items()}, _renamed("", config)


def _renamed(name: str, value: Any) -> Any:
    """The value of a field, which has this name in version 1."""
    if name == "data" or not isinstance(value, dict):
        return value
    if name == "planner" and "config" in value:  # in an agent, beside its name
        value = value["config"]
    kind = {"kind": "gru"} if name == "predictor" and not value else {}
    for field, found in KINDS.get(name, {}).items():
        if field in value:
            kind = {"kind": found}
            break
    names = FIELDS.get(name, {})
    added: dict[str, Any] = {"extra_terms": []} if name == "training" else {}
    renamed = (
        kind | added | {names.get(key, key): _renamed(key, item) for key, item in value.items()}
    )
    if "decay" in renamed:
        decay = renamed.pop("decay")
        if renamed["kind"] == "icem":  # it divided
            renamed["sample_decay"] = 1.0 / decay
        else:
            renamed["std_decay"] = decay
    if name == "cost" and renamed.get("distance") == "value":
        renamed["distance"] = "learned"
    if name == "run" and "preset" in renamed:  # a run may go on under another planner
        renamed["model"] = renamed.pop("preset")["model"]
    return renamed


def _tensor(name: str) -> str:
    for old, new in TENSORS.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name
