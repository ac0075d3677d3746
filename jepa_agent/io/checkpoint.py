"""Checkpoints: a directory with one safetensors file and one JSON file. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from .migrate import completed, from_version_1
from .serialisation import to_json

FORMAT = "jepa-agent-checkpoint"
VERSION = 2
SHIPPED = Path(__file__).parents[1] / "checkpoints"
NAMES = {"default": "two_rooms", "mazes": "mazes"}
"""Checkpoints that ship with the package, by the names that `load` knows."""


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, foreign or of another version."""


def resolve(path_or_name: str | Path) -> Path:
    """The directory of a checkpoint given by path, or by the name of a shipped one."""
    if str(path_or_name) in NAMES:
        return SHIPPED / NAMES[str(path_or_name)]
    return Path(path_or_name).expanduser()


def digest(tensors: dict[str, Tensor]) -> str:
    """The identity of these weights: the SHA-256 of the file that `save` would write."""
    return hashlib.sha256(_serialise(tensors)).hexdigest()


def _serialise(tensors: dict[str, Tensor]) -> bytes:
    from safetensors.torch import save as serialise

    return serialise({name: tensor.contiguous() for name, tensor in tensors.items()})


def save(directory: str | Path, tensors: dict[str, Tensor], config: dict[str, Any]) -> None:
    """Write a checkpoint; a crash at any moment leaves the last good one readable.

    The weights get a name of their own, and replacing `config.json`, which names them, is the one
    step that makes the new checkpoint the current one.

    Args:
        directory: created if missing.
        tensors: the weights by name.
        config: JSON data, everything else that is needed to use them.
    """
    directory = Path(directory).expanduser()
    directory.mkdir(parents=True, exist_ok=True)
    payload = _serialise(tensors)
    found = hashlib.sha256(payload).hexdigest()
    weights = f"model-{found[:12]}.safetensors"
    document = {
        "format": FORMAT,
        "version": VERSION,
        "weights": {"file": weights, "sha256": found},
        **config,
    }
    _write(directory / weights, payload)
    _write(directory / "config.json", (to_json(document, indent=2) + "\n").encode())
    for old in (*directory.glob("model-*.safetensors"), *directory.glob(".*.tmp")):
        if old.name != weights:  # older weights, and what a killed process left
            old.unlink()


def load(path_or_name: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the weights and the config of a checkpoint.

    Raises:
        CheckpointError: naming what is wrong with it.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load as deserialise

    directory = resolve(path_or_name)
    path = directory / "config.json"
    if not path.is_file():
        raise CheckpointError(
            f"a checkpoint is a directory with a config.json, got {directory}; give a folder that "
            f"`jepa-agent train` wrote, or one of {sorted(NAMES)}"
        )
    try:
        config = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} must be JSON, got {error}; restore or retrain it") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} must have format {FORMAT!r}, it is another program's; "
            "give a folder that `jepa-agent train` wrote"
        )
    if config.get("version") not in (1, VERSION):
        raise CheckpointError(
            f"{path} must have version 1 or {VERSION}, got {config.get('version')!r}; "
            "use the version of the library that wrote it, or retrain"
        )
    named = config.get("weights")
    if not isinstance(named, dict) or not isinstance(named.get("file"), str):
        raise CheckpointError(f"{path} must name its weights, got {named!r}; restore or retrain it")
    weights = directory / Path(named["file"]).name
    if not weights.is_file():
        raise CheckpointError(f"{path} names {weights}, which is missing; restore or retrain it")
    payload = weights.read_bytes()
    if hashlib.sha256(payload).hexdigest() != named.get("sha256"):
        raise CheckpointError(
            f"{weights} must have the checksum in config.json; it is truncated or changed, "
            "restore or retrain it"
        )
    try:
        tensors = deserialise(payload)
    except SafetensorError as error:
        raise CheckpointError(f"{weights} must be safetensors, got {error}; retrain it") from None
    if config["version"] == 1:
        tensors, config = from_version_1(tensors, config)
    return completed(tensors, config)


def _write(path: Path, payload: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(
            f"writing {path} failed, got {error}; free some space or choose another folder, what "
            "was written before is intact"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
