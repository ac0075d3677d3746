"""Shared by all tests: no window, no thread contention, no waiting for ever, and data and agents
of milliseconds."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jepa_agent import JEPAAgent, Preset, Trajectories, WorldModelConfig

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# Tensors here are tiny: a second thread gains nothing, and beside other work it waits for ages.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def deadline(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that hangs fails: after 5 minutes, or an hour if it is marked slow."""
    if not hasattr(signal, "SIGALRM"):  # Windows
        yield
        return
    seconds = 3600 if request.node.get_closest_marker("slow") else 300

    def late(*_: object) -> None:
        pytest.fail(f"{request.node.name} must end within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., None]:
    """Look again and again until a condition holds; fail if it never does."""

    def wait(condition: Callable[[], object], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"must hold within {seconds} s"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def tiny_model_config() -> WorldModelConfig:
    """A world model for Two Rooms with a few thousand parameters."""
    from jepa_agent import WorldModelConfig
    from jepa_agent.models.distances import BlockNormConfig
    from jepa_agent.models.encoders import PatchCNNConfig
    from jepa_agent.models.predictors import ResidualMLPConfig

    return WorldModelConfig(
        chunk=3,
        latent_dim=8,
        encoder=PatchCNNConfig(patch=16, channels=(4, 4), hidden=16),
        predictor=ResidualMLPConfig(width=16, depth=1),
        distance_head=BlockNormConfig(width=16, depth=1, dim=4, blocks=2),
    )


@pytest.fixture(scope="session")
def tiny_preset(tiny_model_config: WorldModelConfig) -> Preset:
    """Three training steps of a few windows."""
    from jepa_agent import Preset, TrainingConfig
    from jepa_agent.planners import CEMConfig

    return Preset(
        model=tiny_model_config,
        training=TrainingConfig(steps=3, layouts_per_batch=2, windows_per_layout=8, horizon=2),
        planner=CEMConfig(horizon=2, num_samples=16, iterations=2, num_elites=4),
    )


@pytest.fixture(scope="session")
def tiny_trajectories() -> Trajectories:
    """32 episodes of 12 steps in 8 layouts."""
    from jepa_agent import Trajectories
    from jepa_agent.envs import CollectConfig, collect

    config = CollectConfig(policy="mixed", episodes=32, steps=12, episodes_per_layout=4)
    return Trajectories.from_rollouts(*collect(config))


@pytest.fixture
def without_probe() -> JEPAAgent:
    """The shipped agent, had it been trained without a probe."""
    import dataclasses

    from jepa_agent import JEPAAgent, WorldModel

    agent = JEPAAgent.load("default")
    weights = agent.model.state_dict()
    agent.model = WorldModel(dataclasses.replace(agent.model.config, state_dim=0))
    kept = {name: weights[name] for name in agent.model.state_dict() if "state_" not in name}
    agent.model.load_state_dict(kept, strict=False)
    agent.model.requires_grad_(False).eval()
    return agent


@pytest.fixture
def tiny_agent(tiny_preset: Preset) -> JEPAAgent:
    """An untrained agent in float64, where the size of a batch changes no plan."""
    import torch

    from jepa_agent import EnvRef, JEPAAgent, WorldModel
    from jepa_agent.planners import CEM, ActionBounds

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = WorldModel(tiny_preset.model)
    model.observation_mean.fill_(20.0)
    model.observation_std.fill_(60.0)
    return JEPAAgent(
        model.double(),
        ActionBounds((-1.0, -1.0), (1.0, 1.0), 1.0),
        EnvRef("TwoRooms-v0", {"layout": "fixed"}),
        CEM(tiny_preset.planner),
    )


@pytest.fixture(scope="session")
def default_agent() -> JEPAAgent:
    """The shipped checkpoint; do not change it."""
    from jepa_agent import JEPAAgent

    return JEPAAgent.load("default")
