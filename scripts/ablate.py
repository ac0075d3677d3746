"""Ablations: train variants of a system with several seeds, and print one table and one plot.

python scripts/ablate.py world                                  # 14 variants x 3 seeds x 12 min
python scripts/ablate.py world --only ours "no context" --seeds 0 --minutes 2

Resumable: what has finished is not run again, what was interrupted goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from train import HELD_OUT_DATA, PRESETS
from train import Args as TrainArgs

from jepa_agent import Preset, Trajectories, train
from jepa_agent.agent import default_device
from jepa_agent.console import errors_in_one_line
from jepa_agent.diagnostics import diagnose
from jepa_agent.encoders import PatchCNNConfig
from jepa_agent.envs import collect
from jepa_agent.evaluation import play, summarise, wilson

JOINT_SHARE, STEPS_PER_MINUTE = 0.44, 290
"""Of `base` on two cores: the share of joint training, and steps per minute of both stages."""


@dataclass(frozen=True)
class Args:
    """What to run."""

    system: tyro.conf.Positional[Literal["world"]]
    only: tuple[str, ...] = ()
    """Variants by name; by default all."""
    seeds: tuple[int, ...] = (0, 1, 2)
    minutes: float = 12.0
    """Training per run, as steps that take so long on two cores; the same for every variant."""
    episodes: int = 200
    data_scale: float = 1.0
    """Share of the trajectories of `base`."""
    out: Path = Path("runs/ablation")
    table: Path | None = None
    """Where to write the table (Markdown); the plot goes beside it as PNG."""


@dataclass(frozen=True)
class Variant:
    """A change of the `base` preset.

    Args:
        changes: new values by dotted name.
        same_model_as: the variant whose trained model it uses, where only planning differs.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    same_model_as: str = ""


def few_layouts(count: int) -> Variant:
    """As many episodes, frames per batch and steps as `ours`, in fewer layouts."""
    groups = min(64, count)
    return Variant(
        {
            "collect.layouts": count,
            "training.groups": groups,
            "training.windows": 256 // groups,
            "training.refinement.groups": min(64, count),
            "training.refinement.windows": 1024 // min(64, count),
        }
    )


WORLD = {
    "ours": Variant(),
    "no variance": Variant({"training.weights.variance": 0.0}),
    "no covariance": Variant({"training.weights.covariance": 0.0}),
    "SIGReg for both": Variant(
        {
            "training.weights.variance": 0.0,
            "training.weights.covariance": 0.0,
            "training.weights.sigreg": 1.0,
        }
    ),
    "no temporal similarity": Variant({"training.weights.temporal_similarity": 0.0}),
    "no inverse dynamics": Variant({"training.weights.inverse_dynamics": 0.0}),
    "last-step cost": Variant({"cost.over": "last"}, same_model_as="ours"),
    "latent distance": Variant({"cost.distance": "latent"}, same_model_as="ours"),
    "no context": Variant({"training.weights.context": 0.0}),
    "variance of the whole batch": Variant({"training.within_context": False}),
    "strided CNN": Variant({"model.encoder": PatchCNNConfig()}),
    "one stage": Variant({"training.refinement.steps": 0}),
    "reference behaviour": Variant({"collect.policy": "reference"}),
    "10 layouts": few_layouts(10),
    "100 layouts": few_layouts(100),
}
"""What is taken from `base`, one thing at a time."""


def main(args: Args) -> None:
    names = args.only or tuple(WORLD)
    for name in names:
        if name not in WORLD:
            raise ValueError(f"--only must be of {list(WORLD)}, got {name!r}; choose of them")
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for seed in args.seeds:
        for name in names:
            results[name].append(result(args, name, seed))
            print(format_table(results), flush=True)
    if args.table is not None:
        args.table.parent.mkdir(parents=True, exist_ok=True)
        args.table.write_text(format_table(results) + "\n")
        draw(args.table.with_suffix(".png"), results)


def result(args: Args, name: str, seed: int) -> dict[str, Any]:
    """Figures of one run, from its `result.json` where that exists."""
    path = args.out / f"{name.replace(' ', '-')}-{seed}" / "result.json"
    wanted = {"minutes": args.minutes, "episodes": args.episodes, "data_scale": args.data_scale}
    if path.exists():
        found = json.loads(path.read_text())
        if {key: found[key] for key in wanted} == wanted:
            return found
    began = time.perf_counter()
    figures = {**wanted, **run_world(args, name, seed), "seconds": time.perf_counter() - began}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(figures, indent=1))
    temporary.replace(path)
    return figures


