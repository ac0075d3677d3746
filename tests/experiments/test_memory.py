"""The experiment on memory: its worlds, predictors and tables, and all of it once, small."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.loading import EXPERIMENTS, load


@pytest.fixture(scope="module")
def memory() -> ModuleType:
    return load(EXPERIMENTS / "memory.py")


@pytest.fixture(scope="module")
def part(memory: ModuleType) -> ModuleType:
    """The package of the script's parts."""
    return sys.modules["memory"]


def test_frames_show_what_the_world_lets_see(part: ModuleType) -> None:
    for name, shown in (("hidden", [1, 0, 0, 1]), ("velocity", [1] * 4), ("wall", [1] * 4)):
        world = part.worlds.WORLDS[name]
        episodes = world.episodes(3, 3, seed=0)
        place, is_shown, about = episodes.frames.split([2, 1, 2], dim=-1)
        torch.testing.assert_close(is_shown[0, :, 0], torch.tensor(shown, dtype=torch.float))
        torch.testing.assert_close(place, part.worlds.places(episodes.states) * is_shown)
        assert bool(about[:, 0].any()) == (name == "wall")
        assert not about[:, 1:].any()
        later = world.frames(episodes.states[:, 2:], episodes.walls, first=2)
        torch.testing.assert_close(later, episodes.frames[:, 2:])
    assert not set(map(tuple, world.episodes(50, 1, 0).walls.tolist())) & set(
        map(tuple, world.episodes(50, 1, 0, test=True).walls.tolist())
    )


def test_worlds_move_on_as_their_data_do(part: ModuleType) -> None:
    for world in part.worlds.WORLDS.values():
        episodes = world.episodes(64, 1, seed=1)
        before, after = episodes.states.unbind(1)
        still = torch.zeros(64, 2)
        moved = world.step(before, episodes.actions[:, 0], episodes.walls, still)
        free = (moved - after).norm(dim=-1) < 1e-4  # the others met walls, from which they bounce
        assert free.float().mean() > 0.6
        if world.layouts is None:
            assert free.all()


def test_predictors_are_of_equal_size_and_remember_what_they_read(part: ModuleType) -> None:
    frames, actions = torch.randn(2, 5, 5), torch.randn(2, 5, 2)
    for kind in part.predictors.KINDS:
        predictor = part.predictors.of_size(kind, 10_000)
        assert abs(part.predictors.parameters(predictor) - 10_000) < 500
        memory = torch.zeros(2, predictor.memory)
        for frame, action in zip(frames.unbind(1), actions.unbind(1), strict=True):
            memory = predictor.update(memory, frame, action)
        torch.testing.assert_close(predictor.read(frames, actions), memory)
        imagined = predictor.imagine(memory, frames[:, 0], actions)
        assert imagined.shape == (2, 5, 2)
        first = predictor.predict(predictor.update(memory, frames[:, 0], actions[:, 0]),
                                  frames[:, 0])  # fmt: skip
        torch.testing.assert_close(imagined[:, 0], first)


def test_products_change_what_inputs_do(part: ModuleType) -> None:
    """Without them, inputs add the same before the tanh, whatever the state."""
    for rank, is_additive in ((0, True), (3, False)):
        cell = part.predictors.Product(6, rank)
        states, frames, actions = torch.rand(2, 6) / 9, torch.randn(5), torch.randn(2)
        none = cell.update(states, torch.zeros(2, 5), torch.zeros(2, 2)).atanh()
        some = cell.update(states, frames.expand(2, 5), actions.expand(2, 2)).atanh()
        added = some - none
        assert torch.allclose(added[0], added[1], atol=1e-4) == is_additive


def test_recall_is_one_of_what_is_kept_and_none_of_noise(part: ModuleType) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(600, 8, generator=generator)
    wanted = features @ torch.randn(8, 2, generator=generator) + 1
    ridge = part.learning.ridge
    assert ridge(features[:400], features[400:], wanted[:400], wanted[400:]) > 0.999
    noise = torch.randn(600, 2, generator=generator)
    assert abs(ridge(features[:400], features[400:], noise[:400], noise[400:])) < 0.2


def test_a_stack_recalls_as_many_frames_as_it_has(part: ModuleType) -> None:
    world, stack = part.worlds.WORLDS["velocity"], part.predictors.Stacked(8, 4)
    train, test = (world.episodes(300, part.learning.STEPS, 0, side) for side in (False, True))
    found = part.learning.recall(stack, world, train, test)
    assert found[4] > 0.999 > found[16] > found[64]


def test_learning_lowers_the_error(part: ModuleType) -> None:
    learning = part.learning
    for kind in ("MLP, 4 frames", "GRU, depth 2", "2RNN"):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            predictor = part.predictors.of_size(kind, 2000)
        first, last = (
            learning.learn(predictor, lambda rng: learning.to_remember(32, rng, 2), steps, 0)
            for steps in (1, 100)
        )
        assert last < first / 2


def test_the_true_physics_solve_tasks_that_chance_does_not(part: ModuleType) -> None:
    planning, world = part.planning, part.worlds.WORLDS["velocity"]
    begun = planning.tasks(world, 10, seed=0)
    assert planning.success(world, begun, None, 0).sum() >= 8
    assert planning.success(world, begun, None, 0, random=True).sum() <= 5


@pytest.mark.slow
def test_all_is_measured_once_recorded_and_not_again(
    memory: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "DOCS", tmp_path / "docs")
    args = memory.Args(
        seeds=(0, 1), kinds=("MLP, 4 frames", "2RNN"), steps=2, episodes=40, tasks=3, record=True,
        equal_time=True, out=tmp_path / "runs",
    )  # fmt: skip
    memory.main(args)
    rows = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    assert len(rows) == 2 * (4 * 2 + 3 * 1 + 3 * 2)
    memory.main(args)
    assert rows == {path: path.stat().st_mtime_ns for path in rows}
    found = json.loads((tmp_path / "docs/experiments/memory.json").read_text())["tables"]
    assert {name: len(each["rows"]) for name, each in found.items()} == {
        "errors": 6, "recall": 6, "planning": 4, "time": 1,
    }  # fmt: skip
    tables = load(EXPERIMENTS / "tables.py")
    assert all("±" in tables.markdown(found[name]) for name in ("errors", "recall"))
    assert (tmp_path / "docs/media/memory.png").stat().st_size > 10_000
