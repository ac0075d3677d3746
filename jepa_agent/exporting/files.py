"""Decisions written to files."""

from __future__ import annotations

import copy
import importlib
import logging
import warnings
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..agent.agent import JEPAAgent
from .graph import DecisionGraph

OPSET = 18
"""The version of ONNX's operators: the first with antialiased scaling."""
SUFFIXES = (".onnx", ".pt2")


def export(agent: JEPAAgent, path: str | Path, batch: int = 1) -> Path:
    """Write an agent as a file that decides without this library.

    Its inputs are `observation` and `goal` (B, ...) as environments show them (of several parts:
    `observation_NAME` and `goal_NAME`), the `memory` (B, M), zeros where an episode begins, and
    `noise` where the planner samples: standard normal numbers. Its outputs are `actions` (B, K,
    ...), to be played in the next K steps, and `next_memory`.

    Args:
        agent: the agent, which is not changed.
        path: `.onnx` (needs the extra `export`; runs in onnxruntime, without torch) or `.pt2`, a
            program for `torch.export.load`.
        batch: B, environments that decide together.

    Returns:
        The path.

    Raises:
        ValueError: if the name ends otherwise, or the agent cannot be a graph.
        ImportError: if the extra is missing.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        raise ValueError(
            f"an exported agent's file must end in {' or '.join(SUFFIXES)}, got {path.name!r}; "
            "rename it"
        )
    if path.suffix == ".onnx":
        check_extra()
    alone = copy.copy(agent)
    alone.model = copy.deepcopy(agent.model).cpu().float()
    graph = DecisionGraph(alone, batch).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.stem}.partial{path.suffix}")
    program = _program(graph)
    about = {"jepa_agent": __version__, "steps_per_call": str(alone.chunks.steps)}
    if path.suffix == ".pt2":
        torch.export.save(program, temporary, extra_files=about)
    else:
        _save_onnx(program, graph, temporary, about)
    temporary.replace(path)
    return path


def check_extra() -> None:
    """Raise ImportError unless what writes ONNX files is installed."""
    try:
        for name in ("onnx", "onnxscript"):
            importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"ONNX files need the extra `export`, got {error}; run "
            "`pip install 'jepa-agent[export]'`, or write a .pt2 file, which needs torch alone"
        ) from error


def _program(graph: DecisionGraph) -> Any:
    try:
        with torch.no_grad():
            return torch.export.export(graph, tuple(graph.inputs.values()), strict=False)
    except RuntimeError as error:
        reason, *_ = str(error).strip().splitlines()
        raise ValueError(
            f"an exported agent must consist of tensor operations, got {_name(graph)}, of which "
            f"torch says: {reason}; plan with mppi, cem or proposal, and let own modules take no "
            "numbers out of tensors"
        ) from error


def _name(graph: DecisionGraph) -> str:
    return f"the planner {type(graph.agent.planner).__name__} and its model"


def _save_onnx(program: Any, graph: DecisionGraph, path: Path, about: dict[str, str]) -> None:
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both speak of other packages
        logger.setLevel(logging.ERROR)
        try:
            found = torch.onnx.export(
                program,
                dynamo=True,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                opset_version=OPSET,
                verbose=False,
            )
        except RuntimeError as error:
            reason, *_ = str(error.__cause__ or error).strip().splitlines()
            raise ValueError(
                f"an agent for ONNX must consist of its operators, got {_name(graph)}, of which "
                f"torch says: {reason}; plan with mppi, cem or proposal, or write a .pt2 file"
            ) from error
        finally:
            logger.setLevel(before)
    assert found is not None
    found.model.metadata_props.update(about)
    found.save(path)
