"""Loss terms as the trainer computes them, and layouts that look alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jepa_agent import Preset, TrainingConfig, Trajectories, WorldModel, train
from jepa_agent.data.windows import Windows
from jepa_agent.envs import CollectConfig, TwoRoomsEnv, collect
from jepa_agent.io import checkpoint
from jepa_agent.models.distances import QuasimetricConfig
from jepa_agent.training.config import LossWeights
from jepa_agent.training.loop import Trainer
from jepa_agent.training.terms import LossBatch, LossTerm
from jepa_agent.training.world_model import WorldModelTask

Run = Callable[..., dict[str, Tensor]]


def differ(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return any(not torch.equal(first[name], second[name]) for name in first)


def test_the_objective_sees_what_the_states_look_like(task: WorldModelTask) -> None:
    seen: list[tuple[Any, ...]] = []
    task.objective.register_forward_pre_hook(lambda _, arguments: seen.append(arguments))
    task.compute_losses(0)
    ((model, images, batch, _),) = seen
    assert model is task.model
    layouts = batch.layout.expand(*batch.states.shape[:3], 3)
    for index in np.ndindex(*batch.states.shape[:3]):
        expected = TwoRoomsEnv.render_states(batch.states[index], layouts[index])
        assert torch.equal(images[index], expected)


Batch = tuple[Windows, dict[str, Tensor], Tensor]


@pytest.fixture
def evaluated(task: WorldModelTask) -> Batch:
    """Windows, their loss terms and their latents (G, R, H + 1, D), in float64."""
    task.model.distance_head = QuasimetricConfig(width=16).build(8)
    model, objective = task.model.double(), task.objective.double()
    with torch.no_grad():
        model.distance_head[-1].weight.mul_(100.0)  # so that some chunks are longer than 1
    batch = task.sampler.draw(2, 8, task.generator)
    batch = batch._replace(states=batch.states.double(), actions=batch.actions.double())
    images = TwoRoomsEnv.render_states(batch.states, batch.layout.double())
    return batch, objective(model, images, batch, Tensor()), model.encode(images)


def assert_mean(term: Tensor, values: list[Tensor]) -> None:
    torch.testing.assert_close(term.double(), torch.stack(values).mean(), rtol=1e-4, atol=1e-5)


def test_prediction_and_inverse_dynamics_equal_a_plain_loop(
    task: WorldModelTask, evaluated: Batch
) -> None:
    batch, terms, latents = evaluated
    prediction, inverse = [], []
    for group, window in np.ndindex(2, 8):
        imagined = latents[group, window, 0]
        for h, actions in enumerate(batch.actions[group, window]):
            before, after = latents[group, window, h : h + 2]
            imagined = task.model.predict(imagined, actions)
            prediction.append((imagined - after).square().mean())
            guess = task.objective.heads["inverse_dynamics"](torch.cat([before, after]))
            steps = (actions.reshape(-1, 2) - task.model.action_mean) / task.model.action_std
            inverse.append((guess - steps.flatten()).square().mean())
    assert_mean(terms["prediction"], prediction)
    assert_mean(terms["inverse_dynamics"], inverse)


def test_the_value_term_equals_a_plain_loop(task: WorldModelTask, evaluated: Batch) -> None:
    _, terms, latents = evaluated
    config, distance = task.config, task.model.distance
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


def test_frames_find_their_window_by_a_plain_loop(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    weights = LossWeights(window_contrast=1.0)
    training = dataclasses.replace(tiny_preset.training, weights=weights)
    preset = dataclasses.replace(tiny_preset, training=training)
    task = WorldModelTask(tiny_trajectories, preset, torch.device("cpu"))
    batch = task.sampler.draw(2, 3, task.generator)
    images = TwoRoomsEnv.render_states(batch.states, batch.layout)
    term = task.objective(task.model, images, batch, Tensor())["window_contrast"]
    head = task.objective.heads["window_contrast"]
    windows = head(task.model.encode(images)).flatten(0, 1)  # (6, 3, E), of all layouts
    expected = []
    for index, frame in np.ndindex(*windows.shape[:2]):
        prototypes = windows.mean(dim=1)
        others = [each for each in range(windows.shape[1]) if each != frame]
        prototypes[index] = windows[index, others].mean(dim=0)
        apart = (windows[index, frame] - prototypes).square().sum(dim=-1)
        expected.append(-(-0.5 * apart).log_softmax(dim=0)[index].double())
    assert_mean(term, expected)


def test_window_contrast_needs_no_layouts_and_changes_no_other_training(
    tiny_preset: Preset, run: Run
) -> None:
    data = Trajectories.from_rollouts(*collect(CollectConfig(layout="fixed", episodes=8, steps=12)))
    training = dataclasses.replace(tiny_preset.training, weights=LossWeights(window_contrast=1.0))
    train(data, dataclasses.replace(tiny_preset, training=training))
    assert differ(run(weights=LossWeights(window_contrast=1.0)), run())


@pytest.mark.parametrize("detached", [False, True])
def test_a_detached_distance_trains_its_head_alone(
    tiny_trajectories: Trajectories, tiny_preset: Preset, detached: bool
) -> None:
    training = dataclasses.replace(tiny_preset.training, detach_distance=detached)
    preset = dataclasses.replace(tiny_preset, training=training)
    task = WorldModelTask(tiny_trajectories, preset, torch.device("cpu"))
    task.compute_losses(0).terms["distance"].backward()
    assert all(each.grad is not None for each in task.model.distance_head.parameters())
    trained = [each.grad is not None for each in task.model.encoder.parameters()]
    assert not any(trained) if detached else all(trained)


def test_one_layout_is_too_few_for_the_context_loss(tiny_preset: Preset) -> None:
    data = Trajectories.from_rollouts(*collect(CollectConfig(layout="fixed", episodes=8, steps=12)))
    training = dataclasses.replace(tiny_preset.training, weights=LossWeights(contrast=1.0))
    with pytest.raises(ValueError, match="needs data of several layouts"):
        train(data, dataclasses.replace(tiny_preset, training=training))


def test_what_is_remembered_of_a_context_moves_halfway(task: WorldModelTask) -> None:
    head, which = task.objective.heads["contrast"], torch.tensor([3, 0])
    first = torch.eye(2, head.prototypes.shape[1])
    head.update_prototypes(4.0 * first, which)
    torch.testing.assert_close(head.prototypes[which], 2.0 * first)
    head.update_prototypes(first.flip(0), which)
    torch.testing.assert_close(head.prototypes[which], first + 0.5 * first.flip(0))
    assert (head.prototypes.norm(dim=-1) > 0).sum() == 2  # the others are untouched


def test_contexts_that_look_alike_meet_in_a_batch(task: WorldModelTask) -> None:
    """On a line of ten, two clusters of three are neighbours."""
    head, generator = task.objective.heads["contrast"], torch.Generator().manual_seed(0)
    place = torch.tensor([7, 2, 9, 0, 4, 5, 1, 8, 3, 6])
    head.prototypes = torch.zeros(10, 4).index_fill_(1, torch.tensor([0]), 1.0) * place[:, None]
    seen = set()
    for _ in range(100):
        chosen = head.draw_hard_negatives(6, 3, generator)
        assert len(chosen.unique()) == 6
        line = place[chosen].sort().values
        assert (line.diff() == 1).sum() >= 4  # at most one gap
        seen |= set(chosen.tolist())
    assert seen == set(range(10))


def test_contexts_that_nothing_is_known_of_are_drawn_at_random(task: WorldModelTask) -> None:
    generator = torch.Generator().manual_seed(0)
    task.objective.heads["contrast"].prototypes = torch.zeros(10, 4)
    seen = [
        frozenset(task.objective.draw_hard_negatives(4, 2, generator).tolist()) for _ in range(50)
    ]
    assert all(len(chosen) == 4 for chosen in seen)
    assert frozenset().union(*seen) == set(range(10))
    assert len(set(seen)) > 25


def test_training_on_contexts_that_look_alike_differs(run: Run) -> None:
    layout = LossWeights(contrast=1.0)
    assert differ(
        run(weights=layout, steps=3, hard_negative_cluster=2), run(weights=layout, steps=3)
    )


@dataclass(frozen=True)
class ReadSpeed(LossTerm):
    """A user's: the length of a chunk's move can be read off two latents."""

    def build(self, model: WorldModel, num_layouts: int) -> nn.Module:
        return nn.Linear(2 * model.config.latent_dim, 1)

    def __call__(self, batch: LossBatch, head: nn.Module) -> Tensor:
        pairs = torch.cat([batch.latents[:, :, :-1], batch.latents[:, :, 1:]], dim=-1)
        speed = batch.windows.states.diff(dim=2).norm(dim=-1)
        return F.mse_loss(head(pairs)[..., 0].float(), speed)


def with_terms(preset: Preset, *terms: LossTerm) -> TrainingConfig:
    return dataclasses.replace(preset.training, extra_terms=terms)


def test_the_head_of_a_users_term_is_trained(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    preset = dataclasses.replace(tiny_preset, training=with_terms(tiny_preset, ReadSpeed(0.5)))
    task = WorldModelTask(tiny_trajectories, preset, torch.device("cpu"))
    trainer = Trainer(task)
    trained = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in task.objective.parameters()} <= trained
    head = task.objective.heads["ReadSpeed"]
    before = head.weight.detach().clone()
    output = trainer.update()
    assert not torch.equal(head.weight, before)
    assert "ReadSpeed" in output.terms
    total = task.objective.total({"ReadSpeed": torch.tensor(3.0), "probe": torch.tensor(1.0)})
    assert total == 2.5


def test_a_term_of_weight_zero_changes_no_bit_and_one_more_term_no_initial_weight(
    tiny_trajectories: Trajectories, tiny_preset: Preset
) -> None:
    runs = [
        train(tiny_trajectories, dataclasses.replace(tiny_preset, training=training))
        for training in (
            tiny_preset.training, with_terms(tiny_preset, ReadSpeed(0.0)),
            with_terms(tiny_preset, ReadSpeed()),
        )
    ]  # fmt: skip
    digests = [checkpoint.digest(agent.model.state_dict()) for agent in runs]
    assert digests[0] == digests[1] != digests[2]


def test_terms_of_one_name_are_rejected(tiny_preset: Preset) -> None:
    for terms in ((ReadSpeed(), ReadSpeed(2.0)), (LossTerm.of_kind("variance")(),)):
        with pytest.raises(ValueError, match="extra_terms must have names of their own"):
            with_terms(tiny_preset, *terms)


def test_every_weight_has_its_term(tiny_preset: Preset) -> None:
    weights = LossWeights(*range(1, 10))
    terms = dataclasses.replace(tiny_preset.training, weights=weights).terms
    assert {term.name: term.weight for term in terms} == dataclasses.asdict(weights)
