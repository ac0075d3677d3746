"""What a training gives, logs and refuses."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from jepa_agent import JEPAAgent, Preset, TrainingConfig, Trajectories, WorldModelConfig, train
from jepa_agent.cli.console import TrainingDisplay
from jepa_agent.data.recording import record
from jepa_agent.evaluation.episodes import play
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import CEMConfig
from jepa_agent.presets import GC_IDM, LEWM, PIXELS, PROPOSALS, QUICK, VECTOR
from jepa_agent.training import loop
from jepa_agent.training.config import LossWeights, RefinementConfig
from jepa_agent.training.task import Progress
from jepa_agent.training.world_model import WorldModelTask

TERMS = {
    "prediction", "variance", "covariance", "temporal_similarity", "inverse_dynamics", "distance",
}  # fmt: skip
Run = Callable[..., dict[str, Tensor]]


def differ(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return any(not torch.equal(first[name], second[name]) for name in first)


def test_a_short_training_gives_a_working_agent(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    log: list[Progress] = []
    agent = train(
        tiny_trajectories, tiny_preset, callbacks=[lambda progress, _: log.append(progress)]
    )
    (last,) = log
    assert (last.step, last.steps) == (3, 3)
    assert set(last.losses) == TERMS | {"probe"}
    assert all(math.isfinite(value) for value in last.losses.values())
    assert last.probe_error > 0.0
    assert last.frames_per_second > 0.0
    assert agent.env_ref.kwargs == tiny_trajectories.metadata["env_kwargs"]
    assert agent.planner.config == tiny_preset.planner
    assert agent.notes["training"]["steps"] == 3
    assert agent.notes["seconds"] > 0
    assert not agent.model.training
    assert not any(parameter.requires_grad for parameter in agent.model.parameters())
    observation, _ = agent.env_ref.make().reset(seed=0)
    action, _ = agent.predict(observation)
    assert np.linalg.norm(action) <= 1.0 + 1e-6


def test_a_model_needs_no_probe(
    tiny_trajectories: Trajectories, tiny_preset: Preset, tmp_path: Path
) -> None:
    log: list[Progress] = []
    preset = dataclasses.replace(
        tiny_preset,
        model=dataclasses.replace(tiny_preset.model, state_dim=0),
        training=dataclasses.replace(
            tiny_preset.training,
            diagnose_episodes=2,
            refinement=RefinementConfig(steps=1, layouts_per_batch=2, windows_per_layout=2),
        ),
    )
    with TrainingDisplay() as display:
        callbacks = [display, lambda progress, _: log.append(progress)]
        train(
            tiny_trajectories, preset, folder=tmp_path, held_out=tiny_trajectories,
            callbacks=callbacks,
        )  # fmt: skip
    assert [set(line.losses) for line in log] == [TERMS, {"prediction"}]
    for line in log:
        assert line.diagnostics is not None
        assert line.probe_error is line.diagnostics.position_error is None
        assert line.diagnostics.open_loop_error == []
        assert line.diagnostics.rank_correlation is not None
    agent = JEPAAgent.load(tmp_path)
    assert agent.model.probe is None
    action, _ = agent.predict(agent.env_ref.make().reset(seed=0)[0])
    assert np.linalg.norm(action) <= 1.0 + 1e-6


def test_the_objective_and_the_probes_error_fall(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    training = dataclasses.replace(tiny_preset.training, steps=100, learning_rate=3e-3)
    log: list[Progress] = []
    train(
        tiny_trajectories,
        dataclasses.replace(tiny_preset, training=training),
        callbacks=[lambda progress, _: log.append(progress)],
    )
    assert [progress.step for progress in log] == [50, 100]
    first, second = (
        sum(getattr(training.weights, term) * progress.losses[term] for term in TERMS)
        for progress in log
    )
    assert second < first
    assert log[1].probe_error < log[0].probe_error


def test_the_agent_can_plan_in_the_middle_of_its_training(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    norms = []

    def callback(progress: Progress, agent: JEPAAgent) -> None:
        observation, _ = agent.env_ref.make().reset(seed=0)
        action, _ = agent.predict(observation)
        norms.append(float(np.linalg.norm(action)))

    train(tiny_trajectories, tiny_preset, callbacks=[callback])
    assert len(norms) == 1
    assert norms[0] <= 1 + 1e-6


def test_same_seed_same_bits(run: Run) -> None:
    assert not differ(run(), run())


def test_training_leaves_the_global_generator_alone(run: Run) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(12345)
        before = torch.get_rng_state()
        run()
        assert torch.equal(torch.get_rng_state(), before)


def test_inputs_and_states_are_standardised(run: Run, tiny_trajectories: Trajectories) -> None:
    parameters = run(layouts_per_batch=8, windows_per_layout=200, steps=1)
    states = torch.as_tensor(tiny_trajectories.states)
    torch.testing.assert_close(parameters["state_mean"], states.mean(dim=0), rtol=0, atol=2.0)
    torch.testing.assert_close(parameters["state_std"], states.std(dim=0), rtol=0.1, atol=0)
    red, green, blue = parameters["observation_mean"].tolist()
    assert 0.0 < red < green < 255.0
    assert blue == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_undefined_actions_in_the_data_stop_the_training(
    tiny_trajectories: Trajectories, tiny_preset: Preset, value: float
) -> None:
    actions = np.full_like(tiny_trajectories.actions, value)
    with pytest.raises((FloatingPointError, ValueError), match="finite"):
        train(dataclasses.replace(tiny_trajectories, actions=actions), tiny_preset)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_undefined_states_in_the_data_stop_the_training(
    tiny_trajectories: Trajectories, tiny_preset: Preset, value: float
) -> None:
    states = np.full_like(tiny_trajectories.states, value)
    with pytest.raises((FloatingPointError, ValueError), match="finite"):
        train(dataclasses.replace(tiny_trajectories, states=states), tiny_preset)


@pytest.mark.parametrize("steps", [2, 60])
def test_a_diverging_training_stops_and_names_the_term(run: Run, steps: int) -> None:
    terms = "|".join(sorted(TERMS))
    message = rf"must stay finite, got ({terms}) = (nan|inf) by step \d+ of seed 0; lower"
    with pytest.raises(FloatingPointError, match=message):
        run(steps=steps, learning_rate=1e30)


def test_no_training_returns_undefined_parameters(run: Run) -> None:
    """Though the last step breaks them, after whose loss nothing is evaluated."""
    message = "every parameter must stay finite, they did not by step 1 of seed 0; lower"
    with pytest.raises(FloatingPointError, match=message):
        run(steps=1, weights=LossWeights(variance=1e39))


def test_the_model_takes_the_shapes_of_the_data(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    model = dataclasses.replace(
        tiny_preset.model, observation_shape=(9, 9, 1), action_dim=3, state_dim=7
    )
    agent = train(tiny_trajectories, dataclasses.replace(tiny_preset, model=model))
    found = agent.model.config
    assert (found.observation_shape, found.action_dim, found.state_dim) == ((65, 65, 3), 2, 2)


def test_data_that_hold_nothing_to_see_are_rejected(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    metadata = {"env_id": "Pendulum-v1", "env_kwargs": {}}
    with pytest.raises(ValueError, match=r"Pendulum-v1 shows \(3,\) and has no batched renderer"):
        train(dataclasses.replace(tiny_trajectories, metadata=metadata), tiny_preset)


def test_states_that_no_environment_renders_need_an_encoder_of_vectors(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    with pytest.raises(ValueError, match=r"patch_cnn takes images .* got observations \(2,\)"):
        train(dataclasses.replace(tiny_trajectories, metadata={}), tiny_preset)


def test_the_last_agents_are_kept(
    tiny_trajectories: Trajectories, tiny_preset: Preset, tmp_path: Path
) -> None:
    training = dataclasses.replace(tiny_preset.training, diagnose_every=1, diagnose_episodes=0)
    preset = dataclasses.replace(tiny_preset, training=training)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "LOG_EVERY", 1)
        agent = train(tiny_trajectories, preset, folder=tmp_path, keep=2)
    kept = sorted(path.name for path in tmp_path.glob("step-*"))
    assert kept == ["step-000002", "step-000003"]
    last = JEPAAgent.load(tmp_path / "step-000003", "cpu").model.state_dict()
    assert not differ(last, agent.model.state_dict())
    earlier = JEPAAgent.load(tmp_path / "step-000002", "cpu").model.state_dict()
    assert differ(last, earlier)


def test_diagnostics_are_logged_when_due(
    tmp_path: Path, tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    training = dataclasses.replace(
        tiny_preset.training, steps=120, diagnose_every=100, diagnose_episodes=1
    )
    preset = dataclasses.replace(tiny_preset, training=training)
    log: list[Progress] = []
    train(
        tiny_trajectories,
        preset,
        callbacks=[lambda progress, _: log.append(progress)],
        folder=tmp_path,
        held_out=tiny_trajectories,
    )
    assert [p.step for p in log if p.diagnostics is not None] == [100, 120]
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert written[1]["diagnostics"] == dataclasses.asdict(log[1].diagnostics)


def test_a_world_without_a_renderer_is_learnt_from_its_own_observations(tmp_path: Path) -> None:
    """Vectors, and images of frames stacked in time; the goal is set by hand."""
    record(gym.make("Pendulum-v1"), tmp_path / "p.h5", episodes=16, steps=20, history=2)
    trajectories = Trajectories.load(tmp_path / "p.h5")
    preset = Preset(
        model=WorldModelConfig(
            latent_dim=8, encoder=VectorMLPConfig(features=16, layers=1)
        ),
        training=TrainingConfig(
            steps=2, layouts_per_batch=1, windows_per_layout=16, horizon=2,
            refinement=RefinementConfig(
                steps=1, layouts_per_batch=1, windows_per_layout=4, horizon=2
            ),
        ),
        planner=CEMConfig(horizon=2, num_samples=8, iterations=2, num_elites=2),
    )  # fmt: skip
    agent = train(trajectories, preset, folder=tmp_path / "run")
    agent = JEPAAgent.load(tmp_path / "run")
    env = agent.env_ref.make()
    observation, _ = env.reset(seed=0)
    assert observation.shape == (6,)
    with pytest.raises(ValueError, match=r"must be a dict with 'desired_goal'.*agent.set_goal"):
        agent.predict(observation)
    agent.set_goal(np.float32([1, 0, 0, 1, 0, 0]))
    action, _ = agent.predict(observation)
    assert env.action_space.contains(action)
    actions, _ = agent.predict(np.stack([observation, observation]))
    assert actions.shape == (2, 1)
    upright = play(agent, agent.env_ref.make, range(3), success=lambda seen, _: bool(seen[3] > 0.5))
    assert [episode.seed for episode in upright] == [0, 1, 2]
    assert all(e.success_strict is None and e.optimal_steps is None for e in upright)


def test_any_vectors_are_learnt_by_the_preset_for_vectors(tmp_path: Path) -> None:
    record(gym.make("Pendulum-v1"), tmp_path / "p.h5", episodes=8, steps=30)
    trajectories = Trajectories.load(tmp_path / "p.h5")
    refinement = dataclasses.replace(VECTOR.training.refinement, steps=1)
    training = dataclasses.replace(VECTOR.training, steps=1, refinement=refinement)
    agent = train(trajectories, dataclasses.replace(VECTOR, training=training))
    found = agent.model.config
    assert (found.observation_shape, found.action_dim, found.state_dim) == ((3,), 1, 3)
    with pytest.raises(ValueError, match=r"images.*\(3,\)"):
        train(trajectories, QUICK)


@pytest.mark.parametrize(
    "preset", [PIXELS, PROPOSALS, GC_IDM, LEWM], ids=["pixels", "proposals", "gc_idm", "lewm"]
)
def test_any_images_are_learnt_by_the_presets_for_images(preset: Preset) -> None:
    """Large ones, of one layout, in actions of any unit; some episodes are kept back."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10 * 14, 80, 100, 6), dtype=np.uint8)
    data = Trajectories(
        np.zeros((140, 0)), rng.uniform(-500, 500, (130, 1)), np.zeros((10, 0)),
        14 * np.arange(11), {}, images,
    )  # fmt: skip
    steps = min(1, preset.training.refinement.steps)
    refinement = dataclasses.replace(
        preset.training.refinement, steps=steps, windows_per_layout=4, horizon=2
    )
    training = dataclasses.replace(
        preset.training, steps=2, windows_per_layout=4, horizon=2, refinement=refinement
    )
    log: list[Progress] = []
    agent = train(
        data,
        dataclasses.replace(preset, training=training),
        callbacks=[lambda *x: log.append(x[0])],
    )
    assert agent.model.config.observation_shape == (80, 100, 6)
    assert agent.model.config.encoded_shape == (58, 72, 6)
    if preset is LEWM:
        assert set(log[0].losses) == {"prediction", "sigreg"}
    else:
        assert log[0].losses["inverse_dynamics"] < 3.0
        assert log[0].losses["window_contrast"] > 0.0
        assert "contrast" not in log[0].losses
    assert log[-1].diagnostics is not None
    assert set(log[-1].diagnostics.standing_still) == {"5", "10"}


