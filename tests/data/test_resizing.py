"""Images of any size become small ones, the same whenever they are scaled."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from jepa_agent import JEPAAgent, Preset, Trajectories, WorldModel, WorldModelConfig
from jepa_agent.data.resizing import scaled, scaled_shape
from jepa_agent.data.windows import ObservationSource
from jepa_agent.io.migrate import completed
from jepa_agent.io.serialisation import to_dict
from jepa_agent.training.loop import Trainer
from jepa_agent.training.world_model import WorldModelTask


def noise(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((65, 65, 3), (65, 65, 3)),
        ((72, 72, 1), (72, 72, 1)),
        ((96, 96, 3), (72, 72, 3)),
        ((480, 640, 6), (54, 72, 6)),
        ((1000, 2, 1), (72, 1, 1)),
        ((300,), (300,)),
    ],
)
def test_the_longer_side_is_limited(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    assert scaled_shape(shape, 72) == wanted
    assert scaled_shape(shape, 0) == shape


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_a_smaller_image_is_a_weighted_mean_of_the_pixels(channels: int) -> None:
    """A triangle twice as wide as a small pixel: antialiased bilinear interpolation."""
    images = noise(2, 12, 24, channels)
    found = scaled(images, (4, 8, channels))
    assert found.dtype == torch.uint8
    assert found.shape == (2, 4, 8, channels)
    weights = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2, 3, 2, 1])) / 81
    for row, column in ((1, 1), (2, 6)):  # away from the edges
        seen = images[:, 3 * row - 1 : 3 * row + 4, 3 * column - 1 : 3 * column + 4].float()
        expected = (seen * weights[..., None]).sum(dim=(1, 2))
        assert (found[:, row, column].float() - expected).abs().max() <= 1.0


def test_floats_give_the_same_as_bytes() -> None:
    """As on devices that scale no bytes."""
    images = noise(3, 96, 96, 3)
    floats = torch.nn.functional.interpolate(
        images.permute(0, 3, 1, 2).float(), size=(72, 72), mode="bilinear", antialias=True
    )
    found = scaled(images, (72, 72, 3)).permute(0, 3, 1, 2).float()
    assert (found - floats).abs().max() <= 1.0


def model(**changes: object) -> WorldModel:
    torch.manual_seed(0)
    return WorldModel(WorldModelConfig(latent_dim=8, **changes))


def test_a_model_sees_the_scaled_image_and_takes_it_too() -> None:
    images = noise(2, 3, 96, 120, 3)
    small = scaled(images.flatten(0, 1), (58, 72, 3)).unflatten(0, (2, 3))
    large = model(observation_shape=(96, 120, 3))
    latents = large.encode(images)
    assert torch.equal(latents, large.encode(small))
    assert torch.equal(latents, model(observation_shape=(58, 72, 3)).encode(small))
    torch.testing.assert_close(latents[1, 2], large.encode(images[1, 2]))
    whole = model(observation_shape=(96, 120, 3), max_image_size=0)
    assert whole.config.encoded_shape == (96, 120, 3)
    assert not torch.equal(whole.encode(images), latents)


def test_stored_images_are_scaled_once() -> None:
    stored = noise(300, 96, 96, 3).numpy()
    data = Trajectories(
        np.zeros((300, 0)), np.zeros((299, 1)), np.zeros((1, 0)), np.array([0, 300]), {}, stored
    )
    rows = torch.tensor([[5, 299], [0, 260]])
    seen = ObservationSource(data, None, torch.device("cpu"), (72, 72, 3)).at(rows)
    expected = scaled(torch.as_tensor(stored)[rows].flatten(0, 1), (72, 72, 3))
    assert torch.equal(seen.flatten(0, 1), expected)


def images_of(size: int, tiny_preset: Preset) -> WorldModelTask:
    images = noise(10 * 16, size, size, 3).numpy()
    data = Trajectories(
        np.zeros((160, 0)), np.zeros((150, 2)), np.zeros((10, 0)), 16 * np.arange(11),
        {"action_low": [-1.0, -1.0], "action_high": [1.0, 1.0]}, images,
    )  # fmt: skip
    training = dataclasses.replace(tiny_preset.training, steps=100)
    preset = dataclasses.replace(tiny_preset, training=training)
    return WorldModelTask(data, preset, torch.device("cpu"))


def test_large_images_cost_a_training_step_little_more(tiny_preset: Preset) -> None:
    def seconds(size: int) -> float:
        trainer = Trainer(images_of(size, tiny_preset))
        times = []
        for _ in range(12):
            began = time.perf_counter()
            trainer.update()
            times.append(time.perf_counter() - began)
        return min(times)

    assert seconds(224) < 2.0 * seconds(65)


def test_checkpoints_of_large_images_from_before_see_them_as_they_are() -> None:
    whole = model(observation_shape=(96, 96, 3), max_image_size=0)
    config = {"model": to_dict(whole.config)}
    del config["model"]["max_image_size"]
    assert completed({}, config)[1]["model"] == to_dict(whole.config)
    config["model"] = to_dict(model().config)
    assert config["model"].pop("max_image_size") == 72
    assert completed({}, config)[1]["model"] == to_dict(model().config)


def test_an_agent_takes_the_images_of_its_environment(tiny_preset: Preset, tmp_path: Path) -> None:
    preset = dataclasses.replace(
        tiny_preset, model=dataclasses.replace(tiny_preset.model, state_dim=0)
    )
    task = images_of(96, preset)
    task.trained.save(tmp_path)
    agent = JEPAAgent.load(tmp_path)
    assert agent.model.config.observation_shape == (96, 96, 3)
    frames = noise(2, 96, 96, 3).numpy()
    agent.set_goal(frames[0])
    actions, _ = agent.predict(frames)
    assert actions.shape == (2, 2)
