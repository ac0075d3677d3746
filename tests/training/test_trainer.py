from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from jepa_agent import JEPAAgent, Preset, TrainingConfig, Trajectories, WorldModelConfig, train
from jepa_agent.cli.console import TrainingDisplay
from jepa_agent.data.recording import record
from jepa_agent.data.windows import Windows
from jepa_agent.envs import CollectConfig, TwoRoomsEnv, collect
from jepa_agent.evaluation.episodes import play
from jepa_agent.models.encoders import VectorMLPConfig
from jepa_agent.planners import CEMConfig
from jepa_agent.training.config import LossWeights, RefinementConfig
from jepa_agent.training.trainer import Progress, Trainer

TERMS = {
    "prediction", "variance", "covariance", "temporal_similarity", "inverse_dynamics", "distance",
}  # fmt: skip
Run = Callable[..., dict[str, Tensor]]


@pytest.fixture
def run(tiny_trajectories: Trajectories, tiny_preset: Preset) -> Run:
    """Train with some settings changed; gives the resulting parameters."""

    def run(**changes: Any) -> dict[str, Tensor]:
        training = dataclasses.replace(tiny_preset.training, **changes)
        preset = dataclasses.replace(tiny_preset, training=training)
        return train(tiny_trajectories, preset).model.state_dict()

    return run


def differ(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return any(not torch.equal(first[name], second[name]) for name in first)


def test_a_short_training_gives_a_working_agent(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    log: list[Progress] = []
    agent = train(
        tiny_trajectories, tiny_preset, on_progress=lambda progress, _: log.append(progress)
    )
    (last,) = log
    assert (last.step, last.steps, last.seconds_left) == (3, 3, 0.0)
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
            refinement=RefinementConfig(steps=1, layouts_per_batch=2, windows_per_layout=2),
        ),
    )
    with TrainingDisplay() as display:

        def show(progress: Progress, _: JEPAAgent) -> None:
            log.append(progress)
            display.show(progress)

        train(tiny_trajectories, preset, "cpu", show, tmp_path, tiny_trajectories)
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
        on_progress=lambda progress, _: log.append(progress),
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

    def on_progress(progress: Progress, agent: JEPAAgent) -> None:
        observation, _ = agent.env_ref.make().reset(seed=0)
        action, _ = agent.predict(observation)
        norms.append(float(np.linalg.norm(action)))

    train(tiny_trajectories, tiny_preset, on_progress=on_progress)
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


CHANGES: dict[str, Any] = {
    "steps": 4,
    "layouts_per_batch": 3,
    "windows_per_layout": 9,
    "horizon": 3,
    "prediction_horizon": 1,
    "center_per_layout": True,
    "learning_rate": 2e-3,
    "weight_decay": 0.5,
    "warmup": 1.0,
    "max_grad_norm": 0.01,
    "weights": LossWeights(distance=3.0),
    "refinement": RefinementConfig(steps=1, layouts_per_batch=2, windows_per_layout=2, horizon=2),
    "bfloat16": True,
    "seed": 1,
}
UNSEEN = {
    "compiled", "constraint_weight", "diagnose_episodes", "diagnose_every", "hard_negative_cluster",
}  # fmt: skip
"""Settings that change no bit of this training."""


def test_every_setting_changes_the_result(run: Run) -> None:
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    assert set(CHANGES) == names - UNSEEN
    base = run()
    for name, value in CHANGES.items():
        assert differ(run(**{name: value}), base), name


def test_every_loss_weight_changes_the_result(run: Run) -> None:
    names = {field.name for field in dataclasses.fields(LossWeights)}
    assert names == TERMS | {"contrast", "sigreg"}
    base = run()
    for name in TERMS:
        assert differ(run(weights=LossWeights(**{name: 0.0})), base), name
    assert differ(run(weights=LossWeights(contrast=1.0)), base)
    assert differ(run(weights=LossWeights(sigreg=1.0)), base)