def run_world(args: Args, name: str, seed: int) -> dict[str, Any]:
    """Train (or go on with, or reuse) one variant, and measure it on layouts never seen."""
    variant = WORLD[name]
    steps = round(args.minutes * STEPS_PER_MINUTE)
    joint = max(1, round(JOINT_SHARE * steps))
    budget = {"training.steps": joint, "training.refinement.steps": steps - joint}
    if name == "one stage":
        budget = {"training.steps": steps}
    seeds = {"training.seed": seed, "collect.seed": seed}
    settings: TrainArgs = PRESETS["base"][1]
    data = {"collect.episodes": round(args.data_scale * settings.collect.episodes)}
    for key, value in {**budget, **seeds, **data, **variant.changes}.items():
        settings = with_value(settings, key, value)
    folder = args.out / f"{(variant.same_model_as or name).replace(' ', '-')}-{seed}"
    preset = Preset(settings.model, settings.training, settings.planner)
    trajectories = Trajectories.from_rollouts(*collect(settings.collect))
    agent = train(
        trajectories, preset, default_device(), folder=folder / f"{args.minutes:g}-minutes"
    )
    agent.cost = settings.cost
    held_out = Trajectories.from_rollouts(*collect(HELD_OUT_DATA["train"]))
    found = diagnose(agent, trajectories, held_out)
    make = partial(agent.env.make, layout="test", terminate_on_success=False)
    row = summarise(name, "test", play(agent, make, range(3_000_000, 3_000_000 + args.episodes)))
    return {
        **asdict(found),
        "success": row.success,
        "success_strict": row.success_strict,
        "steps_ratio": row.steps_ratio,
    }


def with_value(config: Any, key: str, value: Any) -> Any:
    """A copy of nested frozen dataclasses with one field changed, given by its dotted name."""
    name, _, rest = key.partition(".")
    if name not in {item.name for item in fields(config)}:
        raise ValueError(f"{type(config).__name__} has no field {name!r}; correct the variant")
    inner = with_value(getattr(config, name), rest, value) if rest else value
    return replace(config, **{name: inner})


def pooled(results: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[str, float, float, float]]:
    """Of each variant: its name, and success over all seeds with its Wilson interval."""
    for name, runs in results.items():
        if runs:
            episodes = sum(run["episodes"] for run in runs)
            solved = sum(round(run["success"] * run["episodes"]) for run in runs)
            yield name, solved / episodes, *wilson(solved, episodes)


def format_table(results: dict[str, list[dict[str, Any]]]) -> str:
    """The table in Markdown; means over seeds, success pooled."""
    lines = [
        "| variant | seeds | success | strict | steps ratio | rank correlation (door) | "
        "wall / door error, px | position, px |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, success, low, high in pooled(results):
        runs = results[name]

        def mean(key: str, runs: list[dict[str, Any]] = runs) -> np.ndarray:
            return np.mean([np.nan if run[key] is None else run[key] for run in runs], axis=0)

        wall, door = mean("context_error")
        lines.append(
            f"| {name} | {len(runs)} | {100 * success:.1f} ({100 * low:.1f}-{100 * high:.1f}) | "
            f"{100 * mean('success_strict'):.1f} | {mean('steps_ratio'):.2f} | "
            f"{mean('rank_correlation'):.3f} ({mean('rank_correlation_through_door'):.3f}) | "
            f"{wall:.2f} / {door:.2f} | {mean('position_error'):.2f} |"
        )
    return "\n".join(lines)


def draw(path: Path, results: dict[str, list[dict[str, Any]]]) -> None:
    """Success of every variant with its interval (extra `plots`)."""
    from matplotlib.figure import Figure

    names, success, low, high = zip(*pooled(results), strict=True)
    errors = [np.subtract(success, low), np.subtract(high, success)]
    figure = Figure(figsize=(7, 0.4 * len(names) + 1), layout="constrained")
    axes = figure.subplots()
    axes.barh(names, success, xerr=errors, color="#0072b2", ecolor="0.3")
    axes.set(xlabel="success on layouts never seen", xlim=(0, 1))
    axes.invert_yaxis()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    with errors_in_one_line():
        main(tyro.cli(Args, description=__doc__))
