from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from jepa_agent import JEPAAgent, Trajectories, cli, load_backbone
from jepa_agent.evaluation.episodes import Episode
from jepa_agent.evaluation.metrics import Report, summarise
from jepa_agent.pretraining.datasets import FASHION_MNIST
from jepa_agent.viz.plan_view import SIZE

SCRIPTS = Path(__file__).parents[2] / "scripts"
TINY_TRAINING = [
    "quick", "--collect.episodes", "32", "--collect.steps", "30", "--training.steps", "2",
    "--training.windows-per-layout", "8", "--training.horizon", "2",
    "--training.diagnose-episodes", "0",
    "--device", "cpu", "--report", "0",
]  # fmt: skip


def words(command: str) -> list[str]:
    """A command's words by the name of its module."""
    (name,) = [n for n, (module, _) in cli.COMMANDS.items() if module == command]
    return name.split()


def run(command: str, *arguments: str, cwd: Path) -> str:
    """What a command prints, run as users do."""
    done = subprocess.run(
        [
            sys.executable, "-W", "error::ResourceWarning", "-m", "jepa_agent", *words(command),
            *arguments,
        ],
        capture_output=True, text=True, cwd=cwd, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


Exit = Callable[..., tuple[int | str | None, str]]


@pytest.fixture
def exit_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Exit:
    """Run a script in this process: the code it exits with, and what it says."""

    def run(command: str, *arguments: str) -> tuple[int | str | None, str]:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as caught:
            cli.main([*words(command), *arguments])
        printed = capsys.readouterr()
        return caught.value.code, f"{caught.value.code}\n{printed.out}{printed.err}"

    return run


@pytest.fixture
def train_script() -> ModuleType:
    """scripts/train.py as a module."""
    return importlib.import_module("jepa_agent.cli.train")


@pytest.mark.parametrize("command", [module for module, _ in cli.COMMANDS.values()])
def test_every_command_explains_itself(exit_of: Exit, command: str) -> None:
    code, said = exit_of(command, "--help")
    assert code == 0
    assert "usage" in said


def test_train_explains_its_presets(exit_of: Exit) -> None:
    code, said = exit_of("train", "quick", "--help")
    assert code == 0
    assert "--training.learning-rate" in said


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
        ("collect --episodes 2 --out .", "."),
        ("collect --env Nowhere-v0 --policy random", "Nowhere"),
        ("collect --env CartPole-v1 --policy random", "continuous"),
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
        ("train vector", "vector_mlp takes vectors"),
        ("ablate world --only nonsense", "nonsense"),
        ("pretrain_image small --data-dir .", "apt-get install dataset-fashion-mnist"),
        ("pretrain_image cifar10 --data-dir .", "cifar-10-binary.tar.gz"),
        ("pretrain_image small --data folder --data-dir .", "can be read"),
        ("pretrain_image small --data trajectories", "--data-dir"),
        ("pretrain_image small --batch 8", "batch"),
        ("pretrain_video digits --data-dir .", "train-images-idx3-ubyte.gz is missing"),
        ("pretrain_video digits --items fashion-mnist --data-dir .", "apt-get install"),
        ("pretrain_video digits --data file", "--data-dir"),
        ("pretrain_video frames", "--data-dir"),
        ("train base --encoder.backbone nowhere", "nowhere"),
        ("ablate image --only nonsense", "nonsense"),
    ],
)
def test_bad_arguments_end_in_a_clear_message(exit_of: Exit, arguments: str, named: str) -> None:
    code, said = exit_of(*arguments.split())
    assert code not in (0, None)
    assert named in said
    assert "Traceback" not in said


@pytest.mark.parametrize("script", ["plan", "evaluate"])
def test_a_damaged_checkpoint_ends_in_a_clear_message(
    exit_of: Exit, tiny_agent: JEPAAgent, tmp_path: Path, script: str
) -> None:
    tiny_agent.save(tmp_path / "run")
    (weights,) = (tmp_path / "run").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    code, said = exit_of(script, "--checkpoint", str(tmp_path / "run"), "--episodes", "1")
    assert code not in (0, None)
    assert "checksum" in said


