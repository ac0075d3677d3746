from __future__ import annotations

from pathlib import Path

import pytest
import torch

from jepa_agent import JEPAAgent, load_backbone
from jepa_agent.experiments import backbones


@pytest.mark.slow
@pytest.mark.parametrize(
    "source", ["no backbone", "untrained, frozen", "videos, tuned", "frames, frozen"]
)
def test_a_world_model_on_every_backbone_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr(backbones, "VIDEO_STEPS", 2)
    monkeypatch.setattr(backbones, "IMAGE_STEPS", 2)
    budget = backbones.Budget(minutes=0.01, episodes=2, data_scale=1.0)
    found = backbones.run_backbones(tmp_path, budget, f"{source}, 1 %", 0)
    assert 0.0 <= found["success"] <= 1.0
    folder = backbones.folder_name(f"{source}, 1 %", 0)
    agent = JEPAAgent.load(tmp_path / folder / "0.01-minutes")
    assert agent.notes["data"]["collect"]["episodes"] == 80
    backbone = getattr(agent.model.encoder, "backbone", None)
    assert (backbone is None) == (source == "no backbone")
    if source == "frames, frozen":
        pretrained = load_backbone(tmp_path / "pretrained" / "frames-0").state_dict()
        assert all(torch.equal(w, pretrained[n]) for n, w in backbone.state_dict().items())
