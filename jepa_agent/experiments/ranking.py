"""Checkpoints and their label-free measures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from ..agent.agent import JEPAAgent
from ..data.source import env_of, world_shape
from ..data.trajectories import Trajectories
from ..evaluation.label_free import MEASURES, measure

Measures = Mapping[str, float]


def checkpoints(folder: Path) -> list[Path]:
    """The agents in a folder and below it, such as a run's and its `step-N`; each once.

    Raises:
        ValueError: if there are none.
    """
    paths = sorted(path.parent for path in folder.rglob("config.json"))
    by_weights = {weights_of(path): path for path in reversed(paths)}
    found = sorted(path for weights, path in by_weights.items() if weights)
    if not found:
        raise ValueError(
            f"a run must hold a checkpoint that `jepa-agent train` wrote, got none in {folder}; "
            "give the folder of one"
        )
    return found


def weights_of(folder: Path) -> str:
    """The name of an agent's weights, which tells them from others; empty of anything else."""
    try:
        config = json.loads((folder / "config.json").read_text())
        return config["weights"]["file"] if "bounds" in config else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


class HeldOut:
    """Data that checkpoints are measured on.

    Args:
        data: trajectories that none of them was trained on.
        steps: horizon in environment steps.
        windows: number of windows.
        seed: seed of the choice of windows.
    """

    def __init__(
        self, data: Trajectories, steps: int = 50, windows: int = 512, seed: int = 0
    ) -> None:
        self._data, self._steps, self._windows, self._seed = data, steps, windows, seed
        (self._seen, self._action_dim, _), self._render, _ = world_shape(env_of(data), data)

    def measure(
        self, folder: Path, device: torch.device | str = "auto", allow_code: bool = False
    ) -> dict[str, float]:
        """The label-free measures of a checkpoint, see `evaluation.label_free`.

        Raises:
            ValueError: if it was made for other observations or actions.
        """
        model = JEPAAgent.load(folder, device, allow_code=allow_code).model
        wanted = model.config.observation_shape, model.config.action_dim
        if wanted != (self._seen, self._action_dim):
            raise ValueError(
                f"{folder} must fit the held-out data, got observations {wanted[0]} and "
                f"{wanted[1]} numbers an action, not {self._seen} and {self._action_dim}; give "
                "data of its world"
            )
        return measure(model, self._render, self._data, self._steps, self._windows, self._seed)


def ranked(rows: Mapping[str, Measures], by: str) -> list[str]:
    """Names of checkpoints, the best by a measure first; those without a number last."""
    sign = 1.0 if MEASURES[by].better == "lower" else -1.0

    def place(name: str) -> float:
        value = rows[name][by]
        return math.inf if math.isnan(value) else sign * value

    return sorted(rows, key=place)


def format_ranking(rows: Mapping[str, Measures], by: str) -> str:
    """A table in Markdown, the best first and its measure before the others."""
    names = [by, *(name for name in MEASURES if name != by)]
    lines = [f"| checkpoint | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for checkpoint in ranked(rows, by):
        cells = [f"{rows[checkpoint][name]:.4g}" for name in names]
        lines.append(f"| {checkpoint} | {' | '.join(cells)} |")
    return "\n".join(lines)


def names_of(runs: Sequence[str]) -> dict[str, Path]:
    """The checkpoints in folders, by their paths as they were given."""
    return {str(path): path for run in runs for path in checkpoints(Path(run))}
