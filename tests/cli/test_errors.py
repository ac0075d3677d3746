from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jepa_agent import JEPAAgent


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("plan --episodes 0", "episodes"),
        ("plan --episodes many", "many"),
        ("plan --seed -1", "seed"),
        ("plan --checkpoint nowhere", "nowhere"),
        ("plan --video film.avi", "film.avi"),
        ("plan --nonsense", "nonsense"),
        ("evaluate --episodes 0", "episodes"),
        ("evaluate --parallel 0", "parallel"),
        ("evaluate --seed -1", "seed"),
        ("evaluate --checkpoint nowhere", "nowhere"),
        ("collect --episodes 0", "episodes"),
        ("collect --policy clever", "clever"),
        ("collect --layout maze", "maze"),
        ("collect --seed -1", "seed"),
        ("collect --episodes 2 --out .", "trajectories need a file's name, got the folder ."),
        ("collect --env Nowhere-v0 --policy random", "Nowhere"),
        ("train", "quick"),
        ("train slow", "slow"),
        ("train quick --data none.h5", "none.h5"),
        ("train quick --data-on-disk", "--data"),
        ("train quick --training.steps 0", "steps"),
        ("train quick --training.constraint-weight 0", "constraint_weight"),
        ("train quick --planner.num-samples 1", "num_samples must be at least 3"),
        ("train quick --collect.policy clever", "clever"),
        ("train quick --collect.episodes 8 --device toaster", "toaster"),
        ("train quick --collect.episodes 8 --collect.steps 4", "longer episodes"),
        ("train vector", "this preset needs trajectories"),
        ("ablate world --only nonsense", "nonsense"),
        ("pretrain image small --data-dir .", "apt-get install dataset-fashion-mnist"),
        ("pretrain image cifar10 --data-dir .", "cifar-10-binary.tar.gz"),
        ("pretrain image small --data folder --data-dir .", "can be read"),
        ("pretrain image small --data trajectories", "--data-dir"),
        ("pretrain image small --batch 8", "batch"),
        ("pretrain video digits --data-dir .", "train-images-idx3-ubyte.gz is missing"),
        ("pretrain video digits --items fashion-mnist --data-dir .", "apt-get install"),
        ("pretrain video digits --data file", "--data-dir"),
        ("pretrain video frames", "--data-dir"),
        ("train base --encoder.backbone nowhere", "nowhere"),
        ("ablate image --only nonsense", "nonsense"),
    ],
)
def test_bad_arguments_end_in_a_clear_message(
    exit_of: Callable, arguments: str, named: str
) -> None:
    code, said = exit_of(*arguments.split())
    assert code not in (0, None)
    assert named in said
    assert "Traceback" not in said


@pytest.mark.parametrize("script", ["plan", "evaluate"])
def test_a_damaged_checkpoint_ends_in_a_clear_message(
    exit_of: Callable,
    tiny_agent: JEPAAgent,
    tmp_path: Path,
    script: str,
) -> None:
    tiny_agent.save(tmp_path / "run")
    (weights,) = (tmp_path / "run").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    code, said = exit_of(script, "--checkpoint", str(tmp_path / "run"), "--episodes", "1")
    assert code not in (0, None)
    assert "checksum" in said
