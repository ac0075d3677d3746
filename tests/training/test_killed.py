"""Trainings that are really killed, at any moment, end with the same bits as those that are not."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import runpy
import sys
import time
from pathlib import Path

import pytest
import torch

from jepa_agent.io import checkpoint

SCRIPTS = Path(__file__).parents[2] / "scripts"
WORLD = """
from jepa_agent import Preset, TrainingConfig, Trajectories, WorldModelConfig, train
from jepa_agent.models.encoders import PatchCNNConfig
from jepa_agent.envs import CollectConfig, collect
from jepa_agent.planners import CEMConfig
from jepa_agent.models.predictors import ResidualMLPConfig
from jepa_agent.training.config import RefinementConfig
from jepa_agent.training import loop
from jepa_agent.models.distances import BlockNormConfig

data = Trajectories.from_rollouts(
    *collect(CollectConfig("mixed", episodes=32, steps=12, episodes_per_layout=4))
)
model = WorldModelConfig(
    chunk=3, latent_dim=8, encoder=PatchCNNConfig(patch=16, channels=(4, 4), hidden=16),
    predictor=ResidualMLPConfig(width=16, depth=1),
    distance_head=BlockNormConfig(width=16, depth=1, dim=4, blocks=2),
)
stage = RefinementConfig(steps=12, layouts_per_batch=2, windows_per_layout=8, horizon=2)
settings = TrainingConfig(steps=12, layouts_per_batch=2, windows_per_layout=8, horizon=2,
                          refinement=stage)
loop.LOG_EVERY = 2
train(data, Preset(model, settings, CEMConfig(horizon=2)), folder=folder)
"""
IMAGE = """
import numpy as np
import torch

from jepa_agent.pretraining.augment import AugmentConfig
from jepa_agent.models.backbones import BackboneConfig, ResNetConfig
from jepa_agent.pretraining.datasets import ImageData, Split
from jepa_agent.pretraining.image import ImageConfig, pretrain
from jepa_agent.training import loop

images = np.random.default_rng(0).integers(0, 255, (64, 12, 12, 1), dtype=np.uint8)
split = Split(images, np.arange(64) % 4)
config = ImageConfig(
    network=BackboneConfig((12, 12, 1), ResNetConfig(1, (4, 8), (1, 1))), projector=(16, 8),
    augment=AugmentConfig(crop=(0.9, 1.0), solarize=0.0), epochs=6, batch=16,
)
loop.LOG_EVERY = 2
pretrain(ImageData("noise", split, split), config, torch.device("cpu"), folder=folder)
"""
BASELINE = """
import dataclasses, json, pathlib, sys
from functools import partial

import gymnasium as gym

sys.path.insert(0, scripts)
from jepa_agent.experiments.baselines import BASELINES, train

from jepa_agent.io import checkpoint

chosen = BASELINES["sac-her-state"]
settings = {**chosen.settings, "learning_starts": 400, "batch_size": 16, "gradient_steps": 1,
            "buffer_size": 4000}
small = dataclasses.replace(chosen, settings=settings)
folder = pathlib.Path(folder)
make = partial(gym.make, "TwoRooms-v0", layout="fixed", obs_type="state")
model, spent = train(small, make, 2400, 0, folder, lambda model: 0.5, "cpu", 12)
lines = [json.dumps({"step": steps}) for steps, _ in spent.curve]
(folder / "metrics.jsonl").write_text("\\n".join(lines))
checkpoint.save(folder, model.policy.state_dict(), {})
"""
DYING = """
import os, signal, zipfile
import torch

torch.set_num_threads(1)
calls = 0

def dying(work):
    def call(*arguments):
        global calls
        calls += 1
        if calls == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*arguments)
    return call

os.fsync, os.replace = dying(os.fsync), dying(os.replace)
zipfile.ZipFile.writestr = dying(zipfile.ZipFile.writestr)
"""


def start(folder: Path, code: str, dies_at: int) -> multiprocessing.Process:
    """A process that runs the code, and dies at a call that writes; 0 for none."""
    layout = multiprocessing.get_context("forkserver")
    layout.set_forkserver_preload(["torch", "jepa_agent"])
    script = folder.parent / "script.py"
    script.write_text(DYING + code)
    known = {"folder": str(folder), "dies_at": dies_at, "scripts": str(SCRIPTS)}
    process = layout.Process(target=runpy.run_path, args=(str(script), known))
    process.start()
    return process


def logged(folder: Path) -> list[int]:
    """Steps in a run's log."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("code", "moments", "writes"),
    [(WORLD, 20, 40), (IMAGE, 6, 40), (BASELINE, 6, 48)],
    ids=["world model", "image backbone", "SAC"],
)
def test_killed_at_random_moments_it_ends_with_the_same_bits(
    tmp_path: Path, code: str, moments: int, writes: int
) -> None:
    whole = tmp_path / "whole"
    for folder in (tmp_path / "warm-up", whole):
        began = time.monotonic()
        process = start(folder, code, 0)
        process.join(600)
        seconds = time.monotonic() - began
        assert process.exitcode == 0
    expected, _ = checkpoint.load(whole)
    steps = logged(whole)
    assert len(steps) >= 12
    draw, killed = random.Random(0), 0
    for moment in range(moments):
        folder = tmp_path / str(moment)
        in_a_write = moment % 2
        process = start(folder, code, draw.randint(1, writes) if in_a_write else 0)
        if not in_a_write:
            process.join(draw.uniform(0.05, 0.7) * seconds)
            process.kill()
        process.join(600)
        killed += process.exitcode == -9
        process = start(folder, code, 0)
        process.join(600)
        assert process.exitcode == 0
        found, _ = checkpoint.load(folder)
        for name, tensor in expected.items():
            assert torch.equal(found[name], tensor), (moment, name)
        assert logged(folder) == steps
        assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]
    assert killed >= moments - 2
