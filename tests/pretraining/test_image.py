"""Image JEPA: views, backbones, pretraining that goes on exactly, probes and collapse."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, load_backbone
from jepa_agent.evaluation.collapse import collapse_stats
from jepa_agent.io.checkpoint import CheckpointError, load
from jepa_agent.io.locking import RunError
from jepa_agent.models.backbones import RESNET18, Backbone, BackboneConfig, ResNetConfig, ViTConfig
from jepa_agent.pretraining.augment import Augment, AugmentConfig
from jepa_agent.pretraining.datasets import ImageData, Split
from jepa_agent.pretraining.image import ImageConfig, ImagePretrainer, ImageWeights, pretrain
from jepa_agent.pretraining.probes import features_of, linear_probe, nearest_neighbours
from jepa_agent.training.loop import Trainer
from jepa_agent.training.task import Progress, StepOutput

CPU = torch.device("cpu")


def bars(count: int, seed: int) -> Split:
    """Four classes: where a bright bar lies, in noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    images = rng.integers(0, 60, (count, 12, 12, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[3 * label : 3 * label + 3] = 220
    return Split(images, labels)


DATA = ImageData("bars", bars(64, 0), bars(40, 1))
TINY = ImageConfig(
    network=BackboneConfig((12, 12, 1), ResNetConfig(1, (4, 8), (1, 1))),
    projector=(16, 8),
    augment=AugmentConfig(crop=(0.9, 1.0), solarize=0.0),
    epochs=3,
    batch=16,
)


def test_views_keep_shape_and_range_and_depend_on_the_seed_alone() -> None:
    images = torch.as_tensor(DATA.train.images)
    augment = Augment(AugmentConfig(), (12, 12, 1))
    before = torch.random.get_rng_state()
    first, again, other = augment(images, 1), augment(images, 1), augment(images, 2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.shape == (64, 1, 12, 12)
    assert 0 <= first.min() <= first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "change",
    [
        {"crop": (0.3, 0.4)},
        {"jitter": 1.0, "brightness": 0.9, "contrast": 0.0},
        {"jitter": 1.0, "brightness": 0.0, "contrast": 0.9},
        {"jitter": 1.0, "saturation": 1.0},
        {"jitter": 1.0, "hue": 0.5},
        {"grayscale": 1.0},
        {"solarize": 1.0},
        {"flip": 1.0},
    ],
    ids=lambda change: "-".join(change),
)
def test_every_setting_changes_the_views(change: dict) -> None:
    still = AugmentConfig((1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    images = torch.as_tensor(np.random.default_rng(0).integers(0, 256, (8, 12, 12, 3), np.uint8))
    plain = Augment(still, (12, 12, 3))(images, 0)
    torch.testing.assert_close(plain, images.permute(0, 3, 1, 2) / 255.0, atol=1e-5, rtol=0)
    changed = Augment(replace(still, **change), (12, 12, 3))(images, 0)
    assert (changed - plain).abs().mean() > 0.01


@pytest.mark.parametrize(
    ("network", "shape", "features"),
    [
        (ResNetConfig(), (28, 28, 1), (256, 4, 4)),
        (RESNET18, (32, 32, 3), (512, 4, 4)),
        (ViTConfig(patch=4, dim=24, depth=2, heads=3), (16, 16, 3), (24, 4, 4)),
    ],
    ids=["small", "resnet18", "vit"],
)
def test_a_backbone_says_what_it_gives(
    network: ResNetConfig | ViTConfig, shape: tuple[int, int, int], features: tuple[int, int, int]
) -> None:
    backbone = Backbone(BackboneConfig(shape, network)).eval()
    assert backbone.feature_shape == features
    maps = backbone(torch.zeros(3, *shape, dtype=torch.uint8))
    assert maps.shape == (3, *features)
    torch.testing.assert_close(
        backbone.pooled(torch.zeros(3, *shape, dtype=torch.uint8)), maps.mean(dim=(2, 3))
    )


def test_resnet18_has_its_known_size() -> None:
    weights = sum(p.numel() for p in Backbone(BackboneConfig((32, 32, 3), RESNET18)).parameters())
    assert weights == 11_168_832  # the CIFAR variant's 11,173,962 less its linear classifier


def test_a_backbone_refuses_other_images() -> None:
    backbone = Backbone(TINY.network)
    with pytest.raises(ValueError, match=r"takes uint8 images \(12, 12, 1\), got .*\(13, 12, 1\)"):
        backbone(torch.zeros(1, 13, 12, 1, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"takes uint8 images .*float32"):
        backbone(torch.zeros(1, 12, 12, 1))


def test_pretraining_lowers_its_loss_and_its_backbone_is_loaded_again(tmp_path: Path) -> None:
    log: list[Progress] = []
    config = replace(TINY, epochs=40, learning_rate=3e-3)
    backbone = pretrain(
        DATA, config, "cpu", folder=tmp_path / "run", callbacks=[lambda line, _: log.append(line)]
    )
    weights = config.weights

    def loss(progress: Progress) -> float:
        return sum(getattr(weights, name) * value for name, value in progress.losses.items())

    assert loss(log[-1]) < 0.95 * loss(log[0])
    assert log[-1].accuracy is not None
    assert log[0].accuracy is not None
    assert log[-1].accuracy > log[0].accuracy + 0.1
    assert log[-1].step == log[-1].steps == 160
    loaded = load_backbone(tmp_path / "run")
    images = torch.as_tensor(DATA.train.images)
    assert torch.equal(loaded(images), backbone(images))


def test_interrupted_pretraining_ends_with_the_same_bits(tmp_path: Path) -> None:
    straight, broken, resumed = (Trainer(ImagePretrainer(DATA, TINY, CPU)) for _ in range(3))
    straight.fit()
    for _ in range(5):
        broken.update()
    resumed.load_state(*broken.state())
    assert resumed.step == 5
    resumed.fit()
    for name, tensor in straight.task.model.state_dict().items():
        assert torch.equal(tensor, resumed.task.model.state_dict()[name]), name


@pytest.mark.parametrize(
    "change",
    [
        {"weights": ImageWeights(invariance=0.0)},
        {"weights": ImageWeights(variance=0.0)},
        {"weights": ImageWeights(covariance=0.0)},
        {"weights": ImageWeights(sigreg=1.0)},
        {"optimizer": "lars"},
        {"learning_rate": 3e-3},
        {"weight_decay": 0.5},
        {"warmup": 1.0},
        {"seed": 1},
        {"epochs": 1},
        {"bfloat16": True},
    ],
    ids=str,
)
def test_every_setting_changes_the_training(change: dict) -> None:
    def trained(config: ImageConfig) -> torch.Tensor:
        task = ImagePretrainer(DATA, config, CPU)
        Trainer(task).fit()
        return task.model.backbone(torch.as_tensor(DATA.train.images[:4]))

    assert not torch.equal(trained(TINY), trained(replace(TINY, **change)))


def test_ctrl_c_keeps_the_step_in_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pretrain(DATA, TINY, folder=tmp_path / "whole")
    update = Trainer.update
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it

    def press(trainer: Trainer) -> StepOutput:
        if trainer.step == 4:
            signal.raise_signal(signal.SIGINT)
        return update(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "update", press)
        with pytest.raises(KeyboardInterrupt):
            pretrain(DATA, TINY, folder=tmp_path / "parts")
    signal.signal(signal.SIGINT, before)
    assert load(tmp_path / "parts" / "state")[1]["progress"]["step"] == 5
    parts = pretrain(DATA, TINY, folder=tmp_path / "parts")
    assert all(torch.equal(a, b) for a, b in zip(*map(values, (whole, parts)), strict=True))
    lines = [
        json.loads((tmp_path / name / "metrics.jsonl").read_text()) for name in ("whole", "parts")
    ]
    assert lines[0]["losses"] == lines[1]["losses"]
    assert lines[0]["accuracy"] == lines[1]["accuracy"]


def values(backbone: Backbone) -> list[torch.Tensor]:
    return list(backbone.state_dict().values())


def test_every_epoch_sees_every_image_once() -> None:
    task = ImagePretrainer(DATA, TINY, CPU)
    seen = [task._rows(step) for step in range(8)]
    first, second = torch.cat(seen[:4]), torch.cat(seen[4:])
    assert first.sort().values.tolist() == list(range(64))
    assert second.sort().values.tolist() == list(range(64))
    assert not torch.equal(first, second)


def test_a_loss_that_is_not_finite_is_named_and_the_good_state_kept(tmp_path: Path) -> None:
    config = replace(TINY, epochs=20, learning_rate=1e30)
    with pytest.raises(FloatingPointError, match=r"every loss term must stay finite, got \w+"):
        pretrain(DATA, config, folder=tmp_path / "run")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(TINY, network=BackboneConfig((28, 28, 1))), "must be that of bars"),
        (replace(TINY, batch=65), "must have a batch of 65 images, got 64"),
    ],
    ids=["shape", "batch"],
)
def test_data_that_do_not_fit_are_refused(config: ImageConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImagePretrainer(DATA, config, CPU)


def test_a_batch_too_small_for_the_statistics_is_refused() -> None:
    with pytest.raises(ValueError, match="batch must be at least 16 for its statistics, got 8"):
        replace(TINY, batch=8)


def test_an_agent_is_no_backbone() -> None:
    with pytest.raises(CheckpointError, match="must hold a backbone"):
        load_backbone("default")


def test_a_backbone_is_no_agent(tmp_path: Path) -> None:
    Backbone(TINY.network).save(tmp_path)
    with pytest.raises(CheckpointError, match=r"config and weights of .* must fit .*'model'"):
        JEPAAgent.load(tmp_path)


def test_collapse_is_said_in_words() -> None:
    generator = torch.Generator().manual_seed(0)
    full = torch.randn(256, 32, generator=generator)
    assert collapse_stats(full).collapsed == ""
    point = torch.ones(256, 32) + 1e-3 * full
    assert "nearly the same features" in collapse_stats(point).collapsed
    line = torch.randn(256, 1, generator=generator) * torch.ones(32) + 1e-4 * full
    assert "of 32 dimensions" in collapse_stats(line).collapsed


def test_probes_read_what_is_there_and_nothing_else() -> None:
    rng = np.random.default_rng(0)

    def split(count: int, informative: bool) -> Split:
        labels = np.arange(count) % 4
        features = rng.normal(size=(count, 8)).astype(np.float32)
        features[:, :4] += 6.0 * informative * np.eye(4, dtype=np.float32)[labels]
        return Split(features, labels)

    for probe in (linear_probe, nearest_neighbours):
        assert probe(split(400, True), split(200, True)) > 0.97
        assert probe(split(400, False), split(200, False)) < 0.4


def test_features_are_those_of_the_frozen_backbone() -> None:
    backbone = Backbone(TINY.network)
    features = features_of(backbone, DATA.train, CPU, batch=10)
    assert backbone.training
    expected = backbone.eval().pooled(torch.as_tensor(DATA.train.images))
    np.testing.assert_allclose(features.images, expected.detach().numpy(), atol=1e-5)
    assert features.labels is DATA.train.labels


def test_resuming_with_other_images_is_refused(tmp_path: Path) -> None:
    pretrain(DATA, TINY, "cpu", folder=tmp_path)
    with pytest.raises(RunError, match="data_checksum"):
        pretrain(ImageData("bars", bars(64, 2), None), TINY, "cpu", folder=tmp_path)
