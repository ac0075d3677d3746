from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from jepa_agent import JEPAAgent
from jepa_agent.io import checkpoint
from jepa_agent.io.checkpoint import CheckpointError

CONFIG = {"notes": {"answer": 42}}


def tensors(value: float = 1.0) -> dict[str, Tensor]:
    return {"a": torch.full((3, 2), value), "b.c": torch.tensor([1, 2]), "d": torch.zeros(())}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A good checkpoint."""
    checkpoint.save(tmp_path / "run", tensors(), CONFIG)
    return tmp_path / "run"


def weights(directory: Path) -> Path:
    (path,) = directory.glob("model-*.safetensors")
    return path


def edit(directory: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the JSON file by a function on its data."""
    path = directory / "config.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def assert_rejected(directory: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoint.load(directory)
    assert str(directory) in str(caught.value)


def test_a_checkpoint_gives_back_what_was_saved(directory: Path) -> None:
    loaded, config = checkpoint.load(directory)
    assert loaded.keys() == tensors().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors().items())
    assert config["notes"] == CONFIG["notes"]


def test_views_of_other_tensors_are_saved_as_they_are(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    checkpoint.save(tmp_path, {"transposed": base.T, "row": base[1]}, {})
    loaded, _ = checkpoint.load(tmp_path)
    assert torch.equal(loaded["transposed"], base.T)
    assert torch.equal(loaded["row"], base[1])


def test_a_new_checkpoint_replaces_the_old_one(directory: Path) -> None:
    checkpoint.save(directory, tensors(2.0), {"notes": "new"})
    loaded, config = checkpoint.load(directory)
    assert torch.equal(loaded["a"], tensors(2.0)["a"])
    assert config["notes"] == "new"
    assert len(os.listdir(directory)) == 2


def test_the_same_weights_may_be_saved_again(directory: Path) -> None:
    checkpoint.save(directory, tensors(), {"notes": "new"})
    assert checkpoint.load(directory)[1]["notes"] == "new"


@pytest.mark.parametrize("failing", ["replace", "fsync"])
@pytest.mark.parametrize("call", [1, 2])
def test_a_crash_at_any_step_leaves_the_old_checkpoint(
    directory: Path, monkeypatch: pytest.MonkeyPatch, failing: str, call: int
) -> None:
    calls, original = 0, getattr(os, failing)

    def crash(*args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError("the power went out")
        original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, crash)
        with pytest.raises(OSError, match="the power went out"):
            checkpoint.save(directory, tensors(2.0), {"notes": "new"})
    loaded, config = checkpoint.load(directory)
    assert torch.equal(loaded["a"], tensors()["a"])
    assert config["notes"] == CONFIG["notes"]
    assert not [name for name in os.listdir(directory) if name.endswith(".tmp")]
    checkpoint.save(directory, tensors(3.0), CONFIG)
    assert torch.equal(checkpoint.load(directory)[0]["a"], tensors(3.0)["a"])
    assert len(os.listdir(directory)) == 2  # what the crash left is gone


def test_a_missing_checkpoint_is_rejected(tmp_path: Path) -> None:
    assert_rejected(tmp_path, r"directory with a config.json.* or one of \['default', 'mazes'\]")
    assert_rejected(tmp_path / "none", "directory with a config.json")


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_truncated_weights_are_rejected(directory: Path, kept: float) -> None:
    payload = weights(directory).read_bytes()
    weights(directory).write_bytes(payload[: int(kept * len(payload))])
    assert_rejected(directory, "checksum")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_flipped_bit_is_rejected(directory: Path, share: float) -> None:
    payload = bytearray(weights(directory).read_bytes())
    payload[int(share * len(payload))] ^= 1
    weights(directory).write_bytes(payload)
    assert_rejected(directory, "checksum")


def test_missing_weights_are_rejected(directory: Path) -> None:
    weights(directory).unlink()
    assert_rejected(directory, "which is missing")


@pytest.mark.parametrize("text", ["", "{", "\x00\x01", '{"format": "other"}', "[1]", "3", "null"])
def test_a_foreign_config_is_rejected(directory: Path, text: str) -> None:
    (directory / "config.json").write_text(text)
    assert_rejected(directory, "must be JSON|must have format 'jepa-agent-checkpoint'")


def test_a_config_that_is_not_text_is_rejected(directory: Path) -> None:
    (directory / "config.json").write_bytes(b"\xff\xfe\x80")
    assert_rejected(directory, "must be JSON")


@pytest.mark.parametrize("version", [0, 3, "1", None])
def test_another_version_is_rejected(directory: Path, version: Any) -> None:
    edit(directory, lambda data: data.update(version=version))
    assert_rejected(directory, f"must have version 1 or 2, got {version!r}")


@pytest.mark.parametrize("named", [None, "model.safetensors", {}, {"file": 3}])
def test_a_config_that_names_no_weights_is_rejected(directory: Path, named: Any) -> None:
    edit(directory, lambda data: data.update(weights=named))
    assert_rejected(directory, "must name its weights")


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("dump", [pickle.dump, torch.save])
def test_a_pickle_is_never_opened(directory: Path, tmp_path: Path, dump: Any) -> None:
    marker = tmp_path / "exploded"
    with weights(directory).open("wb") as file:
        dump(Bomb(marker), file)
    digest = hashlib.sha256(weights(directory).read_bytes()).hexdigest()
    edit(directory, lambda data: data["weights"].update(sha256=digest))
    assert_rejected(directory, "must be safetensors")
    assert not marker.exists()


FULL_DISK = """
import resource, signal, sys
import torch
from jepa_agent.io import checkpoint

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    checkpoint.save(sys.argv[1], {"big": torch.zeros(100_000)}, {})
except OSError as error:
    print(error)
"""


def test_a_full_disk_is_a_clear_error_and_the_old_checkpoint_is_intact(directory: Path) -> None:
    """A limit on the size of files stands in for the full disk."""
    before, held = checkpoint.load(directory), sorted(os.listdir(directory))
    command = [sys.executable, "-c", FULL_DISK, str(directory)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "free some space or choose another folder" in done.stdout
    assert sorted(os.listdir(directory)) == held
    after = checkpoint.load(directory)
    assert after[1] == before[1]
    assert all(torch.equal(after[0][name], tensor) for name, tensor in before[0].items())


def test_weights_outside_the_directory_are_not_read(directory: Path, tmp_path: Path) -> None:
    weights(directory).rename(tmp_path / "elsewhere.safetensors")
    edit(directory, lambda data: data["weights"].update(file="../elsewhere.safetensors"))
    assert_rejected(directory, "which is missing")


def test_an_agent_survives_a_checkpoint(tiny_agent: JEPAAgent, tmp_path: Path) -> None:
    tiny_agent.notes["answer"] = 42
    tiny_agent.save(tmp_path / "run")
    loaded = JEPAAgent.load(tmp_path / "run")
    assert loaded.env_ref == tiny_agent.env_ref
    assert loaded.bounds == tiny_agent.bounds
    assert loaded.planner.config == tiny_agent.planner.config
    assert loaded.model.config == tiny_agent.model.config
    assert loaded.notes == {"answer": 42}
    frames = torch.randint(256, (4, 65, 65, 3), dtype=torch.uint8)
    loaded.model.double()
    torch.testing.assert_close(
        loaded.model.encode(frames), tiny_agent.model.encode(frames), rtol=0, atol=1e-5
    )


def test_an_agent_in_float32_gives_equal_outputs(tiny_agent: JEPAAgent, tmp_path: Path) -> None:
    tiny_agent.model.float()
    tiny_agent.save(tmp_path)
    loaded = JEPAAgent.load(tmp_path).model
    frames = torch.randint(256, (4, 65, 65, 3), dtype=torch.uint8)
    latents = tiny_agent.model.encode(frames)
    assert torch.equal(loaded.encode(frames), latents)
    assert torch.equal(loaded.locate(latents), tiny_agent.model.locate(latents))
    assert torch.equal(
        loaded.distance_embedding(latents), tiny_agent.model.distance_embedding(latents)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data["model"].update(widht=3), r"model must have .*unknown \['widht'\]"),
        (lambda data: data["model"].pop("chunk"), r"model must have .*missing \['chunk'\]"),
        (
            lambda data: data["model"]["distance_head"].update(dim="4"),
            r"model\.distance_head\.dim must be int",
        ),
        (lambda data: data["model"].update(latent_dim=9), "size mismatch"),
        (
            lambda data: data["model"].update(observation_shape=[65, 65]),
            "takes images",
        ),
        (
            lambda data: data["planner"].update(num_elites=99),
            "num_elites must be <= num_samples",
        ),
        (lambda data: data["planner"].update(std=float("nan")), "std must be > 0"),
        (lambda data: data["planner"].update(kind="magic"), r"planner\.kind must be .*'magic'"),
        (lambda data: data["bounds"].update(low=[1, 1]), "low must be < high"),
        (lambda data: data["bounds"].update(low=[-1], high=[1]), "action"),
        (lambda data: data["env_ref"].pop("id"), "env_ref must have the fields"),
        (lambda data: data.pop("planner"), "planner"),
        (lambda data: data.update(model=None), "model must be an object"),
    ],
)
def test_a_config_that_does_not_fit_is_rejected(
    tiny_agent: JEPAAgent, tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    tiny_agent.save(tmp_path)
    edit(tmp_path, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        JEPAAgent.load(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_weights_of_another_model_are_rejected(tiny_agent: JEPAAgent, tmp_path: Path) -> None:
    tiny_agent.save(tmp_path)
    _, config = checkpoint.load(tmp_path)
    checkpoint.save(
        tmp_path, tensors(), {key: config[key] for key in ("env_ref", "bounds", "model")}
    )
    with pytest.raises(CheckpointError, match="must fit this version"):
        JEPAAgent.load(tmp_path)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    checkpoint.save("~/agent", tensors(), {"number": np.int64(2)})
    assert (tmp_path / "agent" / "config.json").is_file()
    assert checkpoint.load("~/agent")[1]["number"] == 2
