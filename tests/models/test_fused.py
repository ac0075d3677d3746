"""Observations of several parts, from a world to an agent."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict

from jepa_agent import JEPAAgent, Preset, TrainingConfig, Trajectories, WorldModelConfig, train
from jepa_agent.data.recording import record
from jepa_agent.data.trajectory_file import TrajectoryFileError
from jepa_agent.models.encoders import (
    EncodedPart,
    Fused,
    FusedConfig,
    PatchCNNConfig,
    VectorMLPConfig,
)
from jepa_agent.models.encoders.fused import fused
from jepa_agent.planners import CEMConfig
from jepa_agent.training.config import RefinementConfig
from jepa_agent.worlds.parts import Parts

SIZE = 16


class Reach(gym.Env):
    """A camera sees a dot, a vector tells its place."""

    observation_space = Dict(camera=Box(0, 255, (SIZE, SIZE, 3), np.uint8), place=Box(0, 9, (2,)))
    action_space = Box(-1, 1, (2,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict]:
        super().reset(seed=seed)
        self.place = self.np_random.uniform(0, 9, 2)
        return self.see(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict]:
        self.place = np.clip(self.place + action, 0, 9)
        return self.see(), 0.0, False, False, {}

    def see(self) -> dict[str, np.ndarray]:
        camera = np.zeros((SIZE, SIZE, 3), np.uint8)
        camera[int(self.place[0]), int(self.place[1])] = 255
        return {"camera": camera, "place": np.float32(self.place)}


gym.register("ReachParts-v0", Reach, max_episode_steps=12)
SMALL = PatchCNNConfig(patch=4, channels=(4, 4), hidden=16)
STAGE = RefinementConfig(steps=1, layouts_per_batch=1, windows_per_layout=4, horizon=2)
PRESET = Preset(
    WorldModelConfig(chunk=2, latent_dim=8, encoder=SMALL),
    TrainingConfig(
        steps=2, layouts_per_batch=1, windows_per_layout=16, horizon=2, refinement=STAGE
    ),
    CEMConfig(horizon=2, num_samples=8, iterations=2, num_elites=2),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Trajectories:
    path = tmp_path_factory.mktemp("parts") / "d.h5"
    record(gym.make("ReachParts-v0"), path, episodes=16)
    return Trajectories.load(path)


def test_they_are_recorded_and_come_back(data: Trajectories) -> None:
    parts = Parts(data.metadata["parts"])
    assert data.states.shape[1] == 2
    assert parts.shapes == {"camera": (SIZE, SIZE, 3), "place": (2,)}
    assert data.observations is not None
    found = parts.unpack(data.observations[:])
    for camera, place in zip(found["camera"], found["place"], strict=True):
        assert camera[tuple(place.astype(int))].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(data.states, found["place"])


def test_an_agent_of_them_trains_is_kept_and_plans(data: Trajectories, tmp_path: Path) -> None:
    agent = train(data, PRESET, folder=tmp_path / "run")
    encoder = agent.model.config.encoder
    assert isinstance(encoder, FusedConfig)
    assert [(part.name, part.encoder) for part in encoder.parts] == [
        ("camera", SMALL), ("place", VectorMLPConfig()),
    ]  # fmt: skip
    assert data.observations is not None
    places = Parts(data.metadata["parts"]).unpack(data.observations[:])["place"]
    assert agent.model.observation_mean.shape == (3 + 2,)
    assert np.abs(agent.model.observation_mean[3:].numpy() - places.mean(axis=0)).max() < 1
    again = JEPAAgent.load(tmp_path / "run", "cpu")
    env, raw = again.env_ref.make(), gym.make("ReachParts-v0")
    (row, _), (whole, _) = env.reset(seed=3), raw.reset(seed=3)
    goal, _ = raw.reset(seed=4)
    actions = []
    for observation in (row, whole, {name: part[None] for name, part in whole.items()}):
        again.set_goal(goal)
        actions.append(again.predict(observation)[0].reshape(2))
    np.testing.assert_array_equal(actions[0], actions[1])
    np.testing.assert_allclose(actions[1], actions[2], atol=1e-5)
    with pytest.raises(ValueError, match="the part place must be vectors"):
        again.predict({**whole, "place": np.zeros(3)})
    with pytest.raises(ValueError, match="observation must be rows of bytes"):
        again.predict(np.zeros(4))


def test_every_part_reaches_the_latent() -> None:
    parts = Parts({"camera": (SIZE, SIZE, 3), "place": (2,)})
    model = fused(parts, SMALL).build((parts.size,), 8)
    rng = np.random.default_rng(0)
    seen = {"camera": rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8),
            "place": rng.normal(size=(2, 2))}  # fmt: skip
    mean, std = torch.zeros(5), torch.tensor([60.0, 60, 60, 1, 1])

    def latents(**changed: Any) -> torch.Tensor:
        return model(torch.as_tensor(parts.pack({**seen, **changed})), mean, std)

    before = latents()
    assert before.shape == (2, 8)
    for name, part in seen.items():
        other = latents(**{name: part[::-1].copy()})
        assert not torch.allclose(other, before)
    order = latents(**{name: part[::-1].copy() for name, part in seen.items()})
    torch.testing.assert_close(order, before.flip(0))


@pytest.mark.parametrize("count", [1, 2])
def test_rows_are_taken_apart_like_by_numpy(count: int) -> None:
    parts = Parts({"camera": (3, 3, 3), "a": (2,), "z": (1,)})
    seen = {
        "camera": np.arange(54).reshape(2, 3, 3, 3) / 54,
        "a": np.ones((2, 2)),
        "z": np.ones((2, 1)),
    }
    rows = parts.pack({name: part[:count] for name, part in seen.items()})
    model = fused(parts, PatchCNNConfig(patch=1)).build((parts.size,), 4)
    assert isinstance(model, Fused)
    for part, expected in zip(
        model.unpack(torch.as_tensor(rows)), parts.unpack(rows).values(), strict=True
    ):
        np.testing.assert_array_equal(part.numpy(), expected)


def test_arrays_by_name_train_like_a_recording(data: Trajectories) -> None:
    assert data.observations is not None
    found = Parts(data.metadata["parts"]).unpack(data.observations[:])
    lengths = np.diff(data.offsets)
    made = Trajectories.from_arrays(found, data.actions, lengths=lengths)
    np.testing.assert_array_equal(made.observations, data.observations)
    assert made.metadata["parts"] == data.metadata["parts"] or (
        Parts(made.metadata["parts"]) == Parts(data.metadata["parts"])
    )
    agent = train(made, dataclasses.replace(PRESET, training=dataclasses.replace(
        PRESET.training, refinement=dataclasses.replace(STAGE, steps=0))))  # fmt: skip
    assert isinstance(agent.model.encoder, Fused)
    with pytest.raises(TrajectoryFileError, match="parts of observations must have one length"):
        Trajectories.from_arrays({**found, "place": found["place"][1:]}, data.actions)


def test_large_images_are_scaled_down() -> None:
    parts = Parts({"camera": (96, 48, 3), "arm": (2,)})
    rows = torch.as_tensor(parts.pack({"camera": np.full((96, 48, 3), 7, np.uint8), "arm": [0, 1]}))
    sizes = []
    for longest in (0, 32, 96):
        model = fused(parts, PatchCNNConfig(patch=4), longest).build((parts.size,), 8)
        assert model(rows[None], torch.zeros(5), torch.ones(5)).shape == (1, 8)
        sizes.append(model.shapes[1])
    assert sizes == [(96, 48, 3), (32, 16, 3), (96, 48, 3)]


def test_tiny_images_are_taken_pixel_by_pixel() -> None:
    parts = Parts({"grid": (7, 7, 3), "camera": (16, 16, 3), "arm": (2,)})
    config = fused(parts, SMALL)
    assert {part.name: part.encoder for part in config.parts} == {
        "arm": VectorMLPConfig(), "camera": SMALL, "grid": PatchCNNConfig(patch=1),
    }  # fmt: skip
    assert config.build((parts.size,), 8).channels == [2, 3, 3]


def test_errors_name_rule_and_fix() -> None:
    with pytest.raises(ValueError, match="the encoder of arm must be one of shapes like"):
        EncodedPart("arm", (3,), SMALL)
    with pytest.raises(ValueError, match="take rows of 12 bytes, got observations"):
        FusedConfig((EncodedPart("arm", (3,), VectorMLPConfig()),)).build((9,), 4)