def test_the_probe_moves_nothing_but_itself(run: Run) -> None:
    nothing = LossWeights(**dict.fromkeys(TERMS, 0.0))
    short, long = (run(weights=nothing, weight_decay=0.0, steps=steps) for steps in (1, 4))
    moved = {name for name in short if not torch.equal(short[name], long[name])}
    assert moved
    assert all(name.startswith("probe.") for name in moved)


@pytest.fixture
def trainer(tiny_trajectories: Trajectories, tiny_preset: Preset) -> Trainer:
    """One step of training."""
    return Trainer(
        tiny_trajectories,
        TwoRoomsEnv.render_states,
        tiny_preset.model,
        dataclasses.replace(tiny_preset.training, steps=1),
        torch.device("cpu"),
    )


def test_the_objective_sees_what_the_states_look_like(trainer: Trainer) -> None:
    seen: list[tuple[Any, ...]] = []
    trainer.objective.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    list(trainer.run())
    ((model, images, batch, _),) = seen
    assert model is trainer.model
    layouts = batch.layout.expand(*batch.states.shape[:3], 3)
    for index in np.ndindex(*batch.states.shape[:3]):
        expected = TwoRoomsEnv.render_states(batch.states[index], layouts[index])
        assert torch.equal(images[index], expected)


Batch = tuple[Windows, dict[str, Tensor], Tensor]


@pytest.fixture
def evaluated(trainer: Trainer) -> Batch:
    """Windows, their loss terms and their latents (G, R, H + 1, D), in float64."""
    model, objective = trainer.model.double(), trainer.objective.double()
    with torch.no_grad():
        model.distance_head[-1].weight.mul_(100.0)  # so that some chunks are longer than 1
    batch = trainer.sampler.draw(2, 8, trainer.generator)
    batch = batch._replace(states=batch.states.double(), actions=batch.actions.double())
    images = TwoRoomsEnv.render_states(batch.states, batch.layout.double())
    return batch, objective(model, images, batch, Tensor()), model.encode(images)


def assert_mean(term: Tensor, values: list[Tensor]) -> None:
    torch.testing.assert_close(term.double(), torch.stack(values).mean(), rtol=1e-4, atol=1e-5)


def test_prediction_and_inverse_dynamics_equal_a_plain_loop(
    trainer: Trainer, evaluated: Batch
) -> None:
    batch, terms, latents = evaluated
    prediction, inverse = [], []
    for group, window in np.ndindex(2, 8):
        imagined = latents[group, window, 0]
        for h, actions in enumerate(batch.actions[group, window]):
            before, after = latents[group, window, h : h + 2]
            imagined = trainer.model.predict(imagined, actions)
            prediction.append((imagined - after).square().mean())
            guess = trainer.objective.inverse_dynamics(torch.cat([before, after]))
            inverse.append((guess - actions).square().mean())
    assert_mean(terms["prediction"], prediction)
    assert_mean(terms["inverse_dynamics"], inverse)


def test_the_value_term_equals_a_plain_loop(trainer: Trainer, evaluated: Batch) -> None:
    _, terms, latents = evaluated
    config, distance = trainer.config, trainer.model.distance
    long, apart = [], []
    for group, window in np.ndindex(2, 8):
        for frame in range(config.horizon + 1):
            here = latents[group, window, frame]
            apart += [distance(here, latents[group, window - k, frame]) for k in (1, 2, 3, 4)]
            if frame:
                step = distance(latents[group, window, frame - 1], here)
                long.append((step - 1.0).clamp_min(0.0).square())
    assert 0 < len(torch.stack(long).nonzero()) < len(long)
    expected = config.constraint_weight * torch.stack(long).mean() - torch.stack(apart).mean()
    assert_mean(terms["distance"], [expected])


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
    """Also where the last step, after whose loss nothing is evaluated, breaks them."""
    try:
        parameters = run(steps=1, weights=LossWeights(variance=1e39))
    except FloatingPointError:
        return
    assert all(tensor.isfinite().all() for tensor in parameters.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observation_shape": (64, 64, 3)}, r"must be \(\(65, 65, 3\), 2, 2\).*\(64, 64, 3\)"),
        ({"action_dim": 3}, r"got \(\(65, 65, 3\), 3, 2\); change the model"),
        ({"state_dim": 4}, r"got \(\(65, 65, 3\), 2, 4\); change the model"),
    ],
)
def test_a_model_for_another_environment_is_rejected(
    tiny_trajectories: Trajectories, tiny_preset: Preset, change: dict[str, Any], message: str
) -> None:
    model = dataclasses.replace(tiny_preset.model, **change)
    with pytest.raises(ValueError, match=message):
        train(tiny_trajectories, dataclasses.replace(tiny_preset, model=model))


