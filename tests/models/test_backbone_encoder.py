"""World models on pretrained backbones: what is kept, what learns, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from jepa_agent import JEPAAgent, Preset, Trajectories, WorldModel, load_backbone, train
from jepa_agent.io.locking import RunError
from jepa_agent.models.backbones import Backbone, BackboneConfig, ResNetConfig, ViTConfig
from jepa_agent.models.encoders import BackboneEncoder, BackboneEncoderConfig

SHAPE = (65, 65, 3)
SMALL = ResNetConfig(4, (8, 16), (1, 1))


def backbone_for(shape: tuple[int, int, int], seed: int = 0) -> Backbone:
    """A backbone whose batch norms have seen something."""
    torch.manual_seed(seed)
    backbone = Backbone(BackboneConfig(shape, SMALL))
    images = torch.randint(0, 256, (8, *shape), dtype=torch.uint8)
    backbone.standardise(images)
    backbone.train()(images)
    return backbone.eval()


def preset_on(preset: Preset, config: BackboneEncoderConfig) -> Preset:
    return replace(preset, model=replace(preset.model, encoder=config))


def trained(
    trajectories: Trajectories, preset: Preset, backbone: Backbone, **changes: Any
) -> JEPAAgent:
    config = BackboneEncoderConfig(backbone.config, queries=3, values=3, hidden=8, **changes)
    return train(trajectories, preset_on(preset, config), backbone=backbone)


def test_a_frozen_backbone_keeps_every_bit_and_the_rest_learns(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    backbone = backbone_for(SHAPE)
    before = {name: t.clone() for name, t in backbone.state_dict().items()}
    agent = trained(tiny_trajectories, tiny_preset, backbone, freeze=True)
    after = agent.model.encoder.backbone.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    torch.manual_seed(0)
    fresh = WorldModel(agent.model.config).encoder
    assert not torch.equal(fresh.ask.weight, agent.model.encoder.ask.weight)


def test_a_fine_tuned_backbone_learns_and_keeps_its_statistics(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    backbone = backbone_for(SHAPE)
    agent = trained(tiny_trajectories, tiny_preset, backbone)
    after = agent.model.encoder.backbone.state_dict()
    moved = {n for n, t in backbone.state_dict().items() if not torch.equal(t, after[n])}
    assert any(name.endswith("weight") for name in moved)
    assert not any("running" in name or name in ("mean", "std") for name in moved)


def test_an_agent_on_a_backbone_is_loaded_without_it(
    tiny_trajectories: Trajectories, tiny_preset: Preset, tmp_path: Path
) -> None:
    backbone_for(SHAPE).save(tmp_path / "backbone")
    backbone = load_backbone(tmp_path / "backbone")
    agent = trained(tiny_trajectories, tiny_preset, backbone, freeze=True)
    agent.save(tmp_path / "agent")
    images = torch.randint(0, 256, (2, *SHAPE), dtype=torch.uint8)
    loaded = JEPAAgent.load(tmp_path / "agent")
    assert torch.equal(loaded.model.encode(images), agent.model.encode(images))


def test_other_images_are_adapted_where_the_config_says_so() -> None:
    images = torch.randint(0, 256, (2, *SHAPE), dtype=torch.uint8)
    nothing = torch.zeros(3), torch.ones(3)
    for size, channels, shape in (
        ("resize", "mean", (28, 28, 1)),
        ("any", "mean", (28, 28, 1)),
        ("same", "mean", (65, 65, 2)),
        ("resize", "same", (28, 28, 3)),
    ):
        config = BackboneEncoderConfig(BackboneConfig(shape, SMALL), False, size, channels)
        encoder = BackboneEncoder(config, SHAPE, 16)
        assert encoder(images, *nothing).shape == (2, 16)
    resized = BackboneEncoderConfig(BackboneConfig((28, 28, 3), SMALL), size="resize")
    whole = BackboneEncoderConfig(BackboneConfig((28, 28, 3), SMALL), size="any")
    assert len(BackboneEncoder(resized, SHAPE, 16).places) == 16
    assert len(BackboneEncoder(whole, SHAPE, 16).places) == 81


def test_images_that_fit_are_seen_as_the_backbone_sees_them() -> None:
    backbone = backbone_for(SHAPE)
    encoder = BackboneEncoder(BackboneEncoderConfig(backbone.config), SHAPE, 16)
    encoder.backbone.load_state_dict(backbone.state_dict())
    images = torch.randint(0, 256, (2, *SHAPE), dtype=torch.uint8)
    torch.testing.assert_close(encoder._maps(images), backbone(images))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BackboneEncoderConfig(BackboneConfig((28, 28, 3), SMALL)), "takes images of 28 x 28"),
        (BackboneEncoderConfig(BackboneConfig((65, 65, 1), SMALL)), "takes 1 channels"),
        (
            BackboneEncoderConfig(BackboneConfig((28, 28, 3), ViTConfig(4, 12, 1, 3)), size="any"),
            "size 'any' is for convolutional backbones",
        ),
    ],
    ids=["size", "channels", "vit"],
)
def test_images_that_do_not_fit_are_refused(config: BackboneEncoderConfig, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BackboneEncoder(config, SHAPE, 16)


def test_a_backbone_that_the_encoder_is_not_made_for_is_refused(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    with pytest.raises(ValueError, match="encoder must be made for the backbone"):
        train(tiny_trajectories, tiny_preset, backbone=backbone_for(SHAPE))


def test_a_run_goes_on_with_its_own_backbone_alone(
    tiny_trajectories: Trajectories, tiny_preset: Preset, tmp_path: Path
) -> None:
    first, other = backbone_for(SHAPE), backbone_for(SHAPE, seed=1)
    config = BackboneEncoderConfig(first.config, queries=3, values=3, hidden=8, freeze=True)
    preset = preset_on(tiny_preset, config)
    agent = train(tiny_trajectories, preset, folder=tmp_path, backbone=first)
    again = train(tiny_trajectories, preset, folder=tmp_path, backbone=first)
    for name, tensor in agent.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
    with pytest.raises(RunError, match="backbone"):
        train(tiny_trajectories, preset, folder=tmp_path, backbone=other)
