"""What `ablate.py` can take apart: the systems, their variants, and how each is measured."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..agent.agent import JEPAAgent
from ..data.trajectories import Trajectories
from ..device import resolve_device
from ..envs import CollectConfig, collect
from ..evaluation.diagnostics import diagnose
from ..evaluation.episodes import play
from ..evaluation.metrics import summarise, wilson
from ..evaluation.two_rooms import HELD_OUT_DATA
from ..models.encoders import PatchCNNConfig
from ..models.predictors import ResidualMLPConfig
from ..presets import BASE, DATA
from ..pretraining import image, video
from ..pretraining.datasets import READERS
from ..pretraining.detection import DetectionConfig, detect
from ..pretraining.probes import collapse_of, probe
from ..pretraining.videos import moving_digits
from ..training.config import Preset
from ..training.world_model import train

JOINT_SHARE, STEPS_PER_MINUTE = 0.35, 260
"""Of `base` on two cores: the share of joint training, and steps per minute of both stages."""
EPOCHS_PER_MINUTE = 0.5
"""Of `pretrain_image.py small` on Fashion-MNIST and two cores."""
VIDEO_FRAMES_PER_MINUTE = 15_000
"""Of `pretrain_video.py digits` on two cores; variants of more steps see fewer clips."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Budget:
    """What every variant of a table shares."""

    minutes: float
    episodes: int
    data_scale: float


@dataclass(frozen=True)
class Variant:
    """A change of a system's preset.

    Args:
        changes: new values by dotted name.
        same_model_as: the variant whose trained model it uses, where only planning differs.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    same_model_as: str = ""


@dataclass(frozen=True)
class Setting(Preset):
    """A preset of world models, and what it learns from."""

    collect: CollectConfig = field(default_factory=CollectConfig)


@dataclass(frozen=True)
class System:
    """Something to take apart.

    Args:
        variants: by name.
        run: trains (or goes on with) one variant of a seed in a folder, and measures it.
        minutes: per run, unless the user says otherwise.
        score: the plot's axis.
        rate: that figure over several runs, with its interval.
        columns: other figures of the table, over several runs.
    """

    variants: dict[str, Variant]
    run: Callable[[Path, Budget, str, int], Figures]
    minutes: float
    score: str
    rate: Callable[[list[Figures]], tuple[float, float, float]]
    columns: dict[str, Callable[[list[Figures]], str]]


def with_value(config: Any, key: str, value: Any) -> Any:
    """A copy of nested frozen dataclasses with one field changed, given by its dotted name."""
    name, _, rest = key.partition(".")
    if name not in {item.name for item in fields(config)}:
        raise ValueError(f"{type(config).__name__} has no field {name!r}; correct the variant")
    inner = with_value(getattr(config, name), rest, value) if rest else value
    return replace(config, **{name: inner})


def with_values(config: Any, values: dict[str, Any]) -> Any:
    """As `with_value`, several fields."""
    for key, value in values.items():
        config = with_value(config, key, value)
    return config


def folder_name(variant: str, seed: int) -> str:
    """Of a variant's run."""
    return f"{re.sub(r'[^a-zA-Z0-9.]+', '-', variant).strip('-')}-{seed}"


def over_seeds(key: str) -> Callable[[list[Figures]], tuple[float, float, float]]:
    """A figure's mean over seeds, the lowest and the highest."""

    def rate(runs: list[Figures]) -> tuple[float, float, float]:
        values = [run[key] for run in runs]
        return float(np.mean(values)), min(values), max(values)

    return rate


def shown(key: str, form: str, scale: float = 1.0) -> Callable[[list[Figures]], str]:
    """A figure's mean over seeds, formatted; it may have several numbers."""

    def text(runs: list[Figures]) -> str:
        values = [[np.nan if v is None else v for v in np.atleast_1d(run[key])] for run in runs]
        return " / ".join(format(scale * v, form) for v in np.mean(values, axis=0))

    return text


