"""Probes of frozen features: linear and nearest neighbours."""

from __future__ import annotations

import numpy as np
import torch

from ..evaluation.collapse import CollapseStats, collapse_stats
from ..models.backbones import Backbone
from .datasets import ImageData, Split

FOR_STRENGTH = 10_000
"""Number of training samples on which a probe's regularisation is chosen."""


def linear_probe(train: Split, test: Split, seed: int = 0) -> float:
    """Accuracy of logistic regression on frozen features (N, F) as `images` of the splits.

    The strength of its regularisation is chosen on a fifth of 10,000 training samples.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train.images)
    features, labels = scaler.transform(train.images), _labels(train)
    order = np.random.default_rng(seed).permutation(len(features))
    few = order[:FOR_STRENGTH]
    held, rest = np.split(few, [len(few) // 5])

    def fit(rows: np.ndarray, strength: float) -> LogisticRegression:
        model = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
        return model.fit(features[rows], labels[rows])

    strengths = (1e-3, 1e-2, 1e-1)
    scores = [fit(rest, strength).score(features[held], labels[held]) for strength in strengths]
    best = fit(order, strengths[int(np.argmax(scores))])
    return float(best.score(scaler.transform(test.images), _labels(test)))


def nearest_neighbours(train: Split, test: Split, neighbours: int = 20) -> float:
    """Accuracy of the vote of the nearest neighbours by cosine."""
    from sklearn.neighbors import KNeighborsClassifier

    model = KNeighborsClassifier(neighbours, metric="cosine", weights="distance")
    model.fit(train.images, _labels(train))
    return float(model.score(test.images, _labels(test)))


def _labels(split: Split) -> np.ndarray:
    if split.labels is None:
        raise ValueError("a probe needs labels, this split has none; give labelled data")
    return split.labels


@torch.no_grad()
def features_of(
    backbone: Backbone, split: Split, device: torch.device, side: int = 1, batch: int = 1000
) -> Split:
    """The pooled features (N, F * side**2) of a split's images, with its labels."""
    was_training = backbone.training
    backbone.eval()
    parts = [
        backbone.pooled(torch.as_tensor(split.images[begin : begin + batch]).to(device), side)
        for begin in range(0, len(split.images), batch)
    ]
    backbone.train(was_training)
    return Split(torch.cat(parts).float().cpu().numpy(), split.labels)


def pixels_of(split: Split) -> Split:
    """The pixels themselves as features (N, H * W * C)."""
    return Split(split.images.reshape(len(split.images), -1).astype(np.float32), split.labels)


def probe(
    backbone: Backbone, data: ImageData, device: torch.device, grid: int = 1
) -> dict[str, float]:
    """Accuracies of probes on frozen features: means over the image and a grid of its cells."""
    assert data.test is not None
    splits = data.train, data.test
    train, test = (features_of(backbone, split, device) for split in splits)
    found = {
        "linear": linear_probe(train, test),
        "nearest neighbours": nearest_neighbours(train, test),
    }
    if grid > 1:
        train, test = (features_of(backbone, split, device, side=grid) for split in splits)
        found[f"linear, {grid} x {grid} grid"] = linear_probe(train, test)
    return found


def collapse_of(backbone: Backbone, data: ImageData, device: torch.device) -> CollapseStats:
    """Spread and rank of a frozen backbone's features."""
    few = Split(data.train.images[:5000], None)
    return collapse_stats(torch.as_tensor(features_of(backbone, few, device).images))
