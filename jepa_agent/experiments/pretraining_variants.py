"""Variants of the pretraining on images and on videos, and how they are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..device import resolve_device
from ..pretraining import image, video
from ..pretraining.datasets import READERS
from ..pretraining.detection import DetectionConfig, detect
from ..pretraining.probes import collapse_of, probe
from ..pretraining.videos import moving_digits
from .ablations import over_seeds, shown
from .systems import Budget, Figures, System, Variant, folder_name, with_values

EPOCHS_PER_MINUTE = 0.5
"""`pretrain image small` on Fashion-MNIST and two cores."""
VIDEO_FRAMES_PER_MINUTE = 15_000
"""`pretrain video digits` on two cores; variants of more steps see fewer clips."""


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
"""EB-JEPA's tables for `pretrain image small`: projector, regularizer, coefficients."""


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


IMAGE_SYSTEM = System(
    IMAGE, run_image, 10.0, "linear probe on Fashion-MNIST", over_seeds("linear"),
    {
        "20 neighbours": shown("neighbours", ".1f", 100.0),
        "RankMe": shown("rank_me", ".0f"),
        "spread": shown("spread", ".2f"),
    },
)  # fmt: skip
VIDEO_SYSTEM = System(
    VIDEO, run_video, 20.0, "mAP of digits in imagined frames", over_seeds("mAP"),
    {
        "AP at steps 1 to 8": shown("AP", ".2f"),
        "true latents": mean_of("truth"),
        "last latent": mean_of("copy"),
    },
)  # fmt: skip
