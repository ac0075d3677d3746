"""Going on from an agent: its weights and statistics, a schedule and data of one's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from jepa_agent import JEPAAgent, Preset, Trajectories, train
from jepa_agent.io import checkpoint
from jepa_agent.io.locking import RunError
from jepa_agent.models.backbones import Backbone, BackboneConfig
from jepa_agent.planners import ActionBounds
from jepa_agent.training.config import RefinementConfig
from jepa_agent.training.world_model import WorldModelTask


@pytest.fixture(scope="module")
def first(tiny_trajectories: Trajectories, tiny_preset: Preset) -> JEPAAgent:
    return train(tiny_trajectories, tiny_preset, "cpu")


def halves(data: Trajectories) -> tuple[Trajectories, Trajectories]:
    episodes = list(data.episodes())
    parts = (Trajectories.concatenate(each) for each in (episodes[:16], episodes[16:]))
    one, other = (dataclasses.replace(part, metadata=data.metadata) for part in parts)
    return one, other


def test_weights_and_statistics_are_those_of_the_agent(
    first: JEPAAgent, tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    moved = dataclasses.replace(tiny_trajectories, states=tiny_trajectories.states + 9)
    task = WorldModelTask(moved, tiny_preset, torch.device("cpu"), start=first)
    weights = first.model.state_dict()
    for name, tensor in task.model.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    later = train(moved, tiny_preset, "cpu", start=first)
    assert torch.equal(later.model.state_mean, first.model.state_mean)
    assert not torch.equal(later.model.probe[0].weight, first.model.probe[0].weight)
    assert later.notes["start"] == checkpoint.digest(weights)


def test_an_interrupted_continuation_goes_on_with_the_same_bits(
    first: JEPAAgent, tiny_trajectories: Trajectories, tiny_preset: Preset, tmp_path: Path
) -> None:
    """Also when the agent is given by its folder."""
    _, new = halves(tiny_trajectories)
    refinement = RefinementConfig(steps=2, layouts_per_batch=2, windows_per_layout=2, horizon=2)
    training = dataclasses.replace(tiny_preset.training, refinement=refinement)
    preset = dataclasses.replace(tiny_preset, training=training)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    first.save(tmp_path / "first")
    start, folder = tmp_path / "first", tmp_path / "second"
    whole = train(new, preset, "cpu", start=first)
    with pytest.raises(KeyboardInterrupt):
        train(new, preset, "cpu", start=start, folder=folder, callbacks=[stop])
    agent = train(new, preset, "cpu", start=start, folder=folder)
    digests = [checkpoint.digest(each.model.state_dict()) for each in (whole, agent)]
    assert digests[0] == digests[1]


def test_another_shape_is_refused_in_one_line(
    first: JEPAAgent, tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    model = dataclasses.replace(tiny_preset.model, latent_dim=12, chunk=2)
    with pytest.raises(ValueError, match="which has chunk 3, not 2; latent_dim 8, not 12; use"):
        train(tiny_trajectories, dataclasses.replace(tiny_preset, model=model), start=first)
    backbone = Backbone(BackboneConfig())
    with pytest.raises(ValueError, match="a backbone or of an agent, got both"):
        train(tiny_trajectories, tiny_preset, start=first, backbone=backbone)


def test_one_predictor_becomes_several_on_the_same_encoder(
    first: JEPAAgent, tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    model = dataclasses.replace(
        tiny_preset.model, predictor=dataclasses.replace(tiny_preset.model.predictor, heads=2)
    )
    refinement = RefinementConfig(steps=2, layouts_per_batch=2, windows_per_layout=4, horizon=2)
    training = dataclasses.replace(tiny_preset.training, steps=0, refinement=refinement)
    preset = dataclasses.replace(tiny_preset, model=model, training=training)
    with pytest.raises(ValueError, match=r"training\.steps 0 without start"):
        train(tiny_trajectories, preset, "cpu")
    task = WorldModelTask(tiny_trajectories, preset, torch.device("cpu"), start=first)
    latents, chunk = torch.randn(3, 8), torch.randn(3, 6)
    each = task.model.predict_heads(latents.expand(2, 3, 8), chunk)
    torch.testing.assert_close(each, first.model.predict(latents, chunk).expand(2, 3, 8))

    later = train(tiny_trajectories, preset, "cpu", start=first)
    one, other = later.model.predict_heads(latents.expand(2, 3, 8), chunk)
    assert not torch.allclose(one, other)
    weights, kept = later.model.encoder.state_dict(), first.model.encoder.state_dict()
    assert all(torch.equal(weights[name], kept[name]) for name in kept)


def test_a_finished_run_goes_on_elsewhere(
    tiny_trajectories: Trajectories, tiny_preset: Preset, tmp_path: Path
) -> None:
    train(tiny_trajectories, tiny_preset, "cpu", folder=tmp_path / "a")
    longer = dataclasses.replace(
        tiny_preset, training=dataclasses.replace(tiny_preset.training, steps=5)
    )
    with pytest.raises(RunError, match=r"steps \(3 then, 5 now\).* with --start .*a to go on"):
        train(tiny_trajectories, longer, "cpu", folder=tmp_path / "a")
    later = train(tiny_trajectories, longer, "cpu", folder=tmp_path / "b", start=tmp_path / "a")
    assert later.notes["training"]["steps"] == 5


def test_data_without_an_environment_keep_that_of_the_agent(
    first: JEPAAgent, tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    images = first.env_ref.make().unwrapped.render_states(
        tiny_trajectories.states, tiny_trajectories.layout.repeat(13, axis=0)
    )
    alone = dataclasses.replace(tiny_trajectories, observations=images, metadata={})
    later = train(alone, tiny_preset, "cpu", start=first)
    assert later.env_ref == first.env_ref
    assert later.bounds == first.bounds
    stated = {"action_low": [-0.5, -0.5], "action_high": [0.5, 0.5]}
    later = train(dataclasses.replace(alone, metadata=stated), tiny_preset, "cpu", start=first)
    assert later.bounds == ActionBounds((-0.5, -0.5), (0.5, 0.5))