def test_data_that_hold_nothing_to_see_are_rejected(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    metadata = {"env_id": "Pendulum-v1", "env_kwargs": {}}
    with pytest.raises(ValueError, match=r"Pendulum-v1 shows \(3,\) and has no batched renderer"):
        train(dataclasses.replace(tiny_trajectories, metadata=metadata), tiny_preset)


def test_data_that_do_not_name_their_environment_are_rejected(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    with pytest.raises(ValueError, match="env_id"):
        train(dataclasses.replace(tiny_trajectories, metadata={}), tiny_preset)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be positive, got 0; raise it"),
        ({"layouts_per_batch": 0}, "layouts_per_batch must be positive"),
        ({"windows_per_layout": 0}, "windows_per_layout must be positive"),
        ({"horizon": 0}, "horizon must be positive"),
        ({"layouts_per_batch": 3, "windows_per_layout": 5}, r"at least 16 .*got 3 \* 5"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"warmup": -0.1}, "warmup"),
        ({"max_grad_norm": 0.0}, "max_grad_norm"),
        ({"constraint_weight": 0.0}, "constraint_weight"),
        (
            {"layouts_per_batch": 16, "windows_per_layout": 1},
            "compare windows of a layout .* got windows_per_layout 1",
        ),
        ({"prediction_horizon": 5}, r"prediction_horizon must be in \[0, horizon\], got 5 of 4"),
        ({"hard_negative_cluster": 0}, r"hard_negative_cluster must be in"),
        ({"hard_negative_cluster": 2}, "1 without weights.contrast, got 2 of 4 layouts"),
        ({"hard_negative_cluster": 5, "weights": LossWeights(contrast=1.0)}, "got 5 of 4 layouts"),
    ],
    ids=str,
)
def test_impossible_settings_are_rejected(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**settings)


# Refinement


def test_refinement_needs_windows() -> None:
    with pytest.raises(
        ValueError, match=r"refinement\.windows_per_layout must be at least 1, got 0"
    ):
        RefinementConfig(windows_per_layout=0)


def test_refinement_moves_the_predictor_alone(run: Run) -> None:
    short, long = (
        run(
            refinement=RefinementConfig(
                steps=steps, layouts_per_batch=2, windows_per_layout=2, horizon=2
            )
        )
        for steps in (1, 4)
    )
    moved = {name.split(".")[0] for name in short if not torch.equal(short[name], long[name])}
    assert moved == {"predictor", "probe"}