# The action-conditioned world model


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
    "last-step cost": Variant({"cost.reduction": "last"}, same_model_as="ours"),
    "latent distance": Variant({"cost.distance": "latent"}, same_model_as="ours"),
    "no experience": Variant({"cost.error_memory": 0}, same_model_as="ours"),
    "no layout": Variant({"training.hard_negative_cluster": 1, "training.weights.contrast": 0.0}),
    "layouts at random": Variant({"training.hard_negative_cluster": 1}),
    "variance of the whole batch": Variant({"training.center_per_layout": False}),
    "one MLP per chunk": Variant({"model.predictor": ResidualMLPConfig(width=384, depth=3)}),
    "strided CNN": Variant({"model.encoder": PatchCNNConfig()}),
    "one stage": Variant({"training.refinement.steps": 0}),
    "reference behaviour": Variant({"collect.policy": "reference"}),
    "10 layouts": few_layouts(10),
    "100 layouts": few_layouts(100),
}
"""What is taken from `base`, one thing at a time."""


WORLD_COLUMNS = {
    "strict": shown("success_strict", ".1f", 100.0),
    "steps ratio": shown("steps_ratio", ".2f"),
    "rank correlation": shown("rank_correlation", ".3f"),
    "through the door": shown("rank_correlation_through_door", ".3f"),
    "position, px": shown("position_error", ".2f"),
}
"""Beside success, in the tables of world models."""


def run_world(out: Path, budget: Budget, name: str, seed: int) -> Figures:
    """Train (or go on with, or reuse) one variant, and measure it on layouts never seen."""
    variant = WORLD[name]
    steps = round(budget.minutes * STEPS_PER_MINUTE)
    joint = max(1, round(JOINT_SHARE * steps))
    stages = {"training.steps": joint, "training.refinement.steps": steps - joint}
    if name == "one stage":
        stages = {"training.steps": steps}
    seeds = {"training.seed": seed, "collect.seed": seed}
    settings = Setting(**vars(BASE), collect=DATA["base"])
    data = {"collect.episodes": round(budget.data_scale * settings.collect.episodes)}
    settings = with_values(settings, {**stages, **seeds, **data, **variant.changes})
    folder = out / folder_name(variant.same_model_as or name, seed)
    preset = Preset(settings.model, settings.training, settings.planner)
    trajectories = Trajectories.from_rollouts(*collect(settings.collect))
    agent = train(trajectories, preset, folder=folder / f"{budget.minutes:g}-minutes")
    agent.cost = settings.cost
    return measure_world(name, agent, trajectories, "test", budget)


def measure_world(
    name: str, agent: JEPAAgent, trained_on: Trajectories, layout: str, budget: Budget
) -> Figures:
    """What an agent knows of held-out trajectories of a layout, and how it plays there."""
    held_out = Trajectories.from_rollouts(
        *collect(next(c for c in HELD_OUT_DATA.values() if c.layout == layout))
    )
    found = diagnose(agent, trained_on, held_out)
    make = partial(agent.env_ref.make, layout=layout, terminate_on_success=False)
    seeds = range(3_000_000, 3_000_000 + budget.episodes)
    row = summarise(name, layout, play(agent, make, seeds))
    return {
        **asdict(found),
        "rank_correlation_through_door": found.rank_correlations["through the door"],
        "success": row.success,
        "success_strict": row.success_strict,
        "steps_ratio": row.steps_ratio,
    }


def pooled_success(runs: list[Figures]) -> tuple[float, float, float]:
    """Success over the episodes of all seeds, with its Wilson interval."""
    episodes = sum(run["episodes"] for run in runs)
    solved = sum(round(run["success"] * run["episodes"]) for run in runs)
    return solved / episodes, *wilson(solved, episodes)


# Image JEPA


def weights(variance: float = 0.0, covariance: float = 0.0, sigreg: float = 0.0) -> dict[str, Any]:
    """Changes of the coefficients against collapse."""
    return {
        "weights.variance": variance,
        "weights.covariance": covariance,
        "weights.sigreg": sigreg,
    }