def test_collect_writes_the_same_data_for_the_same_seed(tmp_path: Path) -> None:
    arguments = ("--episodes", "40", "--steps", "12", "--policy", "mixed", "--out")
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        said = run("collect", *arguments, f"{name}.h5", "--seed", seed, cwd=tmp_path)
        assert "40 episodes" in said
        assert f"{name}.h5" in said
    first, again, other = (Trajectories.load(tmp_path / f"{name}.h5") for name in "abc")
    for part in ("states", "actions", "layout", "offsets"):
        np.testing.assert_array_equal(getattr(first, part), getattr(again, part))
    assert (first.states != other.states).any()
    assert len(first) == 40
    assert first.metadata["collect"]["seed"] == 3
    assert sorted(os.listdir(tmp_path)) == ["a.h5", "b.h5", "c.h5"]


@pytest.mark.parametrize(
    ("arguments", "said", "written"),
    [
        (("--render",), "no display to open a window on: writing plan.gif", "plan.gif"),
        pytest.param(("--video", "x.gif"), "see x.gif", "x.gif", marks=pytest.mark.slow),
        pytest.param((), "neither --render nor --video", "plan.gif", marks=pytest.mark.slow),
    ],
)
def test_plan_writes_a_video(
    tmp_path: Path, arguments: tuple[str, ...], said: str, written: str
) -> None:
    import imageio.v3 as imageio

    printed = run("plan", "--episodes", "1", *arguments, cwd=tmp_path)
    assert said in printed
    assert "1 of 1 goals reached" in printed
    assert os.listdir(tmp_path) == [written]
    frames = imageio.imread(tmp_path / written)
    assert len(frames) > 8
    assert frames.shape[1:3] == SIZE[::-1]


def test_evaluate_writes_a_report(tmp_path: Path) -> None:
    printed = run("evaluate", "--episodes", "2", "--seed", "5", "--out", "report", cwd=tmp_path)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    rows = {row["policy"]: row for row in report["rows"]}
    assert sorted(rows) == ["agent", "oracle", "random", "straight"]
    assert all(row["suite"] == "test-layouts" and row["episodes"] == 2 for row in rows.values())
    assert rows["agent"]["success"] == rows["oracle"]["success"] == 1.0
    assert rows["oracle"]["steps_ratio"] <= rows["agent"]["steps_ratio"] + 0.3
    for name in rows:
        assert name in printed
    assert str(Path("report") / "report.json") in printed
    written = ["report.json", "test-layouts.png"]  # the heat map
    assert sorted(os.listdir(tmp_path / "report")) == written


