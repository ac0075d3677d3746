"""Video JEPA: prediction of latents, exact resume, detection in what is imagined."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_agent import load_backbone
from jepa_agent.io.checkpoint import CheckpointError
from jepa_agent.models.backbones import BackboneConfig, ResNetConfig
from jepa_agent.pretraining.detection import (
    DetectionConfig,
    average_precision,
    cells,
    picture,
    train_readers,
)
from jepa_agent.pretraining.video import (
    VideoConfig,
    VideoModel,
    VideoPretrainer,
    VideoWeights,
    load_video_model,
    pretrain,
)
from jepa_agent.pretraining.videos import DIGIT, MovingDigits
from jepa_agent.training.loop import Trainer
from jepa_agent.training.task import Progress

CPU = torch.device("cpu")
VIDEOS = MovingDigits(np.full((4, DIGIT, DIGIT), 200, np.uint8), "blocks")
TINY = VideoConfig(
    network=BackboneConfig((64, 64, 1), ResNetConfig(4, (4, 8), (1, 1), 4)),
    batch=16,
    width=4,
    prediction_steps=2,
    steps=6,
)


def test_shapes_of_what_is_encoded_and_imagined() -> None:
    model = VideoModel(TINY).eval()
    maps, imagined = model(VIDEOS.clips(3, 5, 0).frames)
    assert model.backbone.feature_shape == (4, 8, 8)
    assert maps.shape == (3, 5, 4, 8, 8)
    assert imagined.shape == (3, 3, 4, 8, 8)


def test_imagination_feeds_on_itself_and_sees_the_first_two_frames_alone() -> None:
    model = VideoModel(TINY).eval()
    frames = VIDEOS.clips(2, 6, 0).frames
    maps, imagined = model(frames)
    first = model.predictor(maps[:, :2])
    second = model.predictor(torch.stack([maps[:, 1], first], dim=1))
    torch.testing.assert_close(imagined[:, 0], first)
    torch.testing.assert_close(imagined[:, 1], second)
    changed = frames.clone()
    changed[:, 2:] = 0
    torch.testing.assert_close(model(changed)[1], imagined)


def test_maps_of_odd_sizes_are_predicted_too() -> None:
    network = BackboneConfig((65, 65, 2), ResNetConfig(2, (4, 8), (1, 1), 4))
    maps, imagined = VideoModel(replace(TINY, network=network)).eval()(
        torch.zeros(1, 3, 65, 65, 2, dtype=torch.uint8)
    )
    assert imagined.shape == (1, 1, *maps.shape[2:])


def test_pretraining_lowers_its_loss_and_is_loaded_again(tmp_path: Path) -> None:
    log: list[Progress] = []
    config = replace(TINY, steps=120, learning_rate=3e-3)
    model = pretrain(
        VIDEOS, config, "cpu", folder=tmp_path / "run", callbacks=[lambda line, _: log.append(line)]
    )

    def loss(progress: Progress) -> float:
        return sum(getattr(config.weights, name) * v for name, v in progress.losses.items())

    assert loss(log[-1]) < 0.8 * loss(log[0])
    assert log[-1].step == 120
    frames = VIDEOS.clips(2, 4, 9).frames
    backbone = load_backbone(tmp_path / "run")
    assert torch.equal(backbone(frames[:, 0]), model.backbone(frames[:, 0]))
    again = load_video_model(tmp_path / "run")
    assert torch.equal(again(frames)[1], model(frames)[1])


def test_interrupted_pretraining_ends_with_the_same_bits() -> None:
    straight, broken, resumed = (Trainer(VideoPretrainer(VIDEOS, TINY, CPU)) for _ in range(3))
    straight.fit()
    for _ in range(3):
        broken.update()
    resumed.load_state(*broken.state())
    resumed.fit()
    for name, tensor in straight.task.model.state_dict().items():
        assert torch.equal(tensor, resumed.task.model.state_dict()[name]), name


@pytest.mark.parametrize(
    "change",
    [
        {"weights": VideoWeights(prediction=0.0)},
        {"weights": VideoWeights(variance=0.0)},
        {"weights": VideoWeights(covariance=0.0)},
        {"weights": VideoWeights(sigreg=1.0)},
        {"prediction_steps": 1},
        {"within_place": False},
        {"width": 8},
        {"seed": 1},
    ],
    ids=str,
)
def test_every_setting_changes_the_training(change: dict) -> None:
    def trained(config: VideoConfig) -> torch.Tensor:
        task = VideoPretrainer(VIDEOS, replace(config, steps=2), CPU)
        Trainer(task).fit()
        return task.model.backbone.eval()(VIDEOS.clips(2, 2, 0).frames[:, 0])

    assert not torch.equal(trained(TINY), trained(replace(TINY, **change)))


@pytest.mark.parametrize(("within_place", "lacking"), [(False, 0.0), (True, 1.0)])
def test_where_a_place_lies_is_no_variance_within_places(
    within_place: bool, lacking: float
) -> None:
    task = VideoPretrainer(VIDEOS, replace(TINY, within_place=within_place), CPU)
    code = 3.0 * torch.randn(4, 8, 8)  # of places alone, the same in every frame
    task._imagine = lambda clips: (code.expand(16, 4, 4, 8, 8), code.expand(16, 2, 4, 8, 8))
    terms = task.compute_losses(0).terms
    assert float(terms["prediction"]) == 0.0
    assert float(terms["variance"]) == pytest.approx(lacking, abs=0.02)


def test_other_videos_are_refused() -> None:
    config = replace(TINY, network=BackboneConfig((65, 65, 1)))
    with pytest.raises(ValueError, match=r"must be that of blocks, \(64, 64, 1\)"):
        VideoPretrainer(VIDEOS, config, CPU)


def test_a_backbone_alone_is_no_video_model(tmp_path: Path) -> None:
    VideoModel(TINY).backbone.save(tmp_path / "model")
    with pytest.raises(CheckpointError, match="must hold a video model"):
        load_video_model(tmp_path)


def test_cells_hold_the_centres() -> None:
    centres = torch.tensor([[[14.0, 50.0], [15.9, 50.0]], [[0.0, 63.9], [64.0, 8.0]]])
    grid = cells(centres, 64)
    assert grid.shape == (2, 8, 8)
    assert grid[0].nonzero().tolist() == [[1, 6]]
    assert grid[1].nonzero().tolist() == [[0, 7], [7, 1]]


class Clairvoyant(VideoModel):
    """Encodes the cells of the objects themselves, and imagines that nothing moves."""

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        height = frames[..., 0].float().mean(dim=-1).unflatten(-1, (8, 8)).mean(-1)
        width = frames[..., 0].float().mean(dim=-2).unflatten(-1, (8, 8)).mean(-1)
        both = [height[..., :, None].expand(-1, -1, 8, 8), width[..., None, :].expand(-1, -1, 8, 8)]
        return torch.stack([*both, *both], dim=2)

    def imagine(self, past: torch.Tensor, steps: int) -> torch.Tensor:
        return past[:, -1:].expand(-1, steps, -1, -1, -1)


def test_detection_knows_the_present_and_falls_with_a_bad_future() -> None:
    model = Clairvoyant(TINY).eval()
    videos = MovingDigits(np.full((4, DIGIT, DIGIT), 200, np.uint8), "block", objects=1)
    config = DetectionConfig(steps=40, batch=8, frames=6, clips=32, learning_rate=4e-2)
    head, decoder = train_readers(model, videos, config)
    found = average_precision(model, head, videos, config)
    assert set(found) == {"model", "copy", "truth"}
    assert all(len(row) == 4 for row in found.values())
    assert found["model"] == found["copy"]
    assert min(found["truth"]) > 0.6
    assert found["copy"][0] > found["copy"][3] + 0.1
    assert found["copy"][3] < 0.5 * found["truth"][3]
    shown = picture(model, head, decoder, videos.clips(1, 6, 0).frames[0], scale=2)
    assert shown.shape == (6, 128, 384, 3)
    assert shown.dtype == np.uint8