def test_joint_training_goes_on_learning_to_its_end_where_refinement_follows(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    def last_rate(refinement: RefinementConfig) -> float:
        training = dataclasses.replace(tiny_preset.training, steps=1000, refinement=refinement)
        trainer = Trainer(tiny_trajectories, TwoRoomsEnv.render_states, tiny_preset.model,
                          training, torch.device("cpu"))  # fmt: skip
        trainer.step = 999
        trainer.update()
        return trainer.optimizer.param_groups[0]["lr"] / training.learning_rate

    assert last_rate(RefinementConfig()) < 1e-4
    assert last_rate(RefinementConfig(steps=1)) == pytest.approx(0.05, abs=1e-3)


def test_refinement_lowers_its_own_loss(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    refinement = RefinementConfig(steps=100, layouts_per_batch=4, windows_per_layout=4, horizon=2)
    training = dataclasses.replace(tiny_preset.training, steps=50, refinement=refinement)
    log: list[Progress] = []
    train(
        tiny_trajectories,
        dataclasses.replace(tiny_preset, training=training),
        on_progress=lambda progress, _: log.append(progress),
    )
    assert [(p.step, p.steps) for p in log] == [(50, 150), (100, 150), (150, 150)]
    assert "variance" not in log[1].losses
    assert log[2].losses["prediction"] < log[1].losses["prediction"]


def test_one_layout_is_too_few_for_the_context_loss(tiny_preset: Preset) -> None:
    data = Trajectories.from_rollouts(*collect(CollectConfig(layout="fixed", episodes=8, steps=12)))
    training = dataclasses.replace(tiny_preset.training, weights=LossWeights(contrast=1.0))
    with pytest.raises(ValueError, match="needs data of several layouts"):
        train(data, dataclasses.replace(tiny_preset, training=training))


def test_what_is_remembered_of_a_context_moves_halfway(trainer: Trainer) -> None:
    objective, which = trainer.objective, torch.tensor([3, 0])
    first = torch.eye(2, objective.prototypes.shape[1])
    objective.update_prototypes(4.0 * first, which)
    torch.testing.assert_close(objective.prototypes[which], 2.0 * first)
    objective.update_prototypes(first.flip(0), which)
    torch.testing.assert_close(objective.prototypes[which], first + 0.5 * first.flip(0))
    assert (objective.prototypes.norm(dim=-1) > 0).sum() == 2  # the others are untouched


def test_contexts_that_look_alike_meet_in_a_batch(trainer: Trainer) -> None:
    """On a line of ten, two clusters of three are neighbours."""
    objective, generator = trainer.objective, torch.Generator().manual_seed(0)
    place = torch.tensor([7, 2, 9, 0, 4, 5, 1, 8, 3, 6])
    objective.prototypes = (
        torch.zeros(10, 4).index_fill_(1, torch.tensor([0]), 1.0) * place[:, None]
    )
    seen = set()
    for _ in range(100):
        chosen = objective.draw_hard_negatives(6, 3, generator)
        assert len(chosen.unique()) == 6
        line = place[chosen].sort().values
        assert (line.diff() == 1).sum() >= 4  # at most one gap
        seen |= set(chosen.tolist())
    assert seen == set(range(10))


def test_contexts_that_nothing_is_known_of_are_drawn_at_random(trainer: Trainer) -> None:
    generator = torch.Generator().manual_seed(0)
    trainer.objective.prototypes = torch.zeros(10, 4)
    seen = [
        frozenset(trainer.objective.draw_hard_negatives(4, 2, generator).tolist())
        for _ in range(50)
    ]
    assert all(len(chosen) == 4 for chosen in seen)
    assert frozenset().union(*seen) == set(range(10))
    assert len(set(seen)) > 25


def test_training_on_contexts_that_look_alike_differs(run: Run) -> None:
    layout = LossWeights(contrast=1.0)
    assert differ(
        run(weights=layout, steps=3, hard_negative_cluster=2), run(weights=layout, steps=3)
    )


# Diagnostics


def test_the_last_agents_are_kept(
    tiny_trajectories: Trajectories, tiny_preset: Preset, tmp_path: Path
) -> None:
    training = dataclasses.replace(tiny_preset.training, diagnose_every=1, diagnose_episodes=0)
    preset = dataclasses.replace(tiny_preset, training=training)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run", partialmethod(Trainer.run, log_every=1))
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
        on_progress=lambda progress, _: log.append(progress),
        folder=tmp_path,
        held_out=tiny_trajectories,
    )
    assert [p.step for p in log if p.diagnostics is not None] == [100, 120]
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert written[1]["diagnostics"] == dataclasses.asdict(log[1].diagnostics)


# Other worlds


def test_a_world_without_a_renderer_is_learnt_from_its_own_observations(tmp_path: Path) -> None:
    """Vectors, and images of frames stacked in time; the goal is set by hand."""
    record(gym.make("Pendulum-v1"), tmp_path / "p.h5", episodes=16, steps=20, history=2)
    trajectories = Trajectories.load(tmp_path / "p.h5")
    preset = Preset(
        model=WorldModelConfig(
            observation_shape=(6,), action_dim=1, state_dim=6, latent_dim=8,
            encoder=VectorMLPConfig(features=16, layers=1),
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