def test_evaluate_needs_no_probe(without_probe: JEPAAgent, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    without_probe.save(tmp_path / "checkpoint")
    printed = run(
        "evaluate", "--checkpoint", "checkpoint", "--episodes", "1", "--report", "page",
        cwd=tmp_path,
    )  # fmt: skip
    assert "open-loop" not in printed
    page = (tmp_path / "page" / "index.html").read_text()
    assert 'class="heat-map"' in page
    assert 'class="video"' in page
    assert "errors of imagination" not in page


def test_reports_are_compared_and_pooled(exit_of: Exit, tmp_path: Path) -> None:
    for name, solved in (("a", 9), ("b", 6)):
        episodes = [
            Episode(seed, (27, 20), done, done, True, 20 if done else None, 10)
            for seed, done in enumerate(seed < solved for seed in range(10))
        ]
        rows = [summarise("agent", "test-layouts", episodes)]
        Report(rows, {}, {"agent/test-layouts": episodes}, {"test-layouts": []}).save(
            tmp_path / name
        )
    reports = [str(tmp_path / name / "report.json") for name in "ab"]
    code, said = exit_of("evaluate", "--compare", *reports)
    assert code == 0
    assert "9 and 6 of 10 solved" in said
    code, said = exit_of("evaluate", "--pool", *reports)
    assert code == 0
    assert "10 to 20 episodes" in said
    assert "agent, new wall: 75.0 (53.1-88.8) % of 20" in said


def test_train_writes_a_checkpoint_and_its_metrics(tmp_path: Path) -> None:
    printed = run("train", *TINY_TRAINING, "--out", "run", cwd=tmp_path)
    assert "checkpoint and metrics in run" in printed
    (line,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["step"] == 2
    assert "state" in os.listdir(tmp_path / "run")
    agent = JEPAAgent.load(tmp_path / "run")
    assert agent.notes["training"]["steps"] == 2
    assert agent.env_ref.kwargs == {"layout": "fixed"}


@pytest.mark.slow
def test_a_training_ends_with_a_report_and_logs_to_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    arguments = [*TINY_TRAINING[:-1], "2"]  # --report 2
    printed = run("train", *arguments, "--out", "run", cwd=tmp_path)
    assert "wrote run/index.html" in printed
    page = (tmp_path / "run" / "index.html").read_text()
    assert "fixed, 2 episodes" in page
    assert "<h2>Training</h2>" in page
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert {"loss/prediction", "held out/position error"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["energy"]


@pytest.mark.slow
def test_train_reads_collected_data(tmp_path: Path) -> None:
    collected = ("--episodes", "32", "--steps", "30", "--layout", "test", "--out", "data.h5")
    run("collect", *collected, cwd=tmp_path)
    run("train", *TINY_TRAINING, "--data", "data.h5", "--out", "run", cwd=tmp_path)
    assert JEPAAgent.load(tmp_path / "run").notes["data"]["collect"]["layout"] == "test"


def test_an_interrupted_training_goes_on(
    train_script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["train", *TINY_TRAINING, "--out", str(tmp_path / "run")])
    arguments = train_script.tyro.extras.overridable_config_cli(train_script.PRESETS)

    def press_ctrl_c(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_script.TrainingDisplay, "show", press_ctrl_c)
        with pytest.raises(SystemExit) as caught:
            train_script.main(arguments)
    assert caught.value.code == 130
    assert "interrupted; the same command goes on from the last state in" in capsys.readouterr().out
    train_script.main(arguments)
    assert "trained in" in capsys.readouterr().out
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2]


def test_every_ablation_is_a_config() -> None:
    ablations, transfer = (
        importlib.import_module("jepa_agent.experiments.ablations"),
        importlib.import_module("jepa_agent.experiments.transfer"),
    )
    presets = {
        "world": ablations.Setting(**vars(ablations.BASE), collect=ablations.DATA["base"]),
        "image": ablations.image.SMALL,
        "video": ablations.video.VideoConfig(),
        "backbones": ablations.Setting(**vars(transfer.QUICK), collect=ablations.DATA["quick"]),
    }
    unchanged = []
    for name, system in {**ablations.SYSTEMS, "backbones": transfer.SYSTEM}.items():
        for variant, each in system.variants.items():
            if ablations.with_values(presets[name], each.changes) == presets[name]:
                unchanged.append(variant.split(", ")[-1])
            assert each.same_model_as in ("", *system.variants)
    assert unchanged == ["ours"] * 3 + ["100 %"] * 9  # which have as many episodes as `quick`


@pytest.mark.slow
@pytest.mark.parametrize(
    "source", ["no backbone", "untrained, frozen", "videos, tuned", "frames, frozen"]
)
def test_a_world_model_on_every_backbone_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    transfer = importlib.import_module("jepa_agent.experiments.transfer")
    monkeypatch.setattr(transfer, "VIDEO_STEPS", 2)
    monkeypatch.setattr(transfer, "IMAGE_STEPS", 2)
    budget = transfer.Budget(minutes=0.01, episodes=2, data_scale=1.0)
    found = transfer.run_backbones(tmp_path, budget, f"{source}, 1 %", 0)
    assert 0.0 <= found["success"] <= 1.0
    folder = transfer.folder_name(f"{source}, 1 %", 0)
    agent = JEPAAgent.load(tmp_path / folder / "0.01-minutes")
    assert agent.notes["data"]["collect"]["episodes"] == 80
    backbone = getattr(agent.model.encoder, "backbone", None)
    assert (backbone is None) == (source == "no backbone")
    if source == "frames, frozen":
        pretrained = load_backbone(tmp_path / "pretrained" / "frames-0").state_dict()
        assert all(torch.equal(w, pretrained[n]) for n, w in backbone.state_dict().items())


@pytest.mark.slow
def test_ablations_are_resumable_and_make_one_table(tmp_path: Path) -> None:
    arguments = (
        "world", "--only", "ours", "latent distance", "--seeds", "0", "--minutes", "0.01",
        "--episodes", "2", "--data-scale", "0.07", "--out", "runs", "--table", "table.md",
    )  # fmt: skip
    run("ablate", *arguments, cwd=tmp_path)
    results = sorted((tmp_path / "runs/world").glob("*/result.json"))
    written = [path.stat().st_mtime_ns for path in results]
    assert len(results) == 2
    run("ablate", *arguments, cwd=tmp_path)
    assert [path.stat().st_mtime_ns for path in results] == written
    table = (tmp_path / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == ["| ours", "| latent distance"]
    assert (tmp_path / "table.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.skipif(not FASHION_MNIST.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_image_ablations_make_their_table(tmp_path: Path) -> None:
    run(
        "ablate", "image", "--only", "ours", "SIGReg, no projector", "--seeds", "0",
        "--minutes", "0.05", "--table", "table.md", cwd=tmp_path,
    )  # fmt: skip
    table = (tmp_path / "table.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == ["| ours", "| SIGReg, no projector"]
    assert all(line.count("|") == table[0].count("|") for line in table)


@pytest.mark.slow
def test_a_world_model_is_trained_on_a_backbone_from_its_own_videos(tmp_path: Path) -> None:
    run(
        "collect", "--episodes", "24", "--steps", "30", "--policy", "mixed",
        "--layout", "train", "--out", "data.h5", cwd=tmp_path,
    )  # fmt: skip
    run(
        "pretrain_video", "frames", "--data-dir", "data.h5", "--steps", "2", "--batch", "16",
        "--width", "4", "--out", "frames", cwd=tmp_path,
    )  # fmt: skip
    assert load_backbone(tmp_path / "frames").config.image_shape == (65, 65, 3)
    run(
        "train", "quick", "--data", "data.h5", "--encoder.backbone", "frames",
        "--encoder.freeze", "--training.steps", "2", "--training.windows_per_layout", "4",
        "--training.diagnose-every", "100", "--training.diagnose-episodes", "2",
        "--report", "0", "--out", "agent", cwd=tmp_path,
    )  # fmt: skip
    agent = JEPAAgent.load(tmp_path / "agent")
    kept = agent.model.encoder.backbone.state_dict()
    pretrained = load_backbone(tmp_path / "frames").state_dict()
    assert all(torch.equal(pretrained[name], kept[name]) for name in kept)


def test_an_image_backbone_is_pretrained_on_a_folder(tmp_path: Path) -> None:
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    said = run(
        "pretrain_image", "small", "--data", "folder", "--data-dir", ".", "--epochs", "2",
        "--batch", "16", "--device", "cpu", "--out", "run", cwd=tmp_path,
    )  # fmt: skip
    assert "skipped broken.png" in said
    backbone = load_backbone(tmp_path / "run")
    assert backbone.config.image_shape == (64, 64, 3)
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps[-1] == 2


@pytest.mark.slow
@pytest.mark.skipif(not FASHION_MNIST.exists(), reason="needs Debian's dataset-fashion-mnist")
def test_a_minute_of_pretraining_beats_an_untrained_backbone(tmp_path: Path) -> None:
    run(
        "pretrain_image", "small", "--epochs", "0.5", "--floors", "--device", "cpu",
        "--out", "run", cwd=tmp_path,
    )  # fmt: skip
    found = json.loads((tmp_path / "run/probes.json").read_text())
    assert set(found) == {"pretrained", "untrained", "pixels"}
    assert found["pretrained"]["linear"] > found["untrained"]["linear"]
    assert found["pretrained"]["linear"] > 0.8
