from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jepa_agent import load_backbone
from jepa_agent.pretraining.datasets import FASHION_MNIST


def test_an_image_backbone_is_pretrained_on_a_folder(run: Callable, tmp_path: Path) -> None:
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    said = run(
        "pretrain", "image", "small", "--data", "folder", "--data-dir", ".", "--epochs", "2",
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
def test_a_minute_of_pretraining_beats_an_untrained_backbone(run: Callable, tmp_path: Path) -> None:
    run(
        "pretrain", "image", "small", "--epochs", "0.5", "--baselines", "--device", "cpu",
        "--out", "run", cwd=tmp_path,
    )  # fmt: skip
    found = json.loads((tmp_path / "run/probes.json").read_text())
    assert set(found) == {"pretrained", "untrained", "pixels"}
    assert found["pretrained"]["linear"] > found["untrained"]["linear"]
    assert found["pretrained"]["linear"] > 0.8
