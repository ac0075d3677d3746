"""Batches of observations on the disk: those of others, read ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jepa_agent import Preset, Trajectories, train
from jepa_agent.data.trajectory_file import OnDisk
from jepa_agent.training.config import LossWeights, RefinementConfig
from jepa_agent.training.loop import Trainer
from jepa_agent.training.world_model import WorldModelTask

STEPS = 6


@pytest.fixture
def stored(tiny_trajectories: Trajectories, tmp_path: Path) -> Path:
    """A file of images of no environment."""
    data, path = tiny_trajectories, tmp_path / "images.h5"
    shape = (len(data.states), 32, 32, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Trajectories(data.states, data.actions, data.layout, data.offsets, {}, images).save(path)
    return path


@pytest.fixture
def preset(tiny_preset: Preset) -> Preset:
    """Two stages, with random directions in every batch of the first."""
    training = replace(
        tiny_preset.training,
        steps=STEPS,
        weights=LossWeights(sigreg=1.0),
        refinement=RefinementConfig(2, layouts_per_batch=2, windows_per_layout=4, horizon=2),
    )
    return replace(tiny_preset, training=training)


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads that have read from the disk."""
    found: list[threading.Thread] = []
    read = OnDisk.__getitem__

    def noted(array: OnDisk, rows: slice | np.ndarray) -> np.ndarray:
        found.append(threading.current_thread())
        return read(array, rows)

    monkeypatch.setattr(OnDisk, "__getitem__", noted)
    return found


def trainer_of(path: Path, preset: Preset, in_memory: bool) -> Trainer:
    data = Trajectories.load(path, in_memory=in_memory)
    return Trainer(WorldModelTask(data, preset, torch.device("cpu")))


def bits(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.state()[0].items()}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_all_but_the_first_batch_are_read_ahead(
    stored: Path, preset: Preset, readers: list[threading.Thread]
) -> None:
    trainer, main = trainer_of(stored, preset, in_memory=False), threading.current_thread()
    readers.clear()
    for _ in range(STEPS):
        trainer.update()
    assert [reader is main for reader in readers] == [True] + [False] * (STEPS - 1)
    trainer.task.close()


@pytest.mark.parametrize("cluster", [1, 2])
def test_training_has_the_bits_of_data_in_memory(
    stored: Path, preset: Preset, cluster: int
) -> None:
    """Also with similar layouts, which cannot be known ahead."""
    weights = replace(preset.training.weights, contrast=1.0)
    training = replace(preset.training, weights=weights, hard_negative_cluster=cluster)
    preset = replace(preset, training=training)
    memory, disk = (trainer_of(stored, preset, in_memory) for in_memory in (True, False))
    for _ in range(STEPS + 2):
        memory.update()
        disk.update()
        assert_equal(bits(memory), bits(disk))
    disk.task.close()


def test_a_resumed_training_reads_what_it_needs(stored: Path, preset: Preset) -> None:
    """A state may be loaded where another batch was read ahead, and where none was."""
    whole, parts, fresh = (trainer_of(stored, preset, in_memory=False) for _ in range(3))
    for _ in range(3):
        parts.update()
    tensors, progress = bits(parts), parts.state()[1]
    parts.update()  # reads the batch of the sixth step ahead
    for resumed in (parts, fresh):
        resumed.load_state({name: each.clone() for name, each in tensors.items()}, progress)
        while resumed.step < STEPS + 2:
            resumed.update()
    for _ in range(STEPS + 2):
        whole.update()
    assert_equal(bits(whole), bits(parts))
    assert_equal(bits(whole), bits(fresh))
    for trainer in (whole, parts, fresh):
        trainer.task.close()


def _fails(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("callbacks", [[], [_fails]], ids=["done", "interrupted"])
def test_no_thread_outlives_training(
    stored: Path,
    preset: Preset,
    readers: list[threading.Thread],
    monkeypatch: pytest.MonkeyPatch,
    callbacks: list[Callable[..., None]],
) -> None:
    monkeypatch.setattr("jepa_agent.training.loop.LOG_EVERY", 2)
    data = Trajectories.load(stored, in_memory=False)
    try:
        train(data, preset, "cpu", callbacks=callbacks)
    except KeyboardInterrupt:
        assert callbacks
    others = set(readers) - {threading.current_thread()}
    assert len(others) == 1
    assert not any(reader.is_alive() for reader in others)


def test_an_error_of_the_disk_ends_training(
    stored: Path, preset: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, main = Trajectories.load(stored, in_memory=False), threading.main_thread()
    read = OnDisk.__getitem__

    def broken(array: OnDisk, rows: slice | np.ndarray) -> np.ndarray:
        if threading.current_thread() is not main:
            raise OSError("the disk is gone")
        return read(array, rows)

    monkeypatch.setattr(OnDisk, "__getitem__", broken)
    before = threading.active_count()
    with pytest.raises(OSError, match="the disk is gone"):
        train(data, preset, "cpu")
    assert threading.active_count() == before
