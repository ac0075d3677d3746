"""Proposals learned from a planner's decisions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_agent import JEPAAgent, Trajectories
from jepa_agent.planners import Proposal, ReactiveConfig
from jepa_agent.training.distillation import DistillationConfig, DistillationTask, distil
from jepa_agent.training.loop import Trainer

SMALL = DistillationConfig(heads=4, problems=32, decisions=2, steps=4, batch=16)
CPU = torch.device("cpu")


@pytest.fixture
def teacher(tiny_agent: JEPAAgent) -> JEPAAgent:
    tiny_agent.model.float()
    return tiny_agent


def test_only_proposals_are_trained_and_the_teacher_stays(
    teacher: JEPAAgent, tiny_trajectories: Trajectories, tmp_path: Path
) -> None:
    before = {name: each.clone() for name, each in teacher.model.state_dict().items()}
    found = distil(teacher, tiny_trajectories, SMALL, "cpu", folder=tmp_path)
    assert teacher.model.proposals is None
    for name, tensor in before.items():
        assert torch.equal(found.model.state_dict()[name], tensor)
        assert torch.equal(teacher.model.state_dict()[name], tensor)
    assert isinstance(found.planner, Proposal)
    assert found.notes["distillation"]["problems"] == 32
    again = JEPAAgent.load(tmp_path)
    images = np.zeros((65, 65, 3), dtype=np.uint8)
    seen = {"observation": images, "desired_goal": images + 90}
    np.testing.assert_array_equal(again.act(seen)[0], found.act(seen)[0])
    same = distil(teacher, tiny_trajectories, SMALL, "cpu")
    np.testing.assert_array_equal(same.act(seen)[0], found.act(seen)[0])


def test_decisions_are_the_planners_own_in_its_imagination(
    teacher: JEPAAgent, tiny_trajectories: Trajectories
) -> None:
    task = DistillationTask(teacher, tiny_trajectories, SMALL, CPU)
    taught = task.taught
    assert taught.plans.shape == (64, 2, 6)
    first, second = (taught.latents[rows] for rows in (slice(0, 32), slice(32, 64)))
    torch.testing.assert_close(second, teacher.model.predict(first, taught.plans[:32, 0]))
    held = taught.plans.unflatten(-1, (3, 2))
    assert torch.equal(held[:, :, 0], held[:, :, 2])  # one action is held for a chunk


def test_the_likeliest_proposal_comes_to_be_the_planners_decision(
    teacher: JEPAAgent, tiny_trajectories: Trajectories
) -> None:
    config = dataclasses.replace(SMALL, steps=150, learning_rate=3e-3, batch=64)
    task = DistillationTask(teacher, tiny_trajectories, config, CPU)

    def wrong() -> float:
        with torch.no_grad():
            latents, goals, plans = task.taught
            ahead = task.proposals.chunks_ahead(latents, goals, 0.5)
            likely = task.model.propose(latents, goals, ahead, 2)[:, 0, 0]
        return float((likely - plans[:, 0]).square().mean())

    before = wrong()
    Trainer(task).fit()
    assert wrong() < 0.5 * before


def test_problems_are_ways_of_one_episode_and_between_places_of_one_layout(
    teacher: JEPAAgent, tiny_trajectories: Trajectories
) -> None:
    task = DistillationTask(teacher, tiny_trajectories, SMALL, CPU)
    ends = np.searchsorted(
        task.latents.trajectories.offsets, np.arange(len(task.latents.values)), side="right"
    )
    starts, goals = task.draw_problems(64)
    rows = {
        each.numpy().tobytes(): ends[row] - 1
        for row, each in enumerate(task.latents.values.float())
    }
    layouts = task.latents.trajectories.layout
    pairs = [
        (rows[start.numpy().tobytes()], rows[goal.numpy().tobytes()])
        for start, goal in zip(starts, goals, strict=True)
    ]
    assert all(one == other for one, other in pairs[:32])
    assert all(np.array_equal(layouts[one], layouts[other]) for one, other in pairs[32:])
    assert any(one != other for one, other in pairs[32:])


def test_what_the_planners_cost_finds_better_is_learned(
    teacher: JEPAAgent, tiny_trajectories: Trajectories
) -> None:
    config = dataclasses.replace(SMALL, steps=120, learning_rate=3e-3, batch=64, imagined=10.0)
    task = DistillationTask(teacher, tiny_trajectories, config, CPU)
    problems = task.draw_problems(256)
    before = task.imagined_cost(*problems).item()
    Trainer(task).fit()
    assert task.imagined_cost(*problems).item() < before - 0.02
    assert all(each.grad is None for each in task.model.encoder.parameters())


def test_a_planner_that_does_not_search_teaches_nothing(
    teacher: JEPAAgent, tiny_trajectories: Trajectories
) -> None:
    teacher.planner = ReactiveConfig(horizon=2).build()
    with pytest.raises(ValueError, match=r"a planner that searches .* got Reactive; choose"):
        distil(teacher, tiny_trajectories, SMALL, "cpu")
    with pytest.raises(ValueError, match="problems must be at least 1, got 0; raise it"):
        DistillationConfig(problems=0)
