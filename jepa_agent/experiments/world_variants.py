"""Variants of `base`, the world model of any layout, and how they are measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import partial
from math import ceil
from pathlib import Path

from ..agent.agent import JEPAAgent
from ..data.trajectories import Trajectories
from ..envs import CollectConfig, collect
from ..evaluation.diagnostics import diagnose
from ..evaluation.episodes import play
from ..evaluation.metrics import summarise
from ..evaluation.two_rooms import HELD_OUT_DATA
from ..models.encoders import PatchCNNConfig
from ..models.predictors import ResidualMLPConfig
from ..presets import BASE, DATA
from ..training.config import Preset
from ..training.loop import LOG_EVERY
from ..training.world_model import train
from .ablations import pooled_success, shown
from .systems import Budget, Figures, System, Variant, folder_name, with_values

STEPS_PER_MINUTE = 260
"""Steps per minute of `base` on two cores."""
JOINT_SHARE = 0.75
"""Joint training's share of the steps."""
JOINT_SHARES = {"one stage": 1.0, "mostly refinement": 0.35}
"""Variants that have another share."""
CHECKPOINTS = 3
"""Agents of a training that are kept, its last one among them."""


@dataclass(frozen=True)
class Setting(Preset):
    """A preset of world models, and the data that it learns from."""

    collect: CollectConfig = field(default_factory=CollectConfig)


def few_layouts(count: int) -> Variant:
    """As many episodes, frames per batch and steps as `ours`, in fewer layouts."""
    groups = min(64, count)
    return Variant(
        {
            "collect.layouts": count,
            "training.layouts_per_batch": groups,
            "training.windows_per_layout": 256 // groups,
            "training.refinement.layouts_per_batch": min(64, count),
            "training.refinement.windows_per_layout": 1024 // min(64, count),
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
    "last-step cost": Variant({"cost.reduction": "last"}, shares="ours"),
    "latent distance": Variant({"cost.distance": "latent"}, shares="ours"),
    "no error memory": Variant({"cost.error_memory": 0}, shares="ours"),
    "no contrast": Variant({"training.hard_negative_cluster": 1, "training.weights.contrast": 0.0}),
    "random layouts per batch": Variant({"training.hard_negative_cluster": 1}),
    "variance of the whole batch": Variant({"training.center_per_layout": False}),
    "chunks of five in plans": Variant({"model.chunk": 5}),
    "one MLP per chunk of five": Variant(
        {"model.chunk": 5, "model.predictor": ResidualMLPConfig(width=384, depth=3)}
    ),
    "strided CNN": Variant({"model.encoder": PatchCNNConfig()}),
    "one stage": Variant({"model.chunk": 5}),
    "mostly refinement": Variant(),
    "reference behaviour": Variant({"collect.policy": "reference"}),
    "10 layouts": few_layouts(10),
    "100 layouts": few_layouts(100),
}
"""Changes of `base`, one at a time."""


WORLD_COLUMNS = {
    "steps ratio": shown("steps_ratio", ".2f"),
    "rank correlation": shown("rank_correlation", ".3f"),
    "through the door": shown("rank_correlation_through_door", ".3f"),
    "position, px": shown("position_error", ".2f"),
}
"""Columns beside success in the tables of world models."""


def run_world(out: Path, budget: Budget, name: str, seed: int) -> Figures:
    """Train (or go on with, or reuse) one variant, and measure it on layouts never seen."""
    variant = WORLD[name]
    steps = round(budget.minutes * STEPS_PER_MINUTE)
    joint = max(1, round(JOINT_SHARES.get(name, JOINT_SHARE) * steps))
    training = {
        "training.steps": joint,
        "training.refinement.steps": steps - joint,
        "training.diagnose_every": LOG_EVERY * ceil(steps / CHECKPOINTS / LOG_EVERY),
        "training.bfloat16": budget.bfloat16 or None,
    }
    seeds = {"training.seed": seed, "collect.seed": seed}
    settings = Setting(**vars(BASE), collect=DATA["base"])
    data = {"collect.episodes": round(budget.data_scale * settings.collect.episodes)}
    settings = with_values(settings, {**training, **seeds, **data, **variant.changes})
    folder = out / folder_name(variant.shares or name, seed)
    preset = Preset(settings.model, settings.training, settings.planner)
    trajectories = Trajectories.from_rollouts(*collect(settings.collect))
    run = folder / f"{budget.minutes:g}-minutes"
    agent = train(trajectories, preset, folder=run, keep=CHECKPOINTS)
    agent.cost = settings.cost
    return measure_world(name, agent, trajectories, "test", budget)


def measure_world(
    name: str, agent: JEPAAgent, trained_on: Trajectories, layout: str, budget: Budget
) -> Figures:
    """An agent's diagnostics on held-out trajectories of a layout, and its success there.

    Episodes end at the goal: what the agent does there takes most of the decisions of 200 steps.
    """
    held_out = Trajectories.from_rollouts(
        *collect(next(c for c in HELD_OUT_DATA.values() if c.layout == layout))
    )
    found = diagnose(agent, trained_on, held_out)
    make = partial(agent.env_ref.make, layout=layout, terminate_on_success=True)
    seeds = range(3_000_000, 3_000_000 + budget.episodes)
    episodes = play(agent, make, seeds)
    row = summarise(name, layout, episodes)
    return {
        **asdict(found),
        "rank_correlation_through_door": found.rank_correlations["through the door"],
        "solved": [int(episode.success) for episode in episodes],
        "success": row.success,
        "steps_ratio": row.steps_ratio,
    }


SYSTEM = System(
    WORLD, run_world, 12.0, "success on layouts never seen", pooled_success,
    WORLD_COLUMNS | {"wall / door error, px": shown("layout_error", ".2f")}, reference="ours",
)  # fmt: skip