def test_what_rarely_changes_is_standardised_by_all_vectors(tiny_preset: Preset) -> None:
    """A touch in one of 2,050 frames, which a batch hardly meets, and a constant."""
    states = np.random.default_rng(0).normal(size=(50, 41, 3)).astype(np.float32)
    states[..., 1:] = 0.0
    states[7, 20, 1] = 1.0
    data = Trajectories.from_rollouts(
        states,
        np.ones((50, 40, 1), np.float32),
        np.zeros((50, 0), np.float32),
        {"env_id": "Pendulum-v1", "env_kwargs": {}},
    )
    model = dataclasses.replace(tiny_preset.model, state_dim=3, encoder=VectorMLPConfig())
    preset = dataclasses.replace(tiny_preset, model=model)
    trained = WorldModelTask(data, preset, torch.device("cpu")).model
    spread = torch.as_tensor(data.states).std(0)
    for std in (trained.observation_std, trained.state_std):
        torch.testing.assert_close(std, torch.stack([*spread[:2], torch.tensor(1.0)]))


def test_numbers_of_numpy_in_a_preset_are_saved(
    tiny_trajectories: Trajectories, tiny_preset: Preset, tmp_path: Path
) -> None:
    numbers = {"steps": np.int64(2), "learning_rate": np.float32(1e-3)}
    training = dataclasses.replace(tiny_preset.training, **numbers)
    preset = dataclasses.replace(tiny_preset, training=training)
    train(tiny_trajectories, preset, folder=tmp_path).save(tmp_path / "agent")
    assert JEPAAgent.load(tmp_path / "agent").notes["training"]["steps"] == 2