IMAGE = {
    "ours": Variant(),
    "SIGReg": Variant(weights(sigreg=10.0)),
    "no projector": Variant({"projector": ()}),
    "SIGReg, no projector": Variant({"projector": (), **weights(sigreg=10.0)}),
    "no variance": Variant({"weights.variance": 0.0}),
    "no covariance": Variant({"weights.covariance": 0.0}),
    "variance x 10": Variant({"weights.variance": 10.0}),
    "covariance x 0.1": Variant({"weights.covariance": 10.0}),
    "SIGReg x 0.1": Variant(weights(sigreg=1.0)),
}
"""EB-JEPA's tables for `pretrain_image.py small`: projector, regularizer, coefficients."""


def run_image(out: Path, budget: Budget, name: str, seed: int) -> Figures:
    """Pretrain one variant on Fashion-MNIST, and probe its frozen features."""
    changes = {
        "epochs": budget.minutes * EPOCHS_PER_MINUTE * budget.data_scale,
        "seed": seed,
        **IMAGE[name].changes,
    }
    config = with_values(image.SMALL, changes)
    data = READERS["fashion-mnist"](None)
    folder = out / folder_name(name, seed) / f"{budget.minutes:g}-minutes"
    device = resolve_device()
    backbone = image.pretrain(data, config, device, folder=folder)
    found = probe(backbone, data, device)
    health = collapse_of(backbone, data, device)
    return {
        "linear": found["linear"],
        "neighbours": found["nearest neighbours"],
        "rank_me": health.rank_me,
        "spread": health.spread,
    }


# Video JEPA

VIDEO = {
    "ours": Variant(),
    **{
        f"{steps} prediction step{'s' * (steps > 1)}": Variant({"prediction_steps": steps})
        for steps in (1, 2, 8)
    },
    **{
        f"covariance {covariance:g}, variance {variance:g}": Variant(
            weights(variance=variance, covariance=covariance)
        )
        for covariance in (1.0, 10.0, 100.0)
        for variance in (1.0, 10.0, 100.0)
        if (covariance, variance) != (100.0, 10.0)
    },
    "SIGReg": Variant(weights(sigreg=10.0)),
    "variance of the whole batch": Variant({"within_place": False}),
}
"""Steps of prediction (ours: 4), and the grid of coefficients (ours: 100 and 10)."""


def run_video(out: Path, budget: Budget, name: str, seed: int) -> Figures:
    """Pretrain one variant on moving digits, and detect them in what it imagines."""
    variant = VIDEO[name]
    config = with_values(video.VideoConfig(), {"seed": seed, **variant.changes})
    frames = config.batch * (video.PAST + config.prediction_steps)
    steps = round(budget.minutes * VIDEO_FRAMES_PER_MINUTE * budget.data_scale / frames)
    folder = out / folder_name(name, seed) / f"{budget.minutes:g}-minutes"
    device = resolve_device()
    known, held_out = moving_digits("mnist", None, device)
    network = replace(config.network, image_shape=known.image_shape)
    config = replace(config, network=network, steps=max(1, steps))
    model = video.pretrain(known, config, device, folder=folder)
    found = detect(model, known, held_out, DetectionConfig(), folder)
    return {"mAP": float(np.mean(found["model"])), "AP": found["model"], "truth": found["truth"],
            "copy": found["copy"]}  # fmt: skip


def mean_of(key: str) -> Callable[[list[Figures]], str]:
    """The mean over steps and seeds."""
    return lambda runs: format(float(np.mean([run[key] for run in runs])), ".3f")


SYSTEMS: dict[str, System] = {
    "world": System(
        WORLD, run_world, 12.0, "success on layouts never seen", pooled_success,
        WORLD_COLUMNS | {"wall / door error, px": shown("layout_error", ".2f")},
    ),
    "image": System(
        IMAGE, run_image, 10.0, "linear probe on Fashion-MNIST", over_seeds("linear"),
        {
            "20 neighbours": shown("neighbours", ".1f", 100.0),
            "RankMe": shown("rank_me", ".0f"),
            "spread": shown("spread", ".2f"),
        },
    ),
    "video": System(
        VIDEO, run_video, 20.0, "mAP of digits in imagined frames", over_seeds("mAP"),
        {
            "AP at steps 1 to 8": shown("AP", ".2f"),
            "true latents": mean_of("truth"),
            "last latent": mean_of("copy"),
        },
    ),
}  # fmt: skip
